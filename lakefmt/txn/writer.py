"""Who commits: to which store, by which clock, how patiently, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.commit_timeout import COMMIT_TIMEOUT_S
from lakefmt.txn.environment import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store
    from lakefmt.txn.environment import Environment

__all__ = ["Writer"]


@dataclass(frozen=True, slots=True)
class Writer:
    """What every operation needs to commit.

    Attributes:
        store: the table's store.
        environment: clock, randomness and ids.
        timeout_s: how long a commit that loses races, or whose outcome is unknown, is tried again; None for ever.
        after_commit: called in order with the new snapshot once a commit is won; what one raises is logged and
            changes nothing about the commit.
    """

    store: Store
    environment: Environment = SYSTEM
    timeout_s: float | None = COMMIT_TIMEOUT_S
    after_commit: tuple[Callable[[Snapshot], None], ...] = ()
