"""Rows on their way from a task of the last stage to the driver: a few as they are, more in a file of the job's folder.

The file is an Arrow IPC stream without codec, ``<stage>-<number>-<attempt>.arrow``, written beside and renamed. The driver
maps it and removes its name at once: the disk is free again when the last of the rows is let go.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from lakefmt.engine.parquet_reader import concat_rows
from lakefmt.errors import LostOutputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lakefmt.engine.tasks.task import TaskContext

__all__ = ["ResultRows", "leave_rows", "open_rows"]


@dataclass(frozen=True, slots=True)
class ResultRows:
    """The rows of one task.

    Attributes:
        stage, number, attempt: the task's.
        num_rows: how many.
        num_bytes: of Arrow data.
        table: the rows, where they are few; else None.
        path: the file that holds them, else None.
        file_bytes: its length.
    """

    stage: str
    number: int
    attempt: int
    num_rows: int
    num_bytes: int
    table: pa.Table | None
    path: str | None = None
    file_bytes: int = 0


def leave_rows(
    tables: Iterable[pa.Table], schema: pa.Schema, context: TaskContext, *, held_bytes: int
) -> ResultRows:
    """Take rows as they are made and leave them for the driver.

    Args:
        tables: of the schema.
        schema: theirs.
        context: the task's.
        held_bytes: so many may come as they are, without a file.

    Raises:
        StoreError: the file cannot be written; the job's disk is full, most likely.
    """
    held: list[pa.Table] = []
    rows = size = 0
    path = Path(context.folder) / f"{context.stage}-{context.number}-{context.attempt}.arrow"
    with contextlib.ExitStack() as open_file:
        file: _NewFile | None = None
        for table in tables:
            context.check_cancelled()
            rows += table.num_rows
            size += table.nbytes
            held.append(table)
            if size <= held_bytes and file is None:
                continue
            with _as_store_error(path):
                file = file or open_file.enter_context(_NewFile(path, schema))
                for each in held:
                    file.stream.write_table(each)
            held = []
        if file is None:
            whole = concat_rows(held, schema)
            return ResultRows(context.stage, context.number, context.attempt, rows, size, whole)
        with _as_store_error(path):
            length = file.publish()
    return ResultRows(context.stage, context.number, context.attempt, rows, size, None, str(path), length)


def open_rows(result: ResultRows) -> pa.Table:
    """Return the rows, those of a file mapped.

    Raises:
        LostOutputError: the file is gone, or not as it was written.
    """
    if result.table is not None:
        return result.table
    assert result.path is not None  # noqa: S101 - one of the two is there
    try:
        source = pa.memory_map(result.path)
        if source.size() != result.file_bytes:
            raise pa.ArrowInvalid(f"it has {source.size()} bytes, and {result.file_bytes} were written")  # noqa: TRY301
        with pa.ipc.open_stream(source) as reader:
            table = reader.read_all()
        if sys.platform != "win32":  # where a mapped file cannot be removed; there it goes with the folder
            os.unlink(result.path)  # noqa: PTH108
    except (OSError, pa.ArrowInvalid) as error:
        raise LostOutputError(
            f"The rows that task {result.number} of stage {result.stage!r} left cannot be read: {error}",
            stage=result.stage,
            number=result.number,
            attempt=result.attempt,
            path=result.path,
        ) from error
    return table


class _NewFile:
    """A file that is there when it is published, and gone unless it was."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._unfinished = path.with_suffix(".tmp")
        self._sink = pa.OSFile(str(self._unfinished), "wb")
        self.stream: Any = pa.ipc.new_stream(self._sink, schema)

    def publish(self) -> int:
        """Give the file its name and return its length."""
        self.stream.close()
        length: int = self._sink.tell()
        self._sink.close()
        self._unfinished.rename(self._path)
        return length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.close()
        self._unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_store_error(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"Rows cannot be written to the job's folder: {error}",
            path=str(path),
            hint="Make room there, or set TMPDIR to a larger disk",
        ) from error
