"""A compaction as small as one can be: what transactions promise to whoever moves rows, tried out.

All rows of a group pass through memory. Which files belong together, how large outputs are and how memory is bounded
is the business of a real one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt import engine
from lakefmt.scan.plan import ScanPlan
from lakefmt.scan.read import plan_tasks
from lakefmt.scan.row_ids import moved_rows_schema
from lakefmt.scan.spec import read_spec
from lakefmt.txn.data_files import plan_write, to_add
from lakefmt.txn.row_map import ROW_MAP_SCHEMA, MappedRows, write_row_map
from lakefmt.txn.staging import load_file_rows
from lakefmt.txn.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lakefmt.log import AddFile
    from lakefmt.manifest import FileList
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.row_changes import FileRows, Rewrite
    from lakefmt.txn.row_map import RowMap
    from lakefmt.txn.writer import Writer

__all__ = ["rewrite_table"]


def rewrite_table(
    writer: Writer,
    snapshot: Snapshot,
    *,
    sort_by: str | None = None,
    num_outputs: int = 1,
    spill_to: Path | None = None,
    between: Callable[[], None] | None = None,
    hand_back: Callable[[Rewrite], None] | None = None,
) -> Snapshot:
    """Rewrite all files of a version, partition by partition, and return the version after it.

    Args:
        writer: who commits, and where.
        snapshot: the version.
        sort_by: a column to order the rows of a partition by; None keeps their order.
        num_outputs: files that the rows of a partition are cut into.
        spill_to: a folder for row maps of ordered rows, which stay in memory without.
        between: called when all is written and nothing committed: what others do meanwhile.
        hand_back: as for ``Transaction.commit``.
    """
    import pyarrow.compute as pc

    transaction = Transaction(writer, snapshot, "OPTIMIZE")
    for number, files in enumerate(_partitions(snapshot.files)):
        paths: list[Any] = files.table["path"].to_pylist()
        rows = _read(writer, snapshot, files)
        order: Any = None if sort_by is None else pc.sort_indices(rows[sort_by])
        outputs, ends = _write(writer, snapshot, rows if order is None else rows.take(order), num_outputs)
        row_map: RowMap | None = None
        if order is not None:
            inputs = load_file_rows(writer.store, snapshot, paths)
            columns = _map_rows(inputs, order, ends)
            counts = [each.num_rows for each in inputs]
            row_map = MappedRows.of(columns, counts)
            if spill_to is not None:
                path = spill_to / f"{number}.arrow"
                write_row_map(path, columns.to_batches())
                row_map = MappedRows.open(path, counts)
        transaction.stage_rewrite(paths, outputs, row_map)
    if between is not None:
        between()
    return transaction.commit(hand_back)


def _partitions(files: FileList) -> list[FileList]:
    values = [str(each) for each in files.table["partition_values"].to_pylist()]
    return [
        files.filter(pa.array([value == each for each in values], pa.bool_()))
        for value in dict.fromkeys(values)
    ]


def _read(writer: Writer, snapshot: Snapshot, files: FileList) -> pa.Table:
    schema = moved_rows_schema(snapshot)
    plan = ScanPlan(snapshot, schema, None, files)
    tasks = plan_tasks(writer.store, plan)
    batches = list(engine.read_batches(writer.store, tasks, read_spec(plan), in_order=True))
    return pa.Table.from_batches(batches, schema.to_arrow())


def _write(
    writer: Writer, snapshot: Snapshot, rows: pa.Table, num_outputs: int
) -> tuple[list[AddFile], list[int]]:
    """Write the rows; return the files, and how many rows there are up to the end of each."""
    spec = plan_write(snapshot, writer.environment, moved=True)
    now_ms = writer.environment.now_ms()
    cuts = [rows.num_rows * place // num_outputs for place in range(num_outputs + 1)]
    written = [
        file
        for start, end in pairwise(cuts)
        for file in engine.write_files(rows.slice(start, end - start).to_batches(), spec, writer.store)
    ]
    return [to_add(file, snapshot, now_ms) for file in written], sorted(set(cuts[1:]) - {0})


def _map_rows(inputs: Sequence[FileRows], order: Any, ends: Sequence[int]) -> pa.Table:
    """Return the row map of rows that were written in an order, as places among those that were there."""
    places = {source: place for place, source in enumerate(order.to_pylist())}
    outputs: list[int | None] = []
    positions: list[int | None] = []
    live = 0
    for each in inputs:
        deleted = each.deleted.bitmap
        for row in range(each.num_rows):
            if row in deleted:
                outputs.append(None)
                positions.append(None)
                continue
            place = places[live]
            live += 1
            output = next(number for number, end in enumerate(ends) if place < end)
            outputs.append(output)
            positions.append(place - (ends[output - 1] if output else 0))
    return pa.table({"output": outputs, "position": positions}, schema=ROW_MAP_SCHEMA)
