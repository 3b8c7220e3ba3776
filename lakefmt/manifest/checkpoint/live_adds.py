"""The live files of a version on their way into a checkpoint: those before, without what is gone, and those since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from lakefmt.arrow_values import repeat, row_numbers, scalar_of
from lakefmt.errors import CorruptTableError
from lakefmt.manifest.checkpoint.add_columns import map_values
from lakefmt.manifest.checkpoint.added_files import adds_in_file, adds_in_list, tombstones_in_file
from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.clustering_order import clustering_ranks
from lakefmt.manifest.checkpoint.file_order import is_ascending, partition_ranks, ranks_in_hand
from lakefmt.manifest.checkpoint.live_files import LiveFiles
from lakefmt.manifest.checkpoint.row_order import in_place
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.logical_files import LogicalFiles, vector_ids
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.manifest.repeated_files import PathsMet, added_twice, are_unique
from lakefmt.manifest.statistics_reader import logical_path
from lakefmt.manifest.tombstones import Tombstones
from lakefmt.manifest.typed_statistics import struct_member
from lakefmt.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lakefmt.manifest.candidates import Candidates
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.manifest.checkpoint.layout import ActionLayout

__all__ = ["tombstones", "with_live_adds"]

_T = TypeVar("_T")
_BATCH_ROWS = 10_000  # of a checkpoint that is read: as many as a row group of one that is written


def with_live_adds(
    content: CheckpointContent,
    layout: ActionLayout,
    rows: int,
    write: Callable[[Iterator[pa.Table]], _T],
    *,
    in_order: bool = True,
) -> _T:
    """Return what ``write`` makes of the live files on their way into a checkpoint.

    Args:
        content: the version.
        layout: of its file actions.
        rows: how many files a table has, the last one fewer.
        write: is given tables, each made by a thread while the one before is at work. That no file is there twice is
            known only when all have passed by: where one is, iteration fails, what is written must not be published, and
            ``write`` is called again with each file once.
        in_order: whether in the order of their partitions or clustering columns; else as they came. Where the checkpoint before has them in
            that order, no more is held than a few batches, and otherwise not much more.

    Raises:
        CorruptTableError: the base cannot be read, or a value in it has no place in a checkpoint.
    """
    added = adds_in_list(content.added, layout)
    ordered = (
        _in_order(content, layout, added, rows)
        if in_order and layout.has_order
        else _as_they_came(content, layout, added)
    )
    try:
        return write(_prefetched(_in_pieces(_all_different(ordered), rows)))
    except _RepeatedError:
        return write(_in_pieces([_without_repeats(content, layout, added, rows)], rows))


def tombstones(content: CheckpointContent, expired_ms: int) -> Tombstones:
    """Return the tombstones of files removed after ``expired_ms`` (milliseconds since the epoch)."""
    base = content.base
    found = content.tombstones
    if isinstance(base, Checkpoint):
        tables = [table for part in base.parts for table in tombstones_in_file(part, batch_rows=_BATCH_ROWS)]
        listed = [Tombstones.from_removes(base.inline_removes)]
        found = Tombstones(pa.concat_tables([each.table for each in listed] + tables))
    found = found.later_than(expired_ms).without(LogicalFiles(content.newest))
    return found.concat(content.removed.later_than(expired_ms))


class _RepeatedError(Exception):
    """A path was met more than once."""


def _all_different(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the tables; raise _RepeatedError after the last if a path is in them more than once, or seems to be."""
    paths = PathsMet()
    for table in tables:
        paths.add(canonical_paths(table["path"]))
        yield table
    if not paths.are_different():
        raise _RepeatedError


def _prefetched(items: Iterator[_T]) -> Iterator[_T]:
    """Yield the items, the next one made by a thread while the caller is at work on one."""
    with Threads(1, "lakefmt-checkpoint") as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def _base_adds(content: CheckpointContent, layout: ActionLayout) -> Iterator[pa.Table]:
    """Yield the files of the base, those that are gone too."""
    base = content.base
    if isinstance(base, FileList):
        for start in range(0, base.num_files, _BATCH_ROWS):
            yield adds_in_list(FileList(base.table.slice(start, _BATCH_ROWS)), layout)
    elif base is not None:
        for part in base.parts:
            yield from adds_in_file(part, layout, batch_rows=_BATCH_ROWS)
        for inline in base.inline_files(layout.keys):
            yield adds_in_list(inline, layout)


