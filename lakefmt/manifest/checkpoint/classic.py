"""The classic checkpoint: one Parquet file with a row for each action ("V1 Spec", "Classic checkpoint")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefmt.manifest.checkpoint.action_writer import GROUP_ROWS, ActionWriter
from lakefmt.manifest.checkpoint.layout import ONE_OFF_TYPES
from lakefmt.manifest.checkpoint.live_adds import tombstones, with_live_adds
from lakefmt.manifest.checkpoint.one_off_rows import one_off_rows, to_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.store import Store

__all__ = ["WrittenFile", "write_classic"]

_V2_ALONE = ("checkpointMetadata", "sidecar")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of actions that was written.

    Attributes:
        size_bytes: its length.
        num_actions: its rows.
        num_adds: those that are live files.
    """

    size_bytes: int
    num_actions: int
    num_adds: int


def write_classic(
    store: Store, key: str, content: CheckpointContent, layout: ActionLayout, *, expired_ms: int
) -> WrittenFile:
    """Write a checkpoint of the V1 spec; it replaces one of this name, which nobody can read (``find_checkpoint``).

    One-off actions come first, then live files, in row groups of their own, then the tombstones of files that were
    removed after ``expired_ms``.
    """
    types = {name: kind for name, kind in ONE_OFF_TYPES.items() if name not in _V2_ALONE}
    types = {**types, **layout.file_action_types}
    removed = tombstones(content, expired_ms).table

    def write(pieces: Iterator[pa.Table]) -> WrittenFile:
        first = next(pieces, None)
        num_adds = 0
        with store.open_output(key) as sink:
            with ActionWriter(sink, types, first) as writer:
                writer.write_one_off(to_table(one_off_rows(content), types))
                while first is not None:
                    writer.write_files("add", first)
                    num_adds += first.num_rows
                    first = next(pieces, None)
                for start in range(0, removed.num_rows, GROUP_ROWS):
                    writer.write_files("remove", removed.slice(start, GROUP_ROWS))
            size_bytes = sink.tell()
        return WrittenFile(size_bytes, writer.num_actions, num_adds)

    # Of row groups without typed columns nobody can leave one out, in whatever order they are.
    return with_live_adds(content, layout, GROUP_ROWS, write, in_order=layout.has_typed_order)
