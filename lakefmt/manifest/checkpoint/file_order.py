"""In which order a checkpoint lists files: those of a partition together, partitions in the order of their values.

So the files that a filter on a partition column leaves are in few row groups (or sidecars). A clustered table, which has
no partitions, lists together what is clustered together. Files of one partition, and those of a table without either,
stay as they came: what comes in order of time has narrow bounds of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakefmt.manifest.checkpoint.clustering_order import clustering_ranks
from lakefmt.manifest.text_values import parse_texts
from lakefmt.manifest.typed_statistics import struct_member
from lakefmt.schema.arrow import arrow_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.schema import DataType

__all__ = ["is_ascending", "partition_ranks", "ranks_in_hand"]


def ranks_in_hand(adds: pa.Table, layout: ActionLayout, rows: int) -> Any:
    """Return a number for each file of a table of ``layout.add_schema`` that orders files as the table asks for.

    Args:
        adds: the files.
        layout: says what they are ordered by; it has an order.
        rows: how many files are read together.
    """
    if layout.keys:
        texts = [_flat(column.cast(pa.string())) for column in layout.partition_texts(adds).values()]
        return partition_ranks(texts, list(layout.partition_types.values()))
    parsed = _flat(adds["stats_parsed"])
    return clustering_ranks([struct_member(parsed, ("minValues", *path)) for path in layout.clustering], rows)


def partition_ranks(texts: Sequence[Any], types: Sequence[DataType]) -> Any:
    """Return a number for each file that orders files as their partition values do, nulls last.

    Args:
        texts: for each partition column the log's texts of it, an array with an entry per file; at least one.
        types: of the partition columns.
    """
    import pyarrow.compute as pc

    ranks: Any = None
    for column, type_ in zip(texts, types, strict=True):
        encoded = column.dictionary_encode()
        values = parse_texts(encoded.dictionary, arrow_type_of(type_))
        order = pc.rank(values, sort_keys="ascending", tiebreaker="dense")
        places = pc.coalesce(
            order.cast(pa.int64()).take(encoded.indices), pa.scalar(len(values) + 1, pa.int64())
        )
        ranks = (
            places
            if ranks is None
            else pc.add(pc.multiply(ranks, pa.scalar(len(values) + 2, pa.int64())), places)
        )
        ranks = _dense(ranks)
    return ranks


def is_ascending(ranks: Any) -> bool:
    """Whether no number is below the one before it."""
    import pyarrow.compute as pc

    steps: Any = pc.less_equal(ranks.slice(0, max(len(ranks) - 1, 0)), ranks.slice(1))
    return bool(pc.all(steps, min_count=0).as_py())


def _dense(ranks: Any) -> Any:
    """Return numbers in the same order from 1 on, so that those of another column can follow without an overflow."""
    import pyarrow.compute as pc

    encoded = ranks.dictionary_encode()
    order: Any = pc.rank(encoded.dictionary, sort_keys="ascending", tiebreaker="dense")
    return order.cast(pa.int64()).take(encoded.indices)


def _flat(column: Any) -> Any:
    combined: Any = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
