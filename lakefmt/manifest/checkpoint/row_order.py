"""Putting more rows in order than should be held: by way of files, each of which holds what comes out together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["in_place"]

_HELD_ROWS = 50_000


def in_place(tables: Iterable[pa.Table], places: Any) -> Iterator[pa.Table]:
    """Yield the rows of tables in another order, some at a time.

    No more than some 50,000 rows are held; where there are more, all of them go through temporary files.

    Args:
        tables: of one schema.
        places: an int64 array with the place of each of their rows among all that come out, each place once.

    Raises:
        OutOfMemoryError: the temporary files have no place.
    """
    import pyarrow.compute as pc

    if len(places) <= _HELD_ROWS:
        held = pa.concat_tables(tables)
        if held.num_rows:
            order: Any = pc.sort_indices(places)
            yield held.take(order)
        return
    # What it imports no reader of a checkpoint needs.
    from lakefmt.process_folders import temporary_folder

    try:
        with temporary_folder("checkpoint") as folder:
            files = [folder / str(number) for number in range(-(-len(places) // _HELD_ROWS))]
            _distribute(tables, places, files)
            for file in files:
                with pa.memory_map(str(file)) as source:
                    rows = pa.ipc.open_file(source).read_all()
                    order = pc.sort_indices(rows["place"])
                    yield rows.drop_columns(["place"]).take(order)
    except OSError as error:
        raise OutOfMemoryError(
            f"{len(places):,} files are put in order through temporary files, which cannot be written or read: {error}",
            hint="Make room on that disk, or name another folder in TMPDIR",
        ) from error


def _distribute(tables: Iterable[pa.Table], places: Any, files: list[Path]) -> None:
    import pyarrow.compute as pc

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    start = 0
    with ExitStack() as stack:
        writers: list[Any] = []
        for table in tables:
            here = places.slice(start, table.num_rows)
            start += table.num_rows
            rows = table.append_column("place", here)
            writers = writers or [
                stack.enter_context(pa.ipc.new_file(str(file), rows.schema, options=options))
                for file in files
            ]
            buckets: Any = pc.divide(here, pa.scalar(_HELD_ROWS, pa.int64()))
            for bucket in pc.unique(buckets).to_pylist():
                mask: Any = pc.equal(buckets, pa.scalar(bucket, pa.int64()))
                writers[bucket].write_table(rows.filter(mask))
