"""What has been computed of a value that never changes, kept beside it for whoever asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["KeptValues"]

_T = TypeVar("_T")
_MOST_KEPT = 32


class KeptValues:
    """Computed values by name, the latest few of them; those who keep something here see to it that it is small.

    Threads that ask at once may compute twice. A copy, pickled or not, begins empty.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def __contains__(self, name: Hashable) -> bool:
        return name in self._values

    def get(self, name: Hashable, compute: Callable[[], _T]) -> _T:
        """Return what is kept under a name, computed first where nothing is."""
        found = self._values.get(name)
        if found is None:
            if len(self._values) >= _MOST_KEPT:
                self._values = {}
            found = self._values[name] = compute()
        value: _T = found
        return value

    def __reduce__(self) -> tuple[object, ...]:
        return KeptValues, ()
