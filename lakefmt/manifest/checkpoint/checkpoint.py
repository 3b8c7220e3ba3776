"""A checkpoint of any kind: classic, multi-part, V2 in Parquet or JSON, with or without sidecars ("Checkpoints")."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import pyarrow as pa

from lakefmt.cached import cached_value
from lakefmt.errors import CorruptTableError, ObjectNotFoundError
from lakefmt.log.commit_file import Commit, decode_commit, iterate_actions
from lakefmt.log.paths import SIDECAR_FOLDER
from lakefmt.manifest.checkpoint.action_file import ActionFile
from lakefmt.manifest.checkpoint.group_bounds import bounds_of_groups
from lakefmt.manifest.checkpoint.live_files import LiveFiles
from lakefmt.manifest.checkpoint.sidecar_tags import SidecarTags, bounds_of_sidecars
from lakefmt.manifest.checkpoint.state import CheckpointState, decode_state, read_state_rows
from lakefmt.manifest.file_list import FileList
from lakefmt.manifest.repeated_files import without_repeats
from lakefmt.threads import map_in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lakefmt.log.actions import RemoveFile, Sidecar
    from lakefmt.log.paths import LogFile
    from lakefmt.manifest.candidates import Pruner
    from lakefmt.schema import Schema
    from lakefmt.store import Store

__all__ = ["Checkpoint"]

_T = TypeVar("_T")
_REMOTE_THREADS = 16
_LOCAL_THREADS = 2  # pyarrow decodes columns in parallel by itself
_MANY_FILES = 50_000  # of so many, statistics are not carried along as text

_TIMES_UNTIL_KEPT = 3  # a handle that is asked so often is one that is queried again and again
_CLOCK_MS = 1_000  # how exactly every store tells when a file was written

_PATH = ("add", "path")
_STATS = ("add", "stats")
_PARSED = ("add", "stats_parsed")


class Checkpoint:
    """The state of a version as a checkpoint holds it; nothing is read before it is asked for.

    Safe to share among threads; pickles.

    Args:
        store: the table's.
        files: of the checkpoint, in part order.
    """

    def __init__(self, store: Store, files: Sequence[LogFile]) -> None:
        self._store = store
        self._files = tuple(files)
        # All live files with their statistics, once they have been chosen among so often that reading them all pays.
        self._whole: tuple[tuple[str, ...], FileList] | None = None
        self._times_chosen = 0

    @property
    def version(self) -> int:
        """The version whose state it is."""
        return self._files[0].version

    @cached_value
    def state(self) -> CheckpointState:
        """Protocol, metadata, transaction ids, domains and sidecars.

        Raises:
            CorruptTableError: a file is missing, is not what it should be, or an action is malformed.
        """
        first = self._files[0]
        try:
            if _is_json(first):
                return decode_state(iterate_actions(self._json))
            return decode_state([row for file in self._action_files for row in read_state_rows(file)])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise self._corrupt(f"an action is malformed ({error!r})") from error

    def files(self, keys: Sequence[str], *, counts: bool = False) -> FileList:
        """Return all live files, without the text of their statistics.

        Args:
            keys: what the log calls the partition columns.
            counts: with the numbers of their rows, for which all statistics are looked at.

        Raises:
            CorruptTableError: as ``state``.
        """

        def load(part: ActionFile) -> FileList:
            return _all_files(part, keys).to_file_list(statistics=False, counts=counts)

        found = _each(self._parts_of(self._sidecars_with_adds), load)
        return self._join([*found, *self.inline_files(keys)], keys)

    def choose(
        self, pruner: Pruner, keys: Sequence[str], *, schema: Schema, partition_columns: Sequence[str]
    ) -> FileList:
        """Return the live files that a read needs, looking no closer at the others than it takes.

        Args:
            pruner: says which.
            keys: what the log calls the partition columns.
            schema: of the table.
            partition_columns: their names in the schema.

        Raises:
            CorruptTableError: as ``state``.
        """
        whole = self._whole_list(tuple(keys))
        if whole is not None:
            return whole.filter(pruner.choose(whole))

        def choose(part: ActionFile) -> FileList:
            groups = part.groups_with(_PATH)
            if _is_typed(part):
                bounds_of = bounds_of_groups(part, groups, schema, partition_columns)
                needed = pruner.may_match(bounds_of, len(groups)).to_pylist()
                groups = tuple([group for group, may in zip(groups, needed, strict=True) if may])
            if not groups:
                return FileList.empty(keys)
            with part.reading():
                files = LiveFiles.of(part, groups, tuple(keys))
            chosen = files.filter(pruner.choose(files))
            many = chosen.num_files > _MANY_FILES
            return chosen.to_file_list(statistics=not many, counts=many)

        sidecars = self._sidecars_with_adds
        if any(sidecar.tags for sidecar in sidecars):
            bounds_of = bounds_of_sidecars(sidecars, schema, partition_columns)
            needed = pruner.may_match(bounds_of, len(sidecars)).to_pylist()
            sidecars = [sidecar for sidecar, may in zip(sidecars, needed, strict=True) if may]
        found = _each(self._parts_of(sidecars), choose)
        for inline in self.inline_files(keys):
            found.append(inline.filter(pruner.choose(inline)))
        return self._join(found, keys)

    def _whole_list(self, keys: tuple[str, ...]) -> FileList | None:
        """Return all live files with their statistics where they are so few that a handle in use keeps them, else None."""
        if self._whole is not None and self._whole[0] == keys:
            return self._whole[1]
        self._times_chosen += 1
        if self._times_chosen < _TIMES_UNTIL_KEPT:
            return None
        parts = self._parts_of(self._sidecars_with_adds)
        if sum(sum(part.row_counts) for part in parts) > _MANY_FILES:
            return None
        if any(part.type_of(_STATS) is None and part.type_of(_PARSED) is not None for part in parts):
            return None  # what it has as typed columns alone is pruned there

        found = _each(parts, lambda part: _all_files(part, keys).to_file_list())
        whole = self._join([*found, *self.inline_files(keys)], keys)
        self._whole = (keys, whole)
        return whole

    def first_files(self, count: int, keys: Sequence[str]) -> FileList:
        """Return ``count`` live files or some more, all if there are fewer; reads no further than to have them."""
        found: list[FileList] = []
        for part in self._parts_of(self._sidecars_with_adds):
            for group in part.groups_with(_PATH):
                with part.reading():
                    files = LiveFiles.of(part, (group,), tuple(keys)).head(count).to_file_list()
                found.append(files)
                count -= files.num_files
                if count <= 0:
                    return self._join(found, keys)
        return self._join([*found, *self.inline_files(keys)], keys)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the files that the log lists as this checkpoint's; those of sidecars are not among them."""
        return frozenset([file.key for file in self._files])

    def damaged_keys(self) -> frozenset[str]:
        """Return ``keys``, once reading has failed, without those of files that have become others since they were listed.

        A checkpoint by its classic name may be written again at any time, by other writers than this library: read by
        the footer of the one before it looks damaged, and is not. Another file is known by its length or its time, to a
        second: stores do not tell it more exactly everywhere.
        """
        return frozenset([file.key for file in self._files if not self._was_replaced(file)])

    def is_made_of(self, key: str | None) -> bool:
        """Whether a key is that of one of its files or sidecars."""
        return key in self.keys or any(part.key == key for part in self.parts)

    def _was_replaced(self, file: LogFile) -> bool:
        try:
            found = self._store.info(file.key)
        except ObjectNotFoundError:
            return False
        apart_ms = abs(found.modified_ms - file.modified_ms)
        return found.size_bytes != file.size_bytes or apart_ms >= _CLOCK_MS

    def _join(self, lists: Iterable[FileList], keys: Sequence[str]) -> FileList:
        """Return lists as one, with each data file once."""
        tables = [each.table for each in lists if each.num_files]
        if not tables:
            return FileList.empty(keys)
        try:
            return without_repeats(FileList(pa.concat_tables(tables)), keys)
        except ValueError as error:
            raise self._corrupt(str(error)) from error

    @cached_value
    def _action_files(self) -> list[ActionFile]:
        return [ActionFile(self._store, f.key, f.size_bytes, f.version) for f in self._files]

    @property
    def parts(self) -> list[ActionFile]:
        """The Parquet files that the file actions are in."""
        return self._parts_of(self.state.sidecars)

    def sidecar_file(self, sidecar: Sidecar) -> ActionFile:
        """Return the file of one of its sidecars."""
        return self._sidecar_files[sidecar.path]

    def _parts_of(self, sidecars: Iterable[Sidecar]) -> list[ActionFile]:
        own = [] if _is_json(self._files[0]) else self._action_files
        return [*own, *map(self.sidecar_file, sidecars)]

    @cached_value
    def _sidecars_with_adds(self) -> list[Sidecar]:
        """The sidecars but for those that say that there are tombstones alone in them."""
        return [
            each for each in self.state.sidecars if (tags := SidecarTags.of(each)) is None or tags.num_adds
        ]

    @cached_value
    def _sidecar_files(self) -> dict[str, ActionFile]:
        return {sidecar.path: self._sidecar(sidecar) for sidecar in self.state.sidecars}

    def _sidecar(self, sidecar: Sidecar) -> ActionFile:
        # "always in the table's own _delta_log/_sidecars", so that of a path only the name counts.
        name = unquote(sidecar.path).rpartition("/")[2]
        if name in {"", ".", ".."} or "\0" in name:
            raise self._corrupt(f"it refers to a sidecar by {sidecar.path!r}, which names no file")
        return ActionFile(self._store, f"{SIDECAR_FOLDER}/{name}", sidecar.size_bytes, self._files[0].version)

    def lists_files_itself(self) -> bool:
        """Whether file actions are in it, not in its sidecars alone; both may not be ("V2 Spec"), and are met."""
        if _is_json(self._files[0]):
            return bool(self._inline.adds or self._inline.removes)
        return any(
            file.groups_with((kind, "path")) for file in self._action_files for kind in ("add", "remove")
        )

    def inline_files(self, keys: Sequence[str]) -> list[FileList]:
        """Return the files that a JSON checkpoint lists itself."""
        adds = self._inline.adds
        return [FileList.from_adds(adds, keys)] if adds else []

    @property
    def inline_removes(self) -> tuple[RemoveFile, ...]:
        """The tombstones that a JSON checkpoint lists itself."""
        return self._inline.removes

    @cached_value
    def _inline(self) -> Commit:
        """The file actions of a JSON checkpoint itself."""
        first = self._files[0]
        if not _is_json(first) or (b'"add"' not in self._json and b'"remove"' not in self._json):
            return Commit()
        return decode_commit(self._json, table=self._store.uri, version=first.version, path=first.key)

    @cached_value
    def _json(self) -> bytes:
        try:
            return self._store.read(self._files[0].key)
        except ObjectNotFoundError as error:
            raise self._corrupt("the file is gone") from error

    def _corrupt(self, why: str) -> CorruptTableError:
        first = self._files[0]
        return ActionFile(self._store, first.key, first.size_bytes, first.version).corrupt(why)


def _all_files(part: ActionFile, keys: Sequence[str]) -> LiveFiles:
    with part.reading():
        return LiveFiles.of(part, part.groups_with(_PATH), tuple(keys))


def _each(parts: Sequence[ActionFile], work: Callable[[ActionFile], _T]) -> list[_T]:
    """Return what ``work`` makes of each part, in order; several at a time."""
    if len(parts) <= 1:
        return [work(part) for part in parts]
    local = parts[0].store.local_path(parts[0].key) is not None
    threads = _LOCAL_THREADS if local else _REMOTE_THREADS
    return map_in_threads(work, parts, threads, "lakefmt-checkpoint")


def _is_typed(part: ActionFile) -> bool:
    return any(part.type_of(("add", name)) is not None for name in ("stats_parsed", "partitionValues_parsed"))


def _is_json(file: LogFile) -> bool:
    return file.key.endswith(".json")
