"""One attempt at a version: what our changes are as the commit that follows a base; pure but for clock and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lakefmt import __version__
from lakefmt.log import Commit, CommitInfo

if TYPE_CHECKING:
    from lakefmt.txn.changes import Changes
    from lakefmt.txn.environment import Environment

__all__ = ["ENGINE_INFO", "complete"]

ENGINE_INFO: Final = f"lakefmt/{__version__}"


def complete(changes: Changes, environment: Environment, txn_id: str) -> Commit:
    """Return ``changes`` as a commit.

    Args:
        changes: ours, as they are on top of the base.
        environment: the clock.
        txn_id: tells this commit from every other; the same for all attempts, so that one of them is recognised
            wherever it is found ("Commit Provenance Information").
    """
    info = CommitInfo(
        timestamp_ms=environment.now_ms(),
        operation=changes.operation,
        operation_parameters=changes.parameters,
        operation_metrics={name: str(count) for name, count in changes.metrics.items()},
        engine_info=ENGINE_INFO,
        txn_id=txn_id,
        is_blind_append=changes.is_blind_append,
        more=changes.more_info,
    )
    return Commit(
        info=info,
        protocol=changes.protocol,
        metadata=changes.metadata,
        adds=changes.adds,
        removes=changes.removes,
        transactions=changes.transactions,
        domains=changes.domains,
    )