def _without_repeats(
    content: CheckpointContent, layout: ActionLayout, added: pa.Table, rows_together: int
) -> pa.Table:
    """Return the live files, each once, where some are listed more often; the last stays, as Spark's replay has it.

    Raises:
        CorruptTableError: entries of one path are different logical files, in the base or since.
    """
    import pyarrow.compute as pc

    adds = pa.concat_tables(_as_they_came(content, layout, added))
    texts: list[Any] = [
        column.cast(pa.string()).combine_chunks() for column in layout.partition_texts(adds).values()
    ]
    columns = {
        "path": canonical_paths(adds["path"]),
        "vector": vector_ids(adds["deletionVector"]),
        "size": adds["size"],
        **{f"value {place}": text for place, text in enumerate(texts)},
    }
    numbers = row_numbers(adds.num_rows)
    grouped = pa.table({**columns, "row": numbers}).group_by(list(columns), use_threads=False)
    last = grouped.aggregate([("row", "max")])
    if not are_unique(last["path"]):
        live: Any = last["path"].combine_chunks()
        met: Any = live.value_counts()
        counts: Any = pc.struct_field(met, "counts")
        repeated: Any = pc.struct_field(met, "values").filter(pc.greater(counts, scalar_of(1, pa.int64())))
        again: Any = repeated.filter(pc.is_in(repeated, value_set=canonical_paths(added["path"])))
        if len(again):
            raise added_twice(again[0].as_py())
        why = f"{repeated[0].as_py()!r} is listed more than once, as different files"
        if isinstance(content.base, Checkpoint) and content.base.parts:
            raise content.base.parts[0].corrupt(why)
        raise CorruptTableError(why, version=content.version)
    rows: Any = last["row_max"].combine_chunks()
    live_adds = adds.take(rows.take(pc.sort_indices(rows)))
    if not layout.has_order:
        return live_adds
    order: Any = pc.sort_indices(ranks_in_hand(live_adds, layout, rows_together))
    return live_adds.take(order)


def _as_they_came(content: CheckpointContent, layout: ActionLayout, added: pa.Table) -> Iterator[pa.Table]:
    gone = LogicalFiles(content.newest)
    for adds in _base_adds(content, layout):
        yield _without(adds, gone)
    yield added


def _in_order(
    content: CheckpointContent, layout: ActionLayout, added: pa.Table, rows: int
) -> Iterator[pa.Table]:
    """Yield files by the order of their partitions or clustering columns; those that are added after those of like rank."""
    import pyarrow.compute as pc

    ranks = (
        _partition_ranks(content, layout, added)
        if layout.keys
        else _clustering_ranks(content, layout, added, rows)
    )
    split = len(ranks) - added.num_rows
    base_ranks, added_ranks = ranks.slice(0, split), ranks.slice(split)
    by_rank: Any = pc.sort_indices(added_ranks)
    added, added_ranks = added.take(by_rank), added_ranks.take(by_rank)
    gone = LogicalFiles(content.newest)
    if not is_ascending(base_ranks):
        order: Any = pc.sort_indices(pa.concat_arrays([base_ranks, added_ranks])).cast(pa.int64())
        compute: Any = pc
        places = compute.inverse_permutation(order, max_index=len(order) - 1, output_type=pa.int64())
        # What is gone has a place, too, and is left out when all others are in theirs.
        everything = in_place(_with_marks(_base_adds(content, layout), gone, added), places)
        for adds in everything:
            yield adds.filter(adds["live"]).drop_columns(["live"])
        return
    start = taken = 0
    for adds in _base_adds(content, layout):
        here = base_ranks.slice(start, adds.num_rows)
        start += adds.num_rows
        last = here[-1]
        # Those of the last partition are followed by more of it, perhaps.
        due = pc.sum(pc.less(added_ranks, last), min_count=0).as_py() or 0
        merged = pa.concat_tables(
            [
                adds.append_column("rank", here),
                added.slice(taken, due - taken).append_column("rank", added_ranks.slice(taken, due - taken)),
            ]
        )
        merged = _without(merged, gone, keep_last=due - taken)
        if due > taken:
            merged = merged.take(pc.sort_indices(merged["rank"]))
        taken = due
        yield merged.drop_columns(["rank"])
    yield added.slice(taken)


