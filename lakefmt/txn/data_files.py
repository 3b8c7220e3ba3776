"""From rows to ``add`` actions: what a table asks of its data files, and what the log says of each.

Rules 1 to 5 for data files that every format can publish: field ids on every Parquet field, partition columns
materialised last, microseconds, and names of the form ``<uuid>-0_<token>_<yyyyMMddHHmmssSSS>.parquet`` in hive-style
folders.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.engine import WriteSpec
from lakefmt.errors import CorruptTableError
from lakefmt.log import AddFile
from lakefmt.log.paths import key_to_path
from lakefmt.manifest.clustering import CLUSTERING_DOMAIN, parse_clustering_columns
from lakefmt.manifest.partition_values import format_partition_value, partition_folder
from lakefmt.manifest.statistics import encode_statistics, statistics_columns, statistics_tags
from lakefmt.schema import physical_arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakefmt.engine import WrittenFile
    from lakefmt.schema import FieldPath
    from lakefmt.snapshot import Snapshot
    from lakefmt.txn.environment import Environment

__all__ = ["plan_write", "to_add"]


def plan_write(snapshot: Snapshot, environment: Environment, *, moved: bool = False) -> WriteSpec:
    """Return how this table's data files are laid out, named for one transaction that starts now.

    Args:
        snapshot: the version that files are written for.
        environment: clock and ids.
        moved: the rows come from other files of the table, in the columns of ``moved_rows_schema``: where the table
            tracks its rows, with their ids and commit versions, null for those that the commit is to give.

    Raises:
        CorruptTableError: the table contradicts itself.
    """
    schema, partition_columns, properties = snapshot.schema, snapshot.partition_columns, snapshot.properties
    ordered = [n for n in schema.names if n not in partition_columns] + list(partition_columns)
    physical = physical_arrow_schema(schema.select(ordered), snapshot.field_ids)
    if moved and (tracking := snapshot.row_tracking) is not None:
        # Without a number, as Spark writes them: whoever reads by numbers does not see them.
        for name in (tracking.row_id_column, tracking.commit_version_column):
            physical = physical.insert(len(physical) - len(partition_columns), pa.field(name, pa.int64()))
    return WriteSpec(
        schema=physical,
        partition_columns=partition_columns,
        write_partition_columns=properties.write_partition_columns,
        statistics_columns=statistics_columns(
            schema, partition_columns, snapshot.metadata.configuration, also=_clustering_columns(snapshot)
        ),
        target_file_bytes=properties.target_file_size_bytes,
        compression=properties.compression,
        name_file=_file_namer(partition_columns, environment),
    )


def to_add(file: WrittenFile, snapshot: Snapshot, modified_ms: int) -> AddFile:
    """Return the action that makes a written file part of the table."""
    values = zip(snapshot.partition_columns, file.partition_values, strict=True)
    return AddFile(
        path=key_to_path(file.key),
        partition_values={name: format_partition_value(value) for name, value in values},
        size_bytes=file.size_bytes,
        modified_ms=modified_ms,
        stats=encode_statistics(file.statistics),
        tags=statistics_tags(file.statistics) or None,
    )


def _clustering_columns(snapshot: Snapshot) -> tuple[FieldPath, ...]:
    """Return the columns that every file must have statistics of ("Writer Requirements for Clustered Table")."""
    domain = snapshot.domains.get(CLUSTERING_DOMAIN)
    if domain is None:
        return ()
    try:
        return parse_clustering_columns(domain)
    except ValueError as error:
        raise CorruptTableError(
            f"The domain {CLUSTERING_DOMAIN} does not name the clustering columns: {domain.configuration!r:.80}",
            table=snapshot.table_uri,
            version=snapshot.version,
            hint="Set it right with the engine that wrote it",
        ) from error


def _file_namer(
    partition_columns: Sequence[str], environment: Environment
) -> Callable[[tuple[pa.Scalar[Any], ...], int], str]:
    instant = datetime.fromtimestamp(environment.now_ms() / 1000, UTC).strftime("%Y%m%d%H%M%S%f")[:17]

    def name_file(values: tuple[pa.Scalar[Any], ...], number: int) -> str:
        name = f"{environment.new_id()}-0_0-0-{number}_{instant}.parquet"
        if not partition_columns:
            return name
        texts = [format_partition_value(value) for value in values]
        return f"{partition_folder(partition_columns, texts)}/{name}"

    return name_file
