"""The columns that a table's rows are clustered by ("Clustered Table")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from lakefmt.log.actions import DomainMetadata
    from lakefmt.schema import FieldPath

__all__ = ["CLUSTERING_DOMAIN", "parse_clustering_columns"]

CLUSTERING_DOMAIN: Final = "delta.clustering"


def parse_clustering_columns(domain: DomainMetadata) -> tuple[FieldPath, ...]:
    """Return the paths, in physical names, of the columns that the domain names.

    Writers have written each as a name and as the list of the names on its path.

    Raises:
        ValueError: the domain says something else.
    """
    try:
        columns: list[Any] = orjson.loads(domain.configuration)["clusteringColumns"]
        paths = [(column,) if isinstance(column, str) else tuple(column) for column in columns]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"clustering columns cannot be read: {error}") from error
    if not all(isinstance(name, str) for path in paths for name in path):
        raise ValueError("a clustering column is no name")
    return tuple(paths)
