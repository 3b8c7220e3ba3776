"""What a table must hold: a model of a table in memory, so small that it is right by inspection.

A row is a number that occurs once. A test keeps one ``Attempt`` for everything it tried; when all is over, the
commits that the log holds are given to a ``TableModel`` in the order of their versions, and the model says what each
version must hold, or what rule was broken for it to be there at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Attempt", "ModelViolationError", "TableModel"]


class ModelViolationError(AssertionError):
    """A table holds what it must not hold, or lacks what it must."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One operation that somebody tried.

    Attributes:
        label: a number that tells it from all others.
        kind: ``append``; ``overwrite`` (reads and replaces all rows of its base); ``delete`` (of single rows);
            ``rewrite`` (the same rows in other files); ``metadata`` (schema, properties).
        base: the version that it began on.
        adds: rows that it brings.
        removes: rows that it takes away; an ``overwrite`` takes all that its base holds.
        outcome: ``acknowledged``: it returned; ``refused``: it raised an error that says it is not there;
            ``unknown``: it died, or raised an error of storage, which may hide a success; ``begun``: not over yet.
        version: the version it was told it is, once acknowledged; -1 where there was nothing to commit.
    """

    label: int
    kind: Literal["append", "overwrite", "delete", "rewrite", "metadata"]
    base: int
    adds: frozenset[int] = frozenset()
    removes: frozenset[int] = frozenset()
    outcome: Literal["begun", "acknowledged", "refused", "unknown"] = "begun"
    version: int = -1


@dataclass(slots=True)
class TableModel:
    """The rows of every version of a table.

    Attributes:
        versions: the rows of each, from version 0.
        commits: the attempt that made each, None for version 0.
        serializable: whether statements must have seen everything before them, appends that looked at nothing included.
    """

    versions: list[frozenset[int]] = field(default_factory=lambda: [frozenset()])
    commits: list[Attempt | None] = field(default_factory=lambda: [None])
    serializable: bool = False

    @property
    def newest(self) -> int:
        """The newest version."""
        return len(self.versions) - 1

    def commit(self, attempt: Attempt) -> None:
        """Let an attempt be the next version.

        By write serializability appends that looked at nothing may come between a
        statement and its base; nothing that it read may have gone or been rewritten by another statement.

        Raises:
            ModelViolationError: it cannot stand there.
        """
        version, rows = self.newest + 1, self.versions[-1]
        if attempt in self.commits:
            raise ModelViolationError(
                f"version {version} is attempt {attempt.label} again, version {self.commits.index(attempt)}"
            )
        if attempt.base >= version:
            raise ModelViolationError(f"version {version} was made on version {attempt.base}")
        removes = self.versions[attempt.base] if attempt.kind == "overwrite" else attempt.removes
        if doubled := attempt.adds & rows:
            raise ModelViolationError(f"version {version} adds rows {sorted(doubled)} once more")
        if gone := removes - rows:
            raise ModelViolationError(
                f"version {version} removes rows {sorted(gone)}, which others had removed"
            )
        for between in range(attempt.base + 1, version):
            self._check_between(attempt, version, between)
        self.versions.append((rows - removes) | attempt.adds)
        self.commits.append(attempt)

    def _check_between(self, attempt: Attempt, version: int, between: int) -> None:
        other = self.commits[between]
        if other is None:
            return
        if attempt.kind == other.kind == "metadata":
            raise ModelViolationError(
                f"version {version} undoes the metadata of version {between}, which it had not seen"
            )
        appended = other.kind == "overwrite" or (other.adds and self.serializable)
        if attempt.kind == "overwrite" and appended:
            raise ModelViolationError(
                f"version {version} replaced all rows, but not those of version {between}"
            )

    def check_outcomes(self, attempts: Iterable[Attempt]) -> None:
        """Compare what everybody was told with what the log holds. Raises ModelViolationError."""
        versions = {
            attempt.label: version for version, attempt in enumerate(self.commits) if attempt is not None
        }
        for attempt in attempts:
            found = versions.pop(attempt.label, None)
            if attempt.outcome == "acknowledged" and found is None and attempt.version >= 0:
                raise ModelViolationError(
                    f"attempt {attempt.label} was told it is version {attempt.version} and is nowhere"
                )
            if attempt.outcome == "acknowledged" and found is not None and found != attempt.version:
                raise ModelViolationError(
                    f"attempt {attempt.label} was told it is version {attempt.version} and is {found}"
                )
            if attempt.outcome == "refused" and found is not None:
                raise ModelViolationError(
                    f"attempt {attempt.label} was told that it failed and is version {found}"
                )
        if versions:
            raise ModelViolationError(f"attempts {sorted(versions)} are in the log and nobody made them")

    def check_rows(self, version: int, rows: Iterable[int]) -> None:
        """Compare the rows somebody read at a version with those it must hold. Raises ModelViolationError."""
        found = list(rows)
        if len(found) != len(set(found)):
            twice = sorted({row for row in found if found.count(row) > 1})
            raise ModelViolationError(f"version {version} shows rows {twice} more than once")
        expected = self.versions[version]
        if set(found) != expected:
            raise ModelViolationError(
                f"version {version} shows rows {sorted(set(found) - expected)} too many, "
                f"{sorted(expected - set(found))} too few"
            )
