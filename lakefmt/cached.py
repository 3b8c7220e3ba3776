"""Values computed on first use and kept in the instance.

Python 3.11's ``functools.cached_property`` takes a lock that all instances of a class share: threads that plan
different tables wait for each other, and a child forked while it was held waits for ever. This one, like Python
3.12's, takes none; threads that ask at once may compute twice, and one of the equal results is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cached_value"]

T = TypeVar("T")


class cached_value(Generic[T]):  # noqa: N801 - a decorator, named as the one it replaces
    """Decorator that makes a method without arguments an attribute, computed once.

    The value lies in the instance's ``__dict__`` under the method's name, so it pickles and copies along with the
    instance, and reading it again calls nothing. The class must have a ``__dict__`` (no slots); it may be a frozen
    dataclass. Nothing is kept when the method raises.

    Other threads may ask for a value while the instance pickles, and a dictionary that grows meanwhile does not: what
    pickles is a copy, unless the class says itself what does.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        if getattr(owner, "__getstate__", None) is object.__getstate__:
            setattr(owner, "__getstate__", _copy_state)  # noqa: B010 - a type checker knows no assignment to methods

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        # No data descriptor: from the second time on Python finds the value before it looks here. The first value
        # stays, so that all threads share one object.
        value: T = instance.__dict__.setdefault(self._name, self._compute(instance))
        return value


def _copy_state(instance: object) -> object:
    state = object.__getstate__(instance)
    return state.copy() if isinstance(state, dict) else state
