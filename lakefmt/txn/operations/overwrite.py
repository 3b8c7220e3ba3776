"""Overwrite: files that match go, new files come, in one commit.

Three reaches: the whole table; the files whose partition values match a predicate (the new rows must match it too);
or dynamically, the partitions that occur in the new rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine import discard_files
from lakefmt.errors import ConstraintViolationError, InvalidInputError
from lakefmt.expressions import ALL_ROWS, parse_predicate, quote_identifier, quote_literal
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.partition_values import parse_partition_values
from lakefmt.scan.prune import PredicatePruner, covers
from lakefmt.schema import PrimitiveType
from lakefmt.txn.changes import Changes, Read
from lakefmt.txn.commit import commit
from lakefmt.txn.data_files import to_add
from lakefmt.txn.once import once
from lakefmt.txn.operations.append import notes_on, stage_rows, write_metrics
from lakefmt.txn.operations.parameters import json_text, partition_parameter
from lakefmt.txn.result import WriteResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.engine import WrittenFile
    from lakefmt.expressions import Predicate
    from lakefmt.log import AddFile, RemoveFile, TransactionId
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.writer import Writer

__all__ = ["overwrite"]

# Past it a dynamic overwrite answers for all rows: the predicate would cost more than a needless conflict.
_MOST_PARTITIONS_TOLD = 200


def overwrite(
    writer: Writer,
    snapshot: Snapshot,
    data: Any,
    *,
    where: Predicate | None = None,
    dynamic_partitions: bool = False,
    txn: TransactionId | None = None,
    truncate_ns: bool = False,
) -> tuple[Snapshot, WriteResult]:
    """Replace rows by ``data`` and return the snapshot after it.

    Args:
        writer: who commits, and where.
        snapshot: the version whose files are replaced.
        data: the new rows, all that ``append`` takes; may have no rows.
        where: which rows go, a predicate on partition columns alone; None for all.
        dynamic_partitions: replace the partitions that occur in ``data``.
        txn: how far the application gets with this; where the table has it as far already, nothing is written.
        truncate_ns: cut nanoseconds off.

    Raises:
        InvalidInputError: ``where`` looks at other columns, or ``dynamic_partitions`` cannot apply.
        ConstraintViolationError: a new row does not match ``where``.
        CommitConflictError: another writer changed what is replaced here.
    """
    _check_reach(snapshot, where, dynamic_partitions=dynamic_partitions)

    def write(base: Snapshot) -> tuple[Snapshot, WriteResult]:
        files = stage_rows(writer, base, data, truncate_ns=truncate_ns)
        return _replace(writer, base, files, where, txn, dynamic_partitions=dynamic_partitions)

    return once(writer, snapshot, "overwrite", txn, write)


def _replace(
    writer: Writer,
    snapshot: Snapshot,
    files: Sequence[WrittenFile],
    where: Predicate | None,
    txn: TransactionId | None,
    *,
    dynamic_partitions: bool,
) -> tuple[Snapshot, WriteResult]:
    """Commit staged files in the place of those that are replaced."""
    now_ms = writer.environment.now_ms()

    def find(base: Snapshot) -> tuple[RemoveFile, ...]:
        found = _replaced_files(base, where, changes.adds, dynamic_partitions=dynamic_partitions)
        return tuple(found.to_removes(now_ms))

    try:
        changes = Changes(
            operation="WRITE",
            parameters=_parameters(snapshot, where, dynamic_partitions=dynamic_partitions),
            adds=tuple(to_add(file, snapshot, now_ms) for file in files),
            reads=(Read(_read_predicate(where, files, snapshot, dynamic_partitions=dynamic_partitions)),),
            transactions=() if txn is None else (txn,),
            staged_files=tuple(file.key for file in files),
            find_removes=find,
        )
        if where is not None:
            _check_rows_match(changes.adds, where, snapshot)
        removes = find(snapshot)
    except BaseException:
        discard_files(files, writer.store)
        raise
    if not changes.adds and not removes and txn is None:
        return snapshot, WriteResult(snapshot.version, "overwrite", committed=False)
    metrics = write_metrics(files) | {
        "numRemovedFiles": len(removes),
        "numRemovedBytes": sum(remove.size_bytes or 0 for remove in removes),
    }
    after = commit(writer, snapshot, replace(changes, metrics=metrics, removes=removes))
    return after, WriteResult(
        after.version,
        "overwrite",
        num_rows=sum(file.num_rows for file in files),
        num_files=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        num_removed_files=len(removes),
        notes=notes_on(files, snapshot),
    )


def _check_reach(snapshot: Snapshot, where: Predicate | None, *, dynamic_partitions: bool) -> None:
    place: Any = {"table": snapshot.table_uri, "version": snapshot.version}
    columns = ", ".join(snapshot.partition_columns) or "none"
    if dynamic_partitions and where is not None:
        raise InvalidInputError(
            "where and dynamic_partitions both say what is replaced", **place, hint="Give one of them"
        )
    if dynamic_partitions and not snapshot.partition_columns:
        raise InvalidInputError(
            "dynamic_partitions needs a partitioned table", **place, hint="Leave it out to replace all rows"
        )
    if where is not None and not where.only_columns(snapshot.partition_columns):
        raise InvalidInputError(
            f"This release overwrites by predicates on partition columns alone ({columns}); "
            f"this one also looks at {', '.join(sorted(set(where.columns) - set(snapshot.partition_columns)))}",
            **place,
            hint="Narrow the predicate to partition columns",
        )


def _check_rows_match(adds: Sequence[AddFile], where: Predicate, snapshot: Snapshot) -> None:
    if not adds:
        return
    files = FileList.from_adds(adds, snapshot.partition_keys)
    matches = covers(files, where, snapshot.schema, snapshot.partition_columns).to_pylist()
    for add, inside in zip(adds, matches, strict=True):
        if not inside:
            values = ", ".join(f"{name} = {value!r}" for name, value in add.partition_values.items())
            raise ConstraintViolationError(
                f"Rows with {values} do not match what is overwritten: {where.sql}",
                table=snapshot.table_uri,
                version=snapshot.version,
                hint="Leave those rows out, or widen where",
            )


def _replaced_files(
    snapshot: Snapshot, where: Predicate | None, adds: Sequence[AddFile], *, dynamic_partitions: bool
) -> FileList:
    if where is not None:
        return snapshot.choose_files(PredicatePruner(where, snapshot.schema, snapshot.partition_columns))
    files = snapshot.files
    if not dynamic_partitions:
        return files
    import pyarrow.compute as pc

    written = FileList.from_adds(adds, snapshot.partition_keys)
    return files.filter(
        pc.is_in(_partition_keys(files, snapshot), value_set=_partition_keys(written, snapshot))
    )


def _read_predicate(
    where: Predicate | None, files: Sequence[WrittenFile], snapshot: Snapshot, *, dynamic_partitions: bool
) -> Predicate:
    """Return which rows this overwrite answers for: those that another writer must not add meanwhile."""
    partitions = {tuple(map(quote_literal, file.partition_values)) for file in files}
    if where is not None or not dynamic_partitions or len(partitions) > _MOST_PARTITIONS_TOLD:
        return ALL_ROWS if where is None else where
    names = [quote_identifier(name) for name in snapshot.partition_columns]
    terms = [
        " AND ".join(
            f"{name} IS NOT DISTINCT FROM {value}" for name, value in zip(names, values, strict=True)
        )
        for values in sorted(partitions)
    ]
    return parse_predicate(" OR ".join(f"({term})" for term in terms) or "false", snapshot.schema)


def _partition_keys(files: FileList, snapshot: Snapshot) -> pa.Array[Any]:
    """Return one text per file, equal where the partition values are: writers spell one value in several ways."""
    import pyarrow.compute as pc

    parts: list[Any] = []
    for place, name in enumerate(snapshot.partition_columns):
        texts: Any = pc.struct_field(files.table["partition_values"], [place])
        kind = snapshot.schema.field(name).type
        if kind != PrimitiveType("binary"):
            texts = pc.cast(parse_partition_values(texts, kind), pa.string())
        parts.append(pc.binary_join_element_wise(pc.cast(pc.binary_length(texts), pa.string()), texts, ":"))
    keys: Any = pc.binary_join_element_wise(*[pc.fill_null(part, "null") for part in parts], ",")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def _parameters(snapshot: Snapshot, where: Predicate | None, *, dynamic_partitions: bool) -> dict[str, str]:
    parameters = {"mode": "Overwrite", "partitionBy": partition_parameter(snapshot)}
    if where is not None:
        parameters["predicate"] = json_text([where.sql])
    if dynamic_partitions:
        parameters["isDynamicPartitionOverwrite"] = "true"
    return parameters
