"""Create: the first version of a table, without data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lakefmt.errors import InvalidInputError, LakefmtError, TableExistsError
from lakefmt.log import Metadata
from lakefmt.log.features import protocol_for
from lakefmt.log.listing import is_table
from lakefmt.log.row_tracking import (
    COMMIT_VERSION_COLUMN_PROPERTY,
    ROW_ID_COLUMN_PROPERTY,
    is_row_tracking_enabled,
)
from lakefmt.schema import (
    FIELD_IDS_PROPERTY,
    DecimalType,
    PrimitiveType,
    Schema,
    assign_field_ids,
    closest_names,
    format_schema,
)
from lakefmt.schema.validation import check_new_schema, features_of
from lakefmt.txn.changes import Changes
from lakefmt.txn.commit import check_can_commit, commit_first_version
from lakefmt.txn.operations.parameters import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakefmt.txn.environment import Environment
    from lakefmt.txn.writer import Writer

__all__ = ["create", "partition_names", "plan_create"]

_UNPARTITIONABLE = frozenset({"variant", "void"})


def create(writer: Writer, changes: Changes) -> None:
    """Publish version 0. Raises TableExistsError where a table is there already."""
    store = writer.store
    check_can_commit(store)
    if is_table(store) or not commit_first_version(writer, changes):
        raise TableExistsError(
            "There is a table here already",
            table=store.uri,
            hint="Open it with lakefmt.open, or write to it with lakefmt.write",
        )


def plan_create(
    schema: Any,
    environment: Environment,
    *,
    partition_by: str | Sequence[str] = (),
    properties: Mapping[str, Any] | None = None,
    name: str | None = None,
    description: str | None = None,
    truncate_ns: bool = False,
    table: str,
) -> Changes:
    """Check what is asked for and return the first commit (pure but for ids and the clock).

    Raises:
        InvalidInputError: schema, partition columns or properties make no table.
        UnsupportedFeatureError: a type or property this release cannot honour.
    """
    from lakefmt.properties import DEFAULT_PROPERTIES, check_new_properties

    try:
        fields = Schema.from_arrow(schema, timestamp_ns="truncate" if truncate_ns else "error")
        for column in fields.names:
            _check_text("A column name", column)
        partition_columns = _check_partition_columns(partition_names(partition_by), fields)
        check_new_schema(fields)
        configuration = {
            **DEFAULT_PROPERTIES,
            **check_new_properties({} if properties is None else properties),
        }
        _check_text("name", name)
        _check_text("description", description)
        protocol = protocol_for(frozenset(features_of(fields)), configuration)
    except LakefmtError as error:
        error.table = error.table or table
        raise
    configuration[FIELD_IDS_PROPERTY] = assign_field_ids(fields).encode()
    if is_row_tracking_enabled(protocol, configuration):
        # Where files keep ids of rows that were moved into them; no column of the table may have these names, ever.
        configuration[ROW_ID_COLUMN_PROPERTY] = f"_row-id-col-{environment.new_id()}"
        configuration[COMMIT_VERSION_COLUMN_PROPERTY] = f"_row-commit-version-col-{environment.new_id()}"
    metadata = Metadata(
        id=environment.new_id(),
        schema_string=format_schema(fields),
        partition_columns=partition_columns,
        configuration=configuration,
        name=name,
        description=description,
        created_time_ms=environment.now_ms(),
    )
    shown = {k: v for k, v in configuration.items() if k != FIELD_IDS_PROPERTY}
    return Changes(
        operation="CREATE TABLE",
        parameters={
            "partitionBy": json_text(list(partition_columns)),
            "properties": json_text(shown),
            "isManaged": "false",
        },
        protocol=protocol,
        metadata=metadata,
    )


def partition_names(partition_by: str | Sequence[str]) -> tuple[str, ...]:
    """Return the argument ``partition_by``, one name or several, as names. Raises InvalidInputError."""
    names: Any = (partition_by,) if isinstance(partition_by, str) else partition_by
    try:
        names = tuple(names)
    except TypeError:
        names = (names,)
    if not all(isinstance(name, str) for name in names):
        raise InvalidInputError(
            f"partition_by is a column name or a list of them, not {partition_by!r:.80}",
            hint="Write partition_by=['month', 'day']",
        )
    return cast("tuple[str, ...]", names)


def _check_text(argument: str, value: Any) -> None:
    if value is None:
        return
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError) as error:
        raise InvalidInputError(f"{argument} must be Unicode text, not {value!a:.80}") from error


def _check_partition_columns(partition_by: Sequence[str], schema: Schema) -> tuple[str, ...]:
    """Return the columns as the schema spells them."""
    resolved = []
    for column in partition_by:
        found = schema.find(column)
        if found is None:
            close = closest_names(column, schema.names)
            raise InvalidInputError(
                f"There is no column {column!r} to partition by",
                hint=f"Did you mean {close[0]!r}?" if close else f"The columns are {', '.join(schema.names)}",
            )
        if not isinstance(found.type, PrimitiveType | DecimalType) or str(found.type) in _UNPARTITIONABLE:
            raise InvalidInputError(
                f"A table cannot be partitioned by {found.name!r}, which is of type {found.type}",
                hint="Choose a column of plain values",
            )
        resolved.append(found.name)
    if len(set(resolved)) < len(resolved):
        raise InvalidInputError(f"partition_by names a column twice: {', '.join(partition_by)}")
    if resolved and len(resolved) == len(schema):
        raise InvalidInputError(
            "Every column is a partition column", hint="Leave one out: a data file needs a column of its own"
        )
    return tuple(resolved)
