"""lakefmt: ACID tables over Parquet on any fsspec store, in the open Delta format.

    import lakefmt

    t = lakefmt.create("path/to/trips", schema, partition_by=["day"])
    t.append(rows)
    t.scan(columns=["id"], where="fare > 10").to_arrow()

``docs/tour.md`` walks through the code; every name below is public.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lakefmt.engine.progress import show_progress as show_progress
    from lakefmt.errors import CommitConflictError as CommitConflictError
    from lakefmt.errors import ConstraintViolationError as ConstraintViolationError
    from lakefmt.errors import CorruptTableError as CorruptTableError
    from lakefmt.errors import InvalidInputError as InvalidInputError
    from lakefmt.errors import InvalidQueryError as InvalidQueryError
    from lakefmt.errors import LakefmtError as LakefmtError
    from lakefmt.errors import LostOutputError as LostOutputError
    from lakefmt.errors import MissingPackageError as MissingPackageError
    from lakefmt.errors import ObjectNotFoundError as ObjectNotFoundError
    from lakefmt.errors import OutOfMemoryError as OutOfMemoryError
    from lakefmt.errors import ResourceError as ResourceError
    from lakefmt.errors import SchemaMismatchError as SchemaMismatchError
    from lakefmt.errors import StoreError as StoreError
    from lakefmt.errors import TableExistsError as TableExistsError
    from lakefmt.errors import TableNotFoundError as TableNotFoundError
    from lakefmt.errors import TaskError as TaskError
    from lakefmt.errors import UnknownOutcomeError as UnknownOutcomeError
    from lakefmt.errors import UnsupportedFeatureError as UnsupportedFeatureError
    from lakefmt.errors import VersionNotFoundError as VersionNotFoundError
    from lakefmt.errors import WorkerLostError as WorkerLostError
    from lakefmt.expressions import Expression as Expression
    from lakefmt.expressions import col as col
    from lakefmt.expressions import lit as lit
    from lakefmt.log.catalog import Catalog as Catalog
    from lakefmt.log.catalog import RatifiedCommit as RatifiedCommit
    from lakefmt.log.catalog import RatifiedCommits as RatifiedCommits
    from lakefmt.log.history import History as History
    from lakefmt.opening import create as create
    from lakefmt.opening import is_table as is_table
    from lakefmt.opening import open_table as open  # noqa: A004 - lakefmt.open is the public name
    from lakefmt.opening import write as write
    from lakefmt.query import Explanation as Explanation
    from lakefmt.query import Query as Query
    from lakefmt.query import sql as sql
    from lakefmt.scan import Changes as Changes
    from lakefmt.scan import Scan as Scan
    from lakefmt.scan.mapped_rows import MappedRows as MappedRows
    from lakefmt.schema import Field as Field
    from lakefmt.schema import Schema as Schema
    from lakefmt.snapshot import Snapshot as Snapshot
    from lakefmt.table import Table as Table
    from lakefmt.txn.result import WriteResult as WriteResult
    from lakefmt.variant import variant_to_json as variant_to_json

# Where each public name lives; a name is loaded when it is first asked for, so that importing lakefmt costs little.
_HOMES = {
    "Catalog": "lakefmt.log.catalog",
    "Changes": "lakefmt.scan",
    "CommitConflictError": "lakefmt.errors",
    "ConstraintViolationError": "lakefmt.errors",
    "CorruptTableError": "lakefmt.errors",
    "Explanation": "lakefmt.query",
    "Expression": "lakefmt.expressions",
    "Field": "lakefmt.schema",
    "History": "lakefmt.log.history",
    "InvalidInputError": "lakefmt.errors",
    "InvalidQueryError": "lakefmt.errors",
    "LakefmtError": "lakefmt.errors",
    "LostOutputError": "lakefmt.errors",
    "MappedRows": "lakefmt.scan.mapped_rows",
    "MissingPackageError": "lakefmt.errors",
    "ObjectNotFoundError": "lakefmt.errors",
    "OutOfMemoryError": "lakefmt.errors",
    "Query": "lakefmt.query",
    "RatifiedCommit": "lakefmt.log.catalog",
    "RatifiedCommits": "lakefmt.log.catalog",
    "ResourceError": "lakefmt.errors",
    "Scan": "lakefmt.scan",
    "Schema": "lakefmt.schema",
    "SchemaMismatchError": "lakefmt.errors",
    "Snapshot": "lakefmt.snapshot",
    "StoreError": "lakefmt.errors",
    "Table": "lakefmt.table",
    "TableExistsError": "lakefmt.errors",
    "TableNotFoundError": "lakefmt.errors",
    "TaskError": "lakefmt.errors",
    "UnknownOutcomeError": "lakefmt.errors",
    "UnsupportedFeatureError": "lakefmt.errors",
    "VersionNotFoundError": "lakefmt.errors",
    "WorkerLostError": "lakefmt.errors",
    "WriteResult": "lakefmt.txn.result",
    "col": "lakefmt.expressions",
    "create": "lakefmt.opening",
    "is_table": "lakefmt.opening",
    "lit": "lakefmt.expressions",
    "open": "lakefmt.opening:open_table",
    "show_progress": "lakefmt.engine.progress",
    "sql": "lakefmt.query",
    "variant_to_json": "lakefmt.variant",
    "write": "lakefmt.opening",
}

__all__ = [
    "Catalog",
    "Changes",
    "CommitConflictError",
    "ConstraintViolationError",
    "CorruptTableError",
    "Explanation",
    "Expression",
    "Field",
    "History",
    "InvalidInputError",
    "InvalidQueryError",
    "LakefmtError",
    "LostOutputError",
    "MappedRows",
    "MissingPackageError",
    "ObjectNotFoundError",
    "OutOfMemoryError",
    "Query",
    "RatifiedCommit",
    "RatifiedCommits",
    "ResourceError",
    "Scan",
    "Schema",
    "SchemaMismatchError",
    "Snapshot",
    "StoreError",
    "Table",
    "TableExistsError",
    "TableNotFoundError",
    "TaskError",
    "UnknownOutcomeError",
    "UnsupportedFeatureError",
    "VersionNotFoundError",
    "WorkerLostError",
    "WriteResult",
    "col",
    "create",
    "is_table",
    "lit",
    "open",
    "show_progress",
    "sql",
    "variant_to_json",
    "write",
]

logging.getLogger("lakefmt").addHandler(logging.NullHandler())


if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
