"""A store on its way to a worker process of this one, which may use what this one may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.store.contract import Store

__all__ = ["SentStore"]


class SentStore:
    """A store that is pickled with its secrets.

    A pickle of a store may end up anywhere, so it has none. What goes to a worker goes through a socket between two
    processes of one user, and is kept nowhere.

    Attributes:
        store: the store.
    """

    __slots__ = ("store",)

    def __init__(self, store: Store) -> None:
        self.store = store

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments = self.store.reduce_with_secrets()[:2]
        return _receive, (make, arguments)

    def __repr__(self) -> str:
        return f"SentStore({self.store!r})"


def _receive(make: Callable[..., Store], arguments: tuple[Any, ...]) -> SentStore:
    return SentStore(make(*arguments))
