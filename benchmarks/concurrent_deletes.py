"""2 writers at one version, each deleting other rows of the table's one data file: which of them is told of a conflict.

Both have read the version before either commits, so that every round is a race, and the same one: who commits first
wins, the other one's commit is counted. lakefmt deletes by deletion vectors; with vectors off it writes the file anew
without the rows, as delta-rs does with its `delete`. A statement that lost may be run again, which is counted, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmarks.results import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.registry import Settings
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.writer import Writer

__all__ = ["measure"]


@dataclass(slots=True)
class Races:
    """What races of deletes came to: how often a delete was told of a conflict, and how often it then failed again."""

    conflicts: int = 0
    lost: int = 0


def measure(settings: Settings) -> tuple[Counts]:
    """Count conflicts of lakefmt's deletes, with vectors and without, and of delta-rs's."""
    rounds = settings.scaled(full=50, quick=3)
    contenders: dict[str, Callable[[str, int], Races]] = {
        "lakefmt, deletion vectors": lambda uri, times: race_with_lakefmt(uri, times, vectors=True),
        "lakefmt, vectors off": lambda uri, times: race_with_lakefmt(uri, times, vectors=False),
        "delta-rs": race_with_delta_rs,
    }
    found: dict[str, Races] = {}
    for number, (name, race) in enumerate(contenders.items()):
        uri = str(settings.folder / f"table-{number}")
        found[name] = race(uri, rounds)
        _check_rows(name, uri, rounds, found[name])
    ours = found["lakefmt, deletion vectors"]
    return (
        Counts(
            title=f"Deletes of other rows of one file at once, {rounds} rounds of 2 writers",
            columns=("", "told of a conflict", "told again when run again"),
            rows=tuple((name, str(each.conflicts), str(each.lost)) for name, each in found.items()),
            bar="no conflict of lakefmt's with deletion vectors",
            verdict="missed" if ours.conflicts else "met",
        ),
    )


def race_with_lakefmt(uri: str, rounds: int, *, vectors: bool) -> Races:
    """Race two deletes a round; every one deletes a row of its own."""
    import lakefmt
    from lakefmt.txn.writer import Writer

    properties = {"delta.enableDeletionVectors": str(vectors).lower()}
    table = lakefmt.write(uri, _rows(rounds), properties=properties, storage_options={"fsync": False})
    writer, snapshot = Writer(table._store), table.snapshot  # noqa: SLF001 - below the public face there is no DELETE yet
    stage = _stage_positions if vectors else _stage_file_anew
    found = Races()
    for number in range(rounds):
        one, other = (stage(writer, snapshot, 2 * number + each) for each in range(2))
        snapshot = one()
        try:
            snapshot = other()
        except lakefmt.CommitConflictError:
            found.conflicts += 1
            try:
                snapshot = stage(writer, snapshot, 2 * number + 1)()
            except lakefmt.CommitConflictError:
                found.lost += 1
    return found


def race_with_delta_rs(uri: str, rounds: int) -> Races:
    """The same with delta-rs."""
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import DeltaError

    write_deltalake(uri, _rows(rounds))
    found = Races()
    for number in range(rounds):
        one, other = DeltaTable(uri), DeltaTable(uri)
        one.delete(f"id = {2 * number}")
        try:
            other.delete(f"id = {2 * number + 1}")
        except DeltaError:
            found.conflicts += 1
            try:
                DeltaTable(uri).delete(f"id = {2 * number + 1}")
            except DeltaError:
                found.lost += 1
    return found


def _stage_positions(writer: Writer, snapshot: Snapshot, row: int) -> Callable[[], Snapshot]:
    """Return the commit of a delete of one row, by where it is in the file."""
    from lakefmt.txn.transaction import Transaction

    transaction = Transaction(writer, snapshot, "DELETE")
    path: Any = snapshot.files.table["path"][0].as_py()
    transaction.stage_delete({path: [row]})
    return transaction.commit


def _stage_file_anew(writer: Writer, snapshot: Snapshot, row: int) -> Callable[[], Snapshot]:
    """Return the commit of the same delete by a file that is written without the row."""
    import lakefmt
    from lakefmt.expressions import parse_predicate
    from lakefmt.txn.operations.append import stage_rows
    from lakefmt.txn.transaction import Transaction

    transaction = Transaction(writer, snapshot, "DELETE")
    files = transaction.read(parse_predicate(f"id = {row}", snapshot.schema), only_written=True)
    left: Any = lakefmt.open(snapshot.table_uri, version=snapshot.version).scan(where=f"id <> {row}")
    transaction.add_written(stage_rows(writer, snapshot, left.to_arrow(), truncate_ns=False))
    transaction.remove(files)
    return transaction.commit


def _rows(rounds: int) -> pa.Table:
    return pa.table({"id": pa.array(range(2 * rounds + 1), pa.int64())})


def _check_rows(name: str, uri: str, rounds: int, found: Races) -> None:
    """Whoever was told that a delete is done finds its row gone, and no other."""
    import lakefmt

    rows = lakefmt.open(uri).count()
    if rows != 1 + found.lost:
        raise AssertionError(f"{name}: {rows} rows left of {2 * rounds + 1}, {found.lost} deletes failed")
