"""``Explanation``: what a query reads and how it is run, as values and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.wording import format_size, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakefmt.query.operators import Operator
    from lakefmt.query.session import TablePlan

__all__ = ["Explanation", "TableRead"]


@dataclass(frozen=True, slots=True)
class TableRead:
    """What a query reads of one table.

    Attributes:
        name: what the query calls it.
        uri: where it is.
        version: which version.
        files: how many data files may hold rows that matter.
        size_bytes: their sizes added up.
        all_files: how many the version has.
        all_bytes: their sizes added up.
        predicate: by which files were left out; None where none could be.
        own_files: how many of the files DuckDB does not read by itself.
        read_bytes: what the run read of them, by DuckDB's own account, which leaves out what it did not need of a file;
            None where it was not run, or nobody counted (files that DuckDB does not read by itself; two versions of one
            table).
    """

    name: str
    uri: str
    version: int
    files: int
    size_bytes: int
    all_files: int
    all_bytes: int
    predicate: str | None
    own_files: int
    read_bytes: int | None = None

    @classmethod
    def of(cls, table: TablePlan, read_bytes: int | None = None) -> TableRead:
        """Count the files of a plan, and those of its version."""
        snapshot = table.source.snapshot
        everything = snapshot.files
        return cls(
            name=table.name,
            uri=table.source.store.uri,
            version=snapshot.version,
            files=table.plan.files.num_files,
            size_bytes=table.plan.files.size_bytes,
            all_files=everything.num_files,
            all_bytes=everything.size_bytes,
            predicate=table.predicate,
            own_files=table.own_files,
            read_bytes=read_bytes,
        )

    def __str__(self) -> str:
        sizes = f"{format_size(self.size_bytes)} of {format_size(self.all_bytes)}"
        read = "" if self.read_bytes is None else f"; {format_size(self.read_bytes)} read"
        lines = [
            f"{self.name}: {self.uri}, version {self.version}",
            f"  files {self.files:,} of {self.all_files:,}, {sizes}{read}",
        ]
        if self.predicate is not None:
            lines.append(f"  left out by: {self.predicate}")
        if self.own_files:
            lines.append(f"  read by lakefmt, not by DuckDB itself: {plural(self.own_files, 'file')}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a query is run; prints as text.

    Attributes:
        tables: what is read of each.
        operators: DuckDB's plan over the files that are left, its last operator; with rows and times where the query was
            run. None where the log answers.
        planning_seconds: what was spent before DuckDB was asked.
        memory_limit: of the query, in bytes.
        executor: what runs it: ``"in-process"``, or ``"log"`` where no data file is needed.
        reason: why.
        seconds: what the whole run took; None where it was not run, as for all below.
        rows: of the result.
        peak_memory_bytes: the most that DuckDB held, looked at every few milliseconds.
        spilled_bytes: what was written to files for want of memory.
    """

    tables: tuple[TableRead, ...]
    operators: Operator | None
    planning_seconds: float
    memory_limit: int
    executor: str
    reason: str
    seconds: float | None = None
    rows: int | None = None
    peak_memory_bytes: int | None = None
    spilled_bytes: int | None = None

    @property
    def plan(self) -> str:
        """The operators as text, one a line, what feeds an operator below it; '' where the log answers."""
        return "" if self.operators is None else str(self.operators)

    def __str__(self) -> str:
        return "\n".join([*self._lines(), *map(str, self.tables), *(["", self.plan] if self.plan else [])])

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        times = f"planned in {_milliseconds(self.planning_seconds)}"
        if self.seconds is None:
            yield times
        else:
            rows = "" if self.rows is None else f"{plural(self.rows, 'row')} in "
            yield f"{rows}{_milliseconds(self.seconds)}, {times}"
        yield f"executor: {self.executor} ({self.reason})"
        if self.peak_memory_bytes is not None:
            spilled = (
                f"{format_size(self.spilled_bytes)} spilled" if self.spilled_bytes else "nothing spilled"
            )
            yield f"memory: {format_size(self.peak_memory_bytes)} of {format_size(self.memory_limit)}, {spilled}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
