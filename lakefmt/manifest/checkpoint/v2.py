"""The V2 checkpoint: a manifest in the log, and the file actions in sidecars beside it ("V2 Spec")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from lakefmt.log.paths import SIDECAR_FOLDER, checkpoint_key, sidecar_key
from lakefmt.manifest.checkpoint.action_writer import ActionWriter
from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.layout import ONE_OFF_TYPES
from lakefmt.manifest.checkpoint.one_off_rows import manifest_rows, to_table
from lakefmt.manifest.checkpoint.sidecar_tags import SidecarTags
from lakefmt.manifest.checkpoint.sidecars import SidecarWriter, reusable_sidecars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lakefmt.log.actions import Sidecar
    from lakefmt.manifest.checkpoint.content import CheckpointContent
    from lakefmt.manifest.checkpoint.layout import ActionLayout
    from lakefmt.store import Store

__all__ = ["WrittenManifest", "write_v2"]


@dataclass(frozen=True, slots=True)
class WrittenManifest:
    """A V2 checkpoint that was written.

    Attributes:
        key: of the manifest.
        size_bytes: of the manifest.
        num_actions: of the manifest and of all sidecars.
        num_adds: live files.
        sidecars: the files of its file actions.
        written_bytes: of the manifest and the sidecars that are new.
    """

    key: str
    size_bytes: int
    num_actions: int
    num_adds: int
    sidecars: tuple[Sidecar, ...]
    written_bytes: int


def write_v2(
    store: Store,
    content: CheckpointContent,
    layout: ActionLayout,
    *,
    expired_ms: int,
    now_ms: int,
    new_id: Callable[[], str],
    classic_name: bool = False,
) -> WrittenManifest:
    """Write a V2 checkpoint, its sidecars first; those of the base are referred to again where nothing in them changed.

    Someone may delete a sidecar of an old checkpoint while this one comes to refer to it. So all are looked for once
    the manifest is there, which from then on keeps them from being deleted ("Metadata Cleanup"); if one is gone, a
    checkpoint without any of them takes its place.

    Args:
        store: the table's.
        content: the version.
        layout: of its file actions.
        expired_ms: tombstones up to this time are left out, milliseconds since the epoch.
        now_ms: the time.
        new_id: makes the UUIDs of names.
        classic_name: whether the manifest is to be a Parquet file with a classic checkpoint's name, which old readers
            find, to learn from it that they are too old.

    Raises:
        CorruptTableError: as ``write_checkpoint``.
    """

    def writer() -> SidecarWriter:
        return SidecarWriter(store, content, layout, expired_ms=expired_ms, now_ms=now_ms, new_id=new_id)

    def publish(sidecars: Sequence[Sidecar], new: SidecarWriter) -> WrittenManifest:
        key = checkpoint_key(content.version, None if classic_name else new_id())
        rows, found = _manifest(content, sidecars)
        length = _put(store, key, rows, layout)
        own = {sidecar.path for sidecar in new.written}
        new_bytes = sum(sidecar.size_bytes for sidecar in sidecars if sidecar.path in own)
        return WrittenManifest(
            key=key,
            size_bytes=length,
            num_actions=sum(each.num_adds + each.num_removes for each in found) + len(rows),
            num_adds=sum(each.num_adds for each in found),
            sidecars=tuple(sidecars),
            written_bytes=length + new_bytes,
        )

    base = content.base
    reused = reusable_sidecars(base, layout) if isinstance(base, Checkpoint) else None
    if isinstance(base, Checkpoint) and reused is not None:
        changed = writer()
        manifest = publish(changed.write_changed(base, reused), changed)
        if _are_there(store, manifest.sidecars):
            return manifest
        if not classic_name:
            store.delete([manifest.key])
    anew = writer()
    return publish(anew.write_all(), anew)


def _manifest(
    content: CheckpointContent, sidecars: Sequence[Sidecar]
) -> tuple[list[dict[str, Any]], list[SidecarTags]]:
    """Return the rows of the manifest, and what is known of the sidecars."""
    found = [tags for sidecar in sidecars if (tags := SidecarTags.of(sidecar)) is not None]
    totals = {
        "sidecarNumActions": sum(each.num_adds + each.num_removes for each in found),
        "sidecarSizeInBytes": sum(sidecar.size_bytes for sidecar in sidecars),
        "numOfAddFiles": sum(each.num_adds for each in found),
    }
    return manifest_rows(content, sidecars, {name: str(number) for name, number in totals.items()}), found


def _put(store: Store, key: str, rows: Sequence[Mapping[str, Any]], layout: ActionLayout) -> int:
    """Write the manifest in the form that its name says; return its length."""
    if key.endswith(".json"):
        data = b"".join([orjson.dumps(row) + b"\n" for row in rows])
        store.put(key, data)
        return len(data)
    types = {**ONE_OFF_TYPES, **layout.file_action_types}
    with store.open_output(key) as sink:
        with ActionWriter(sink, types, None) as writer:
            writer.write_one_off(to_table(rows, types))
        return sink.tell()


def _are_there(store: Store, sidecars: Sequence[Sidecar]) -> bool:
    there = {info.key for info in store.list(SIDECAR_FOLDER)}
    return all(sidecar_key(sidecar.path) in there for sidecar in sidecars)
