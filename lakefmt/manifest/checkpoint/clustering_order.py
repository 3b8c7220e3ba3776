"""In which order a checkpoint lists the files of a clustered table: those whose rows are alike together.

By one column files stand in the order of their minima. By several the files are halved, by the first column, the halves
by the second, and so on until what is left fits into a row group (or sidecar): of the orders that were tried a point on
any of the columns is in the fewest row groups so, and it takes no more than a few sorts of integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["clustering_ranks"]

_GOOD_ENOUGH: Final = 1.25  # times as wide as the best order that is known


def clustering_ranks(minima: Sequence[Any], rows: int, *, num_placed: int = 0) -> Any:
    """Return a number for each file that orders files as they are clustered; those of which nothing is known come last.

    Args:
        minima: for each clustering column, at least one, an array of its minimum in each file.
        rows: how many files are read together.
        num_placed: so many files come first in the arrays in the order that they stand in. By several columns they stay in it,
            and the others follow, as long as that is nearly as good as putting all in order.
    """
    import pyarrow.compute as pc

    ranks = [pc.rank(values, sort_keys="ascending", tiebreaker="dense").cast(pa.int64()) for values in minima]
    if len(ranks) == 1:
        return ranks[0]
    length = len(ranks[0])
    best = _halved(_numbers(length), ranks, rows)
    if num_placed:
        others = pc.add(
            _halved(_numbers(length - num_placed), [each.slice(num_placed) for each in ranks], rows),
            pa.scalar(num_placed, pa.int64()),
        )
        as_placed = pa.concat_arrays([_numbers(num_placed), others])
        if _width(as_placed, ranks, rows) <= _GOOD_ENOUGH * _width(best, ranks, rows):
            best = as_placed
    compute: Any = pc
    return compute.inverse_permutation(best, max_index=length - 1, output_type=pa.int64())


def _halved(files: Any, ranks: Sequence[Any], rows: int, depth: int = 0) -> Any:
    """Return the files in order, cut by one column after the other; every piece but the last fills its row groups."""
    if len(files) <= rows:
        return files
    import pyarrow.compute as pc

    ordered = files.take(pc.sort_indices(ranks[depth % len(ranks)].take(files)))
    middle = -(-len(files) // rows) // 2 * rows
    pieces = [ordered.slice(0, middle), ordered.slice(middle)]
    return pa.concat_arrays([_halved(piece, ranks, rows, depth + 1) for piece in pieces])


def _width(files: Any, ranks: Sequence[Any], rows: int) -> int:
    """Return how much of the columns the row groups span, all together: what points on them have to read."""
    import pyarrow.compute as pc

    total = 0
    for each in ranks:
        ordered = each.take(files)
        for start in range(0, len(files), rows):
            ends: Any = pc.min_max(ordered.slice(start, rows))
            total += ends["max"].as_py() - ends["min"].as_py() + 1
    return total


def _numbers(count: int) -> Any:
    return pa.array(range(count), pa.int64())
