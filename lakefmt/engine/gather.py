"""Rows gathered as one result: in memory, and past a limit in a file that is mapped into it.

The file is Arrow's stream format without a codec, so that what is mapped are the columns themselves: pages come from the
system's cache of files, which drops and reads them again as it needs to. Its name is gone before the caller has the rows;
the system frees its blocks with the last array that looks at them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["gather_tables"]

_numbers = itertools.count()


def gather_tables(tables: Iterable[pa.Table], schema: pa.Schema, limit_bytes: int | None) -> list[pa.Table]:
    """Return all of some tables, in their order; mapped from a file where they take more than so many bytes.

    Args:
        tables: are drawn once, and let go of where they go to the file.
        schema: of all of them.
        limit_bytes: of memory; None for no limit.

    Raises:
        ResourceError: there is no room on disk for what does not fit; nothing is left there.
    """
    held: deque[pa.Table] = deque()
    size = 0
    remaining = iter(tables)
    for table in remaining:
        held.append(table)
        if limit_bytes is not None:
            size += table.nbytes
            if size > limit_bytes:
                del table
                return [_spill(itertools.chain(_drained(held), remaining), schema)]
    return list(held)


def _drained(held: deque[pa.Table]) -> Iterator[pa.Table]:
    while held:
        yield held.popleft()


def _spill(tables: Iterator[pa.Table], schema: pa.Schema) -> pa.Table:
    path = _new_path()
    try:
        _write(path, tables, schema)
        with _told(path):
            rows = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    finally:
        # Where a mapped file keeps its name (Windows) it goes with the folder, when the process ends.
        with contextlib.suppress(OSError):
            path.unlink()
    return rows


def _write(path: Path, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    with _told(path):
        file = pa.OSFile(str(path), "wb")
    try:
        with _told(path):
            writer: Any = pa.ipc.new_stream(file, schema)
        # An error of what the rows come from is not one of this file.
        for table in tables:
            with _told(path):
                writer.write_table(table)
        with _told(path):
            writer.close()
            file.close()
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"A result that does not fit in memory cannot be written to {path.parent}: {os.strerror(error.errno or 0)}",
            hint="Make room there, set TMPDIR to a folder on a larger disk, take the rows in batches (to_batches), "
            "or raise result_memory_limit",
        ) from error


def _new_path() -> Path:
    from lakefmt.process_folders import own_folder  # and with it half the standard library

    try:
        return own_folder("spill") / f"result-{next(_numbers)}.arrow"
    except OSError as error:
        raise ResourceError(
            f"There is no folder for a result that does not fit in memory: {error}",
            hint="Set TMPDIR to a folder that can be written to, or raise result_memory_limit",
        ) from error