def _with_marks(tables: Iterable[pa.Table], gone: LogicalFiles, added: pa.Table) -> Iterator[pa.Table]:
    """Yield files, those that are added last, with a column that says whether they are live."""
    import pyarrow.compute as pc

    for adds in tables:
        named = gone.among(adds["path"], adds["deletionVector"])
        yield adds.append_column("live", pc.invert(named))
    yield added.append_column("live", repeat(scalar_of(value=True), added.num_rows))


def _clustering_ranks(content: CheckpointContent, layout: ActionLayout, added: pa.Table, rows: int) -> Any:
    """Return the ranks of all files of the base and of those added, by the minima of the clustering columns."""
    paths = layout.clustering
    columns = [logical_path(content.schema, path) for path in paths]
    pieces: list[list[Any]] = []

    def note(files: Candidates) -> None:
        reader = files.statistics(content.schema, columns, counts=False)
        pieces.append([reader.bounds(column).minimum for column in columns])

    base = content.base
    if isinstance(base, FileList):
        note(base)
    elif base is not None:
        for part in base.parts:
            with part.reading():
                note(LiveFiles.of(part, part.groups_with(("add", "path")), layout.keys))
        for inline in base.inline_files(layout.keys):
            note(inline)
    num_placed = sum(len(piece[0]) for piece in pieces)
    parsed: Any = added["stats_parsed"].combine_chunks()
    pieces.append([struct_member(parsed, ("minValues", *path)) for path in paths])
    minima = [pa.concat_arrays([piece[place] for piece in pieces]) for place in range(len(paths))]
    return clustering_ranks(minima, rows, num_placed=num_placed)


def _partition_ranks(content: CheckpointContent, layout: ActionLayout, added: pa.Table) -> Any:
    """Return the ranks of all files of the base and of those added, by partition."""
    import pyarrow.compute as pc

    pieces: list[list[Any]] = []
    base = content.base
    if isinstance(base, FileList):
        pieces.append([base.partition_texts(place) for place in range(len(layout.keys))])
    elif base is not None:
        for part in base.parts:
            groups = part.groups_with(("add", "path"))
            names = [name for name in ("path", "partitionValues") if part.type_of(("add", name)) is not None]
            with part.reading():
                for adds in part.stream_struct("add", names[-1:], groups, _BATCH_ROWS):
                    maps = pc.struct_field(adds, [0]) if len(names) == 2 else None
                    pieces.append([map_values(maps, key, len(adds)) for key in layout.keys])
        pieces += [
            [inline.partition_texts(place) for place in range(len(layout.keys))]
            for inline in base.inline_files(layout.keys)
        ]
    maps = added["partitionValues"]
    pieces.append([map_values(maps, key, added.num_rows) for key in layout.keys])
    columns = [
        pa.chunked_array([chunk for piece in pieces for chunk in piece[place].chunks], pa.string())
        for place in range(len(layout.keys))
    ]
    texts: list[Any] = [column.combine_chunks() for column in columns]
    return partition_ranks(texts, list(layout.partition_types.values()))


def _without(adds: pa.Table, gone: LogicalFiles, *, keep_last: int = 0) -> pa.Table:
    """Drop the files that are gone; the ``keep_last`` last ones stay."""
    if not len(gone) or adds.num_rows == keep_last:
        return adds
    import pyarrow.compute as pc

    base = adds.slice(0, adds.num_rows - keep_last)
    named = gone.among(base["path"], base["deletionVector"])
    if not pc.any(named).as_py():
        return adds
    return pa.concat_tables([base.filter(pc.invert(named)), adds.slice(base.num_rows)])


def _in_pieces(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the rows of tables in tables of ``rows``, the last one shorter."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            joined = pa.concat_tables(held)
            yield joined.slice(0, rows)
            held, count = [joined.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)
