"""The columns of row changes, and whether those of all versions of a range have a place under one schema."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.schema import Field, PrimitiveType, Schema
from lakefmt.schema.evolution import find_lost_column
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.replay import replay_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log import Commit
    from lakefmt.snapshot import Snapshot
    from lakefmt.store import Store

__all__ = ["CHANGE_TYPE", "VERSION_COLUMNS", "changes_schema", "check_schemas"]

CHANGE_TYPE: Final = "_change_type"
VERSION_COLUMNS: Final = ("_commit_version", "_commit_timestamp")
_CHANGE_FIELDS: Final = (
    Field(CHANGE_TYPE, PrimitiveType("string"), nullable=False),
    Field(VERSION_COLUMNS[0], PrimitiveType("long"), nullable=False),
    Field(VERSION_COLUMNS[1], PrimitiveType("timestamp"), nullable=False),
)


def changes_schema(snapshot: Snapshot) -> Schema:
    """Return the table's columns, all nullable since older rows may lack them, and after them those of a change.

    Raises:
        InvalidInputError: the table has a column of one of their names.
    """
    schema = snapshot.schema
    for field in _CHANGE_FIELDS:
        if schema.find(field.name) is not None:
            raise InvalidInputError(
                f"The table has a column {field.name!r}, which is the name of a column of every change",
                table=snapshot.table_uri,
                version=snapshot.version,
                hint="Rename the column to read the table's changes",
            )
    fields = [replace(field, nullable=True) for field in schema.fields]
    return Schema((*fields, *_CHANGE_FIELDS), column_mapping=schema.column_mapping)


def check_schemas(store: Store, end: Snapshot, first: int, turns: Sequence[tuple[int, Commit]]) -> None:
    """Check that rows of each version of a range have a place under the schema of its end.

    Args:
        store: the table's store.
        end: the last version.
        first: the first one.
        turns: versions of the range, and their commits, that have a protocol or a metaData action.

    Raises:
        UnsupportedFeatureError: they have not, or a version cannot be read at all; it is named.
        VersionNotFoundError: the schema of the first version is no longer in the log, and it changed since.
    """
    if not any(version > first for version, _ in turns):
        return  # all of the range has the schema of its end
    epoch = load_snapshot(store, first, end.catalog)
    _check_schema(epoch, end)
    for version, commit in turns:
        if version > first:
            # Its files are not asked for, only what the log says of columns and features.
            epoch = epoch.advance((), replay_state(epoch.state, [commit]), version, 0)
            _check_schema(epoch, end)


def _check_schema(epoch: Snapshot, end: Snapshot) -> None:
    lost = find_lost_column(epoch.schema, end.schema)
    if lost is None and epoch.partition_keys != end.partition_keys:
        lost = f"it is partitioned by {_listed(end)}, and was by {_listed(epoch)}"
    if lost is not None:
        raise UnsupportedFeatureError(
            f"Changes of version {epoch.version} cannot be shown under the schema of version {end.version}: {lost}",
            table=end.table_uri,
            version=epoch.version,
            hint="Read the versions up to the change of schema, and those after it, by themselves",
        )


def _listed(snapshot: Snapshot) -> str:
    return ", ".join(snapshot.partition_columns) or "nothing"
