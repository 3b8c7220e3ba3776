"""Values kept in the instance, without a lock that instances share."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass

import pytest

from lakefmt.cached import cached_value

_computed: list[int] = []


@dataclass(frozen=True)
class Square:
    side: int

    @cached_value
    def area(self) -> int:
        """The side times itself."""
        _computed.append(self.side)
        if self.side < 0:
            raise ValueError("no such square")
        return self.side**2


@pytest.fixture(autouse=True)
def computed() -> list[int]:
    _computed.clear()
    return _computed


def test_a_value_is_computed_once_for_each_instance(computed: list[int]) -> None:
    square, other = Square(3), Square(4)
    assert [square.area, square.area, other.area] == [9, 9, 16]
    assert computed == [3, 4]
    assert square.__dict__["area"] == 9


def test_a_value_travels_with_its_instance(computed: list[int]) -> None:
    square = Square(3)
    assert square.area == 9
    assert pickle.loads(pickle.dumps(square)).area == 9
    assert computed == [3]


class Room:
    def __init__(self) -> None:
        self.visitor = Visitor(self)
        self.name = "room"

    @cached_value
    def size(self) -> int:
        """A value that comes late."""
        return 3


@dataclass(frozen=True)
class Visitor:
    room: Room

    def __reduce__(self) -> tuple[object, ...]:
        assert self.room.size == 3  # as another thread may ask just then
        return str, ("visitor",)


def test_an_instance_pickles_while_a_value_is_asked_for() -> None:
    copy = pickle.loads(pickle.dumps(Room()))
    assert (copy.visitor, copy.name, copy.size) == ("visitor", "room", 3)


def test_an_error_is_not_kept(computed: list[int]) -> None:
    square = Square(-1)
    for _ in range(2):
        with pytest.raises(ValueError, match="no such square"):
            _ = square.area
    assert computed == [-1, -1]


def test_the_class_shows_the_methods_own_description() -> None:
    assert Square.area.__doc__ == "The side times itself."


def test_an_instance_does_not_wait_for_another_that_computes() -> None:
    class Slow:
        def __init__(self, wait_for: threading.Event | None) -> None:
            self.wait_for = wait_for

        @cached_value
        def value(self) -> bool:
            return self.wait_for is None or self.wait_for.wait(30)

    free = threading.Event()
    slow = Slow(free)
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert Slow(None).value  # with a shared lock it would come after the thread's
    free.set()
    thread.join()
    assert slow.value
