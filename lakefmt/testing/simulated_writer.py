"""One writer of a simulated table: a process that does one thing after the other, whatever becomes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.commit_timeout import COMMIT_TIMEOUT_S
from lakefmt.errors import (
    CommitConflictError,
    LakefmtError,
    ObjectNotFoundError,
    StoreError,
    VersionNotFoundError,
)
from lakefmt.log.paths import commit_key
from lakefmt.snapshot import Snapshot, advance_snapshot, load_snapshot
from lakefmt.testing.faults import WriterKilledError
from lakefmt.testing.log_replay import logical_files
from lakefmt.testing.table_model import ModelViolationError
from lakefmt.txn.writer import Writer
from lakefmt.upkeep.checksum import write_checksum
from lakefmt.upkeep.schedule import CheckpointSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefmt.testing.simulated_table import SimulatedTable
    from lakefmt.testing.table_model import Attempt
    from lakefmt.txn.environment import Environment

__all__ = ["SimulatedWriter"]

_LONGEST_SKEW_MS = 5_000
_FIRST_UPKEEP = 1 << 31  # labels past those of attempts: no two writers may take the same id


class SimulatedWriter:
    """One writer: a process with a store, a clock that is wrong and a snapshot that is old; it dies and comes back.

    Args:
        table: what it writes to.
        timeout_s: how long it tries to commit, by the clock of the simulation; None for ever.
    """

    def __init__(self, table: SimulatedTable, *, timeout_s: float | None = COMMIT_TIMEOUT_S) -> None:
        self.table = table
        self._timeout_s = timeout_s
        self._skew_ms = table.draw.randrange(-_LONGEST_SKEW_MS, _LONGEST_SKEW_MS)
        self._open_store()
        self._snapshot: Snapshot | None = None

    def run(self, operations: Sequence[Callable[[SimulatedWriter], None]]) -> None:
        """Do one operation after the other, whatever becomes of each."""
        for operation in operations:
            try:
                operation(self)
            except WriterKilledError:
                self._open_store()
                self._snapshot = None
            except StoreError:
                continue
            except LakefmtError as error:
                if not self._was_cleaned(error):
                    raise
                self._snapshot = None

    def refresh(self) -> Snapshot:
        """Advance to the newest version and note what is there."""
        if self._snapshot is None:
            self._snapshot = load_snapshot(self.store)
        else:
            self._snapshot = advance_snapshot(self.store, self._snapshot)
        self.table.sightings.append((self._snapshot.version, logical_files(self._snapshot)))
        return self._snapshot

    def snapshot(self) -> Snapshot:
        """Return a snapshot to write on, which may be old."""
        if self._snapshot is None or self.table.draw.random() < 0.5:
            return self.refresh()
        return self._snapshot

    def environment(self, label: int | None = None) -> Environment:
        """Return clock, chance and ids for the operation of a label; None for one that commits nothing."""
        if label is None:
            self.table.upkeeps += 1
            label = _FIRST_UPKEEP + self.table.upkeeps
        return self.table.scheduler.environment(label, skew_ms=self._skew_ms)

    def attempt(self, attempt: Attempt, work: Callable[[Writer], tuple[Snapshot, int]]) -> None:
        """Do one operation and note what came of it.

        Args:
            attempt: the operation.
            work: carries it out and returns the snapshot after it, and its version, -1 if nothing was committed.
        """
        attempt.outcome = "unknown"
        writer = Writer(
            self.store,
            self.environment(attempt.label),
            timeout_s=self._timeout_s,
            after_commit=(self._write_checksum, self._checkpoints.follow_in_line),
        )
        try:
            self._snapshot, attempt.version = work(writer)
        except CommitConflictError:
            attempt.outcome = "refused"
        except StoreError:
            raise
        except LakefmtError as error:
            if isinstance(error.__cause__, WriterKilledError):
                raise error.__cause__ from None  # it died in a task, on another thread
            if self._was_cleaned(error):
                attempt.outcome = "refused"
                raise
            raise ModelViolationError(f"{attempt.kind} ended in {error!r}") from error
        else:
            attempt.outcome = "acknowledged"

    def _open_store(self) -> None:
        """Be a new process."""
        self.store = self.table.open_store()
        self._checkpoints = CheckpointSchedule(self.store, self.environment())

    def _write_checksum(self, after: Snapshot) -> None:
        write_checksum(self.store, after)

    def _was_cleaned(self, error: LakefmtError) -> bool:
        """Whether an error says that what an old snapshot follows from has been cleaned away, and it has been."""
        if isinstance(error, VersionNotFoundError):
            return error.version is not None and commit_key(error.version) in self.table.store.deleted
        path = error.path or ""
        if not path.startswith("_delta_log/") or path not in self.table.store.deleted:
            return False
        try:
            self.table.store.info(path)
        except ObjectNotFoundError:
            return True
        return False
