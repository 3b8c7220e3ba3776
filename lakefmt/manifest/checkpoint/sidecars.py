"""The sidecars of a V2 checkpoint: those of the checkpoint before whose files are the same, and new ones ("Sidecar Files").

Live files stand in the order of a classic checkpoint, cut into sidecars of some megabytes. A checkpoint that follows
leaves out of them what is gone, by writing anew those that list it, and puts what was added into small ones of its own.
Small ones of like size are made into one when there are four, so that of n files added no more than a few times n are
ever written again, and there are never many. Tombstones have sidecars of their own, which readers of rows never open.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakefmt.log.actions import Sidecar
from lakefmt.log.paths import sidecar_key
from lakefmt.manifest.checkpoint.action_writer import GROUP_ROWS, ActionWriter
from lakefmt.manifest.checkpoint.added_files import adds_in_file, adds_in_list, tombstones_in_file
from lakefmt.manifest.checkpoint.file_order import ranks_in_hand
from lakefmt.manifest.checkpoint.live_adds import tombstones, with_live_adds
from lakefmt.manifest.checkpoint.sidecar_tags import SidecarTags, describe_adds, describe_removes
from lakefmt.manifest.logical_files import LogicalFiles
from lakefmt.manifest.path_columns import canonical_paths
from lakefmt.manifest.repeated_files import added_twice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.store import Store

__all__ = ["SIDECAR_FILES", "SidecarWriter", "reusable_sidecars"]

SIDECAR_FILES: Final = GROUP_ROWS
"""File actions in a sidecar: two to five megabytes; writing one anew takes tens of milliseconds."""

_FAN: Final = 4  # small sidecars of like size that are made into one
_SMALLEST: Final = 64  # file actions; below it all sizes are alike
_MOST_OVER: Final = 2  # times as many sidecars as their files need, and some, and all are written anew
_SOME: Final = 16
_BATCH_ROWS: Final = 16_384


class SidecarWriter:
    """Writes the sidecars of one checkpoint.

    Args:
        store: the table's.
        content: the version.
        layout: of its file actions.
        expired_ms: tombstones up to this time are left out.
        now_ms: the time.
        new_id: makes the names of files.
    """

    def __init__(
        self,
        store: Store,
        content: CheckpointContent,
        layout: ActionLayout,
        *,
        expired_ms: int,
        now_ms: int,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._content = content
        self._layout = layout
        self._expired_ms = expired_ms
        self._now_ms = now_ms
        self._new_id = new_id
        self._gone = LogicalFiles(content.newest)
        self._gone_paths = sorted({path for path, _ in content.newest})
        self._live_paths = canonical_paths(content.added.table["path"])
        self.written: list[Sidecar] = []

    def write_all(self) -> list[Sidecar]:
        """Write sidecars with all files, whatever the checkpoint before has."""
        made = with_live_adds(self._content, self._layout, SIDECAR_FILES, self._write_all_adds)
        removed = tombstones(self._content, self._expired_ms).table
        return [*made, *self._in_sidecars(removed, self._write_removes)]

    def write_changed(
        self, base: Checkpoint, sidecars: Sequence[tuple[Sidecar, SidecarTags]]
    ) -> list[Sidecar]:
        """Write what is not in the sidecars of the checkpoint before, and return those to be referred to.

        Args:
            base: that checkpoint, the content's base.
            sidecars: its own, with their tags.
        """
        adds = [each for each in sidecars if each[1].num_adds]
        removes = [
            each for each in sidecars if not each[1].num_adds and each[1].last_deleted_ms > self._expired_ms
        ]
        needed = sum(tags.num_adds for _, tags in adds) / SIDECAR_FILES
        if len(adds) > _MOST_OVER * needed + _SOME:
            return self.write_all()
        return [*self._add_sidecars(base, adds), *self._remove_sidecars(base, removes)]

    def _write_all_adds(self, pieces: Iterator[pa.Table]) -> list[Sidecar]:
        if self.written:  # a first time, with files that are listed twice
            self._store.delete([sidecar_key(sidecar.path) for sidecar in self.written])
            self.written.clear()
        return [self._write_adds(adds) for adds in pieces]

    def _add_sidecars(
        self, base: Checkpoint, sidecars: Sequence[tuple[Sidecar, SidecarTags]]
    ) -> list[Sidecar]:
        import pyarrow.compute as pc

        layout = self._layout
        added = adds_in_list(self._content.added, layout)
        kept: list[tuple[Sidecar, SidecarTags]] = []
        made: list[Sidecar] = []
        for sidecar, tags in sidecars:
            file = base.sidecar_file(sidecar)
            if not self._may_list(tags) or not self._lists(file, "add"):
                kept.append((sidecar, tags))
                continue
            adds = pa.concat_tables(adds_in_file(file, layout, batch_rows=_BATCH_ROWS))
            paths = canonical_paths(adds["path"])
            # What was added again, with another vector say, stays where it was.
            again: Any = pc.is_in(canonical_paths(added["path"]), value_set=paths.combine_chunks())
            left = adds.filter(pc.invert(self._gone.among(adds["path"], adds["deletionVector"])))
            self._check_none_is_live(left["path"])
            whole = self._ordered(pa.concat_tables([left, added.filter(again)]))
            added = added.filter(pc.invert(again))
            made += self._in_sidecars(whole, self._write_adds)
        pool, kept = _pool(kept, added.num_rows, lambda tags: tags.num_adds)
        tables = [
            table
            for sidecar in pool
            for table in adds_in_file(base.sidecar_file(sidecar), layout, batch_rows=_BATCH_ROWS)
        ]
        made += self._in_sidecars(self._ordered(pa.concat_tables([*tables, added])), self._write_adds)
        return [sidecar for sidecar, _ in kept] + made

    def _remove_sidecars(
        self, base: Checkpoint, sidecars: Sequence[tuple[Sidecar, SidecarTags]]
    ) -> list[Sidecar]:
        import pyarrow.compute as pc

        kept: list[tuple[Sidecar, SidecarTags]] = []
        tables: list[pa.Table] = []
        for sidecar, tags in sidecars:
            file = base.sidecar_file(sidecar)
            if not self._may_list(tags) or not self._lists(file, "remove"):
                kept.append((sidecar, tags))
                continue
            found = pa.concat_tables(tombstones_in_file(file, batch_rows=_BATCH_ROWS))
            tables.append(found.filter(pc.invert(self._gone.among(found["path"], found["deletionVector"]))))
        tables.append(self._content.removed.later_than(self._expired_ms).table)
        removed = pa.concat_tables(tables)
        pool, kept = _pool(kept, removed.num_rows, lambda tags: tags.num_removes)
        merged = [
            table
            for sidecar in pool
            for table in tombstones_in_file(base.sidecar_file(sidecar), batch_rows=_BATCH_ROWS)
        ]
        made = self._in_sidecars(pa.concat_tables([*merged, removed]), self._write_removes)
        return [sidecar for sidecar, _ in kept] + made

    def _may_list(self, tags: SidecarTags) -> bool:
        """Whether one of the files that changed may be in a sidecar, by its range of paths."""
        place = bisect_left(self._gone_paths, tags.first_path)
        return place < len(self._gone_paths) and self._gone_paths[place] <= tags.last_path

    def _lists(self, file: Any, kind: str) -> bool:
        """Whether one of the files that changed is in a sidecar; nothing but names is read of it."""
        import pyarrow.compute as pc

        groups = file.groups_with((kind, "path"))
        with file.reading():
            for actions in file.stream_struct(kind, ["path", "deletionVector"], groups, _BATCH_ROWS):
                paths = pa.chunked_array([pc.struct_field(actions, "path").cast(pa.string())])
                named = self._gone.among(paths, pc.struct_field(actions, "deletionVector"))
                if pc.any(named).as_py():
                    return True
                if kind == "add":
                    self._check_none_is_live(paths)
        return False

    def _check_none_is_live(self, left: Any) -> None:
        """Raise CorruptTableError if a file that stays as it was has been added since, as another logical file."""
        import pyarrow.compute as pc

        paths = canonical_paths(left)
        twice: Any = paths.filter(pc.is_in(paths, value_set=self._live_paths))
        if len(twice):
            raise added_twice(twice[0].as_py())

    def _ordered(self, adds: pa.Table) -> pa.Table:
        if not self._layout.has_order or not adds.num_rows:
            return adds
        import pyarrow.compute as pc

        pieces = -(-adds.num_rows // SIDECAR_FILES)
        order: Any = pc.sort_indices(ranks_in_hand(adds, self._layout, -(-adds.num_rows // pieces)))
        return adds.take(order)

    def _in_sidecars(self, actions: pa.Table, write: Callable[[pa.Table], Sidecar]) -> list[Sidecar]:
        return [write(piece) for piece in _even_pieces(actions, SIDECAR_FILES)]

    def _write_adds(self, adds: pa.Table) -> Sidecar:
        return self._write("add", adds, describe_adds(adds, self._layout))

    def _write_removes(self, removes: pa.Table) -> Sidecar:
        return self._write("remove", removes, describe_removes(removes, self._layout))

    def _write(self, kind: str, actions: pa.Table, tags: dict[str, str]) -> Sidecar:
        name = f"{self._new_id()}.parquet"
        sink = pa.BufferOutputStream()
        sample = actions if kind == "add" else None
        with ActionWriter(sink, self._layout.file_action_types, sample) as writer:
            writer.write_files(kind, actions)
        data = sink.getvalue()
        self._store.put(sidecar_key(name), memoryview(data).tobytes())
        sidecar = Sidecar(name, data.size, self._now_ms, tags)
        self.written.append(sidecar)
        return sidecar


def reusable_sidecars(base: Checkpoint, layout: ActionLayout) -> list[tuple[Sidecar, SidecarTags]] | None:
    """Return a checkpoint's sidecars with their tags if a new one may refer to them, None if it may not to one of them.

    Spark reads all sidecars of a checkpoint with the columns of the first one, so all must have the same. And they must
    be all that the checkpoint has of files: what it lists beside them would be lost.
    """
    sidecars = base.state.sidecars
    found = [(sidecar, SidecarTags.of(sidecar)) for sidecar in sidecars]
    tagged = [(sidecar, tags) for sidecar, tags in found if tags is not None and tags.layout == layout.digest]
    if not tagged or len(tagged) < len(found) or base.lists_files_itself():
        return None
    return tagged


def _pool(
    kept: list[tuple[Sidecar, SidecarTags]], new_rows: int, rows_of: Callable[[SidecarTags], int]
) -> tuple[list[Sidecar], list[tuple[Sidecar, SidecarTags]]]:
    """Return the sidecars that are to be written together with new actions, and the others."""
    pool: list[Sidecar] = []
    rows = new_rows
    while rows and rows < SIDECAR_FILES:
        alike = [
            (sidecar, tags)
            for sidecar, tags in kept
            if rows_of(tags) < SIDECAR_FILES // 2 and _size(rows_of(tags)) <= _size(rows)
        ]
        if len(alike) + 1 < _FAN:
            break
        pool += [sidecar for sidecar, _ in alike]
        rows += sum(rows_of(tags) for _, tags in alike)
        chosen = {sidecar.path for sidecar, _ in alike}
        kept = [each for each in kept if each[0].path not in chosen]
    return pool, kept


def _size(rows: int) -> int:
    """Return to which size of sidecars a number of actions belongs; each is four times the one before."""
    return max((rows // _SMALLEST).bit_length() + 1, 0) // 2


def _even_pieces(actions: pa.Table, most: int) -> Iterator[pa.Table]:
    """Yield the rows in as few tables of about the same length as it takes."""
    rows = actions.num_rows
    if not rows:
        return
    pieces = -(-rows // most)
    for piece in range(pieces):
        start, end = rows * piece // pieces, rows * (piece + 1) // pieces
        yield actions.slice(start, end - start)
