"""create, open, write: how a handle on a table comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lakefmt.commit_timeout import COMMIT_TIMEOUT_S, check_timeout
from lakefmt.errors import InvalidInputError, TableExistsError, TableNotFoundError
from lakefmt.log.listing import is_table as log_is_table
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store
from lakefmt.table import Table, open_at

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from lakefmt.log import Catalog
    from lakefmt.txn.writer import Writer

__all__ = ["WriteMode", "create", "is_table", "open_table", "write"]

WriteMode = Literal["append", "overwrite", "error", "ignore"]


def create(
    uri: str | os.PathLike[str],
    schema: Any,
    *,
    partition_by: str | Sequence[str] = (),
    properties: Mapping[str, Any] | None = None,
    name: str | None = None,
    description: str | None = None,
    commit_timeout_s: float | None = COMMIT_TIMEOUT_S,
    storage_options: Mapping[str, Any] | None = None,
) -> Table:
    """Create an empty table and return its handle.

    Args:
        uri: a local path or any fsspec URI (``s3://bucket/trips``).
        schema: a pyarrow schema, a ``lakefmt.Schema``, anything that exports an Arrow schema, or a mapping of column
            names to Arrow types or Delta type names.
        partition_by: columns to divide the files by.
        properties: table properties (``{"delta.appendOnly": True}``); the rest have the defaults of a new table.
        name: a name for people.
        description: a sentence for people.
        commit_timeout_s: how long commits through this handle go on where other writers keep taking the next version, or
            storage does not say what became of one; None for ever.
        storage_options: what the store needs to know: credentials, endpoints.

    Raises:
        TableExistsError: there is a table already.
        InvalidInputError: schema, partition columns or properties make no table.
        StoreError: storage refused.
    """
    from lakefmt.txn.commit import follow_up
    from lakefmt.txn.environment import SYSTEM
    from lakefmt.txn.operations.create import create as create_table
    from lakefmt.txn.operations.create import plan_create

    writer = _writer_to(uri, storage_options, commit_timeout_s)
    store = writer.store
    plan = plan_create(
        schema,
        SYSTEM,
        partition_by=partition_by,
        properties=properties,
        name=name,
        description=description,
        table=store.uri,
    )
    create_table(writer, plan)
    snapshot = load_snapshot(store)
    follow_up(writer, snapshot)
    return Table(store, snapshot, commit_timeout_s=writer.timeout_s)


def open_table(
    uri: str | os.PathLike[str],
    *,
    version: int | None = None,
    timestamp: str | datetime | None = None,
    catalog: Catalog | None = None,
    commit_timeout_s: float | None = COMMIT_TIMEOUT_S,
    storage_options: Mapping[str, Any] | None = None,
) -> Table:
    """Open a table; exported as ``lakefmt.open``.

    Args:
        uri: where it is.
        version: a version to stand at, read-only; None for the newest.
        timestamp: a moment to stand at, read-only: ISO 8601 text (UTC where it names no zone) or a datetime.
        catalog: the catalog that manages the table, any object with the method of ``lakefmt.Catalog``; it is asked
            for the newest version and for commits that are not published yet, here and at every refresh.
        commit_timeout_s: how long commits through this handle go on where other writers keep taking the next version, or
            storage does not say what became of one; None for ever.
        storage_options: what the store needs to know: credentials, endpoints.

    Raises:
        TableNotFoundError: there is no table.
        VersionNotFoundError: it never had that version, or no longer has it.
        UnsupportedFeatureError: it asks readers for something this release does not have.
        CorruptTableError: its log contradicts itself.
    """
    timeout_s = check_timeout(commit_timeout_s)
    return open_at(open_store(uri, storage_options), version, timestamp, catalog, timeout_s)


def write(
    uri: str | os.PathLike[str],
    data: Any,
    *,
    mode: WriteMode = "error",
    partition_by: str | Sequence[str] = (),
    properties: Mapping[str, Any] | None = None,
    txn: tuple[str, int] | None = None,
    truncate_ns: bool = False,
    commit_timeout_s: float | None = COMMIT_TIMEOUT_S,
    storage_options: Mapping[str, Any] | None = None,
) -> Table:
    """Write ``data`` to a table, creating it from the data's schema if it is not there.

    Args:
        uri: where the table is, or will be.
        data: all that ``Table.append`` takes.
        mode: what to do with a table that is there: ``append``, ``overwrite`` all its rows, raise an ``error``, or
            ``ignore`` the data.
        partition_by: for a new table.
        properties: for a new table.
        txn: as for ``Table.append``; in the modes ``append`` and ``overwrite``.
        truncate_ns: cut nanosecond timestamps to microseconds instead of refusing them.
        commit_timeout_s: how long commits here and through the handle go on where other writers keep taking the next version, or
            storage does not say what became of one; None for ever.
        storage_options: what the store needs to know: credentials, endpoints.

    Raises:
        TableExistsError: mode is ``error`` and there is a table.
        InvalidInputError: the data does not fit; nothing was written.
    """
    if mode not in ("append", "overwrite", "error", "ignore"):
        raise InvalidInputError(
            f"There is no write mode {mode!r}", hint="Choose 'append', 'overwrite', 'error' or 'ignore'"
        )
    if txn is not None and mode not in ("append", "overwrite"):
        raise InvalidInputError(
            f"txn makes writes that are tried again safe; mode {mode!r} writes a table that is not there",
            hint="Choose mode='append' or mode='overwrite'",
        )
    writer = _writer_to(uri, storage_options, commit_timeout_s)
    try:
        table = open_at(writer.store, commit_timeout_s=writer.timeout_s)
    except TableNotFoundError:
        return _write_new(writer, data, mode, partition_by, properties, txn=txn, truncate_ns=truncate_ns)
    return _write_existing(table, data, mode, partition_by, txn=txn, truncate_ns=truncate_ns)


def is_table(uri: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> bool:
    """Tell whether there is a table at ``uri``."""
    return log_is_table(open_store(uri, storage_options))


def _writer_to(
    uri: str | os.PathLike[str], storage_options: Mapping[str, Any] | None, commit_timeout_s: float | None
) -> Writer:
    from lakefmt.write_side import WriteSide

    return WriteSide(open_store(uri, storage_options), check_timeout(commit_timeout_s)).writer


def _write_new(
    writer: Writer,
    data: Any,
    mode: WriteMode,
    partition_by: str | Sequence[str],
    properties: Mapping[str, Any] | None,
    *,
    txn: tuple[str, int] | None,
    truncate_ns: bool,
) -> Table:
    from lakefmt.schema.sources import open_source
    from lakefmt.txn.environment import SYSTEM
    from lakefmt.txn.once import parse_txn
    from lakefmt.txn.operations.create import plan_create
    from lakefmt.txn.operations.write_new import write_new

    number = parse_txn(txn, writer.environment, table=writer.store.uri)
    source = open_source(data)
    plan = plan_create(
        source.schema,
        SYSTEM,
        partition_by=partition_by,
        properties=properties,
        truncate_ns=truncate_ns,
        table=writer.store.uri,
    )
    try:
        after = write_new(
            writer,
            plan,
            source,
            join_existing=mode == "append",
            replace_existing=mode == "overwrite",
            txn=number,
            truncate_ns=truncate_ns,
        )
    except TableExistsError:
        if mode != "ignore":
            raise
        return open_at(writer.store, commit_timeout_s=writer.timeout_s)
    return Table(writer.store, after, commit_timeout_s=writer.timeout_s)


def _write_existing(
    table: Table,
    data: Any,
    mode: WriteMode,
    partition_by: str | Sequence[str],
    *,
    txn: tuple[str, int] | None,
    truncate_ns: bool,
) -> Table:
    from lakefmt.txn.operations.create import partition_names

    if mode in ("append", "overwrite"):
        _check_same_partitioning(table, partition_names(partition_by))
    match mode:
        case "append":
            table.append(data, txn=txn, truncate_ns=truncate_ns)
        case "overwrite":
            table.overwrite(data, txn=txn, truncate_ns=truncate_ns)
        case "error":
            raise TableExistsError(
                "There is a table here already",
                table=table.uri,
                hint="Choose mode='append' or mode='overwrite', or another place",
            )
        case "ignore":
            pass
    return table


def _check_same_partitioning(table: Table, asked: tuple[str, ...]) -> None:
    there = table.partition_columns
    if asked and [name.lower() for name in asked] != [name.lower() for name in there]:
        raise InvalidInputError(
            f"partition_by asks for {', '.join(asked)}; the table is "
            + (f"partitioned by {', '.join(there)}" if there else "not partitioned"),
            table=table.uri,
            hint="Leave partition_by out, or write a new table",
        )
