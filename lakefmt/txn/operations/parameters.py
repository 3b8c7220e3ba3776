"""Operation parameters in the form history readers of the field expect: every value is JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from lakefmt.snapshot import Snapshot

__all__ = ["json_text", "partition_parameter"]


def json_text(value: object) -> str:
    """Return ``value`` as JSON text."""
    return orjson.dumps(value).decode()


def partition_parameter(snapshot: Snapshot) -> str:
    """Return the partition columns as a JSON list."""
    return json_text(list(snapshot.partition_columns))
