"""Whether a history of appends and reads by many processes is strictly serializable; pure.

In the manner of Jepsen's Elle: every append brings values that no other brings, every read tells the version it saw and
all values in it, so that the order of the versions can be inferred from what was seen and compared with real time. A
history without anomalies is one in which each commit took effect at one moment between its call and its answer, one
after the other in the order of the versions, and each read saw all commits up to its version and no others.

Times must come from one clock: on one machine ``time.monotonic_ns()``, which all its processes share.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Anomaly", "Operation", "check_history"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one process.

    Attributes:
        process: who.
        kind: ``append`` or ``read``.
        values: what was appended, or all that was read.
        began: when it was called.
        ended: when its answer came, None where none came: the process died.
        outcome: ``ok``; ``failed``: it certainly did not happen; ``unknown``.
        version: of the commit, or of what was read; None where it was not told.
    """

    process: str
    kind: Literal["append", "read"]
    values: tuple[int, ...]
    began: int
    ended: int | None
    outcome: Literal["ok", "failed", "unknown"] = "ok"
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that must not be.

    Attributes:
        kind: ``lost append``, ``failed append seen``, ``phantom``, ``double append``, ``double commit``, ``torn append``,
            ``unstable version``, ``early read`` (of a version that came later), ``shrinking`` (a later version lacks
            what an earlier one had), ``gap`` (more versions than appends), ``stale`` (real time was not kept).
        detail: which operations, values and versions.
    """

    kind: str
    detail: str


def check_history(operations: Iterable[Operation]) -> list[Anomaly]:
    """Return all anomalies of a history in which every version but the first is one append.

    The last operation should be a read of everything, made when all others had ended.
    """
    history = list(operations)
    appends = [op for op in history if op.kind == "append"]
    reads = sorted(
        (op for op in history if op.kind == "read" and op.outcome == "ok"), key=lambda op: op.version or 0
    )
    return [
        *_check_reads(appends, reads),
        *_check_versions(appends, reads),
        *_check_appends(appends, reads),
        *_check_real_time(history, reads),
    ]


def _check_reads(appends: Sequence[Operation], reads: Sequence[Operation]) -> Iterator[Anomaly]:
    """Look at each read by itself: what is in it twice, or was never or certainly not written."""
    writers = {value: append for append in appends for value in append.values}
    for read in reads:
        seen = set(read.values)
        if len(seen) < len(read.values):
            twice = sorted({value for value in seen if read.values.count(value) > 1})
            yield Anomaly(
                "double append", f"version {read.version}, read by {read.process}, holds {twice} twice"
            )
        if unknown := seen - writers.keys():
            yield Anomaly("phantom", f"version {read.version} holds {sorted(unknown)}, which nobody appended")
        for append in {id(writers[value]): writers[value] for value in seen & writers.keys()}.values():
            if append.outcome == "failed":
                yield Anomaly(
                    "failed append seen", f"{append.values} of {append.process} is in version {read.version}"
                )
            if missing := set(append.values) - seen:
                yield Anomaly(
                    "torn append", f"version {read.version} lacks {sorted(missing)} of {append.values}"
                )


def _check_versions(appends: Sequence[Operation], reads: Sequence[Operation]) -> Iterator[Anomaly]:
    """Compare each version with the next one read, and commits with one another."""
    committed: dict[int, Operation] = {}
    for append in appends:
        if append.outcome == "ok" and append.version is not None:
            other = committed.setdefault(append.version, append)
            if other is not append:
                yield Anomaly(
                    "double commit", f"version {append.version} is {other.values} and {append.values}"
                )
    writers = {value: number for number, append in enumerate(appends) for value in append.values}
    for before, after in pairwise(reads):
        old, new = set(before.values), set(after.values)
        if before.version == after.version and old != new:
            yield Anomaly(
                "unstable version", f"version {after.version} was read with and without {sorted(old ^ new)}"
            )
        elif gone := old - new:
            yield Anomaly(
                "shrinking", f"version {after.version} lacks {sorted(gone)} of version {before.version}"
            )
        else:
            came = {writers[value] for value in new - old if value in writers}
            if (
                before.version is not None
                and after.version is not None
                and len(came) != after.version - before.version
            ):
                yield Anomaly(
                    "gap", f"{len(came)} appends came between versions {before.version} and {after.version}"
                )


def _check_appends(appends: Sequence[Operation], reads: Sequence[Operation]) -> Iterator[Anomaly]:
    """Look for each acknowledged append in every version that must, and in none that must not hold it."""
    contents = [(read.version or 0, set(read.values)) for read in reads]
    for append in appends:
        if append.outcome != "ok" or append.version is None:
            continue
        values = set(append.values)
        for version, seen in contents:
            if version >= append.version and values - seen:
                yield Anomaly(
                    "lost append", f"{append.values} was version {append.version} and is not in {version}"
                )
                break
            if version < append.version and values & seen:
                yield Anomaly(
                    "early read", f"{append.values} was version {append.version} and is in {version}"
                )
                break


def _check_real_time(history: Sequence[Operation], reads: Sequence[Operation]) -> Iterator[Anomaly]:
    """What began after something else had ended stands at its version at least, an append past it."""
    ends = sorted(
        (op.ended, op.version)
        for op in history
        if op.outcome == "ok" and op.ended is not None and op.version is not None
    )
    times = [ended for ended, _ in ends]
    newest, known = [], -1
    for _, version in ends:
        known = max(known, version)
        newest.append(known)
    for op in history:
        earlier = bisect_left(times, op.began)
        if not earlier:
            continue
        least = newest[earlier - 1]
        if op.outcome == "ok" and op.version is not None:
            if op.version < least or (op.kind == "append" and op.version == least):
                yield Anomaly(
                    "stale",
                    f"{op.kind} of {op.process} stands at version {op.version}; {least} was over when it began",
                )
        elif op.kind == "append" and op.outcome == "unknown":
            # It was never told its version: the versions that lack and hold it tell between which it is.
            first = next((read.version for read in reads if set(op.values) & set(read.values)), None)
            if first is not None and first <= least:
                yield Anomaly(
                    "stale",
                    f"append {op.values} of {op.process} is in version {first}; {least} was over when it began",
                )
