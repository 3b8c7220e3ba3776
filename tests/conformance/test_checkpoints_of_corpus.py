"""Checkpoints that are written of real tables stand for all of their log: the same files, whatever is known of them."""

from __future__ import annotations

import itertools
import shutil
from uuid import UUID

import pytest
from conformance.corpus import BROKEN, BY_NAME, CORPUS, REFUSED

from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.store import open_store

TABLES = [name for name in BY_NAME if name not in BROKEN and name not in REFUSED]
pytestmark = pytest.mark.skipif(
    not BY_NAME, reason=f"there is no corpus at {CORPUS.name} beside the checkout"
)

LONG_AGO_MS = 0  # no tombstone has expired then


def rewritten(name, folder, kind):
    """A copy of a table's log, and the checkpoint that was written there, with nothing else left."""
    log = folder / "_delta_log"
    shutil.copytree(CORPUS / BY_NAME[name]["table"] / "_delta_log", log)
    store = open_store(folder)
    before = load_snapshot(store)
    assert before.counted_files is not None  # read while its log is there
    ids = (str(UUID(int=number)) for number in itertools.count(1))
    written = checkpoint_snapshot(store, before, now_ms=LONG_AGO_MS, new_id=lambda: next(ids), kind=kind)
    kept = {written.key, *(f"_delta_log/_sidecars/{sidecar.path}" for sidecar in written.sidecars)}
    for file in [path for path in log.rglob("*") if path.is_file()]:
        if file.relative_to(folder).as_posix() not in kept:
            file.unlink()
    return before, written, load_snapshot(open_store(folder))


@pytest.mark.parametrize("kind", [CheckpointKind.V2, CheckpointKind.V2_CLASSIC_NAME])
@pytest.mark.parametrize("name", TABLES)
def test_v2_checkpoint_stands_for_the_log(name, kind, tmp_path):
    before, written, after = rewritten(name, tmp_path, kind)
    assert_same_version(before, after)
    assert written.num_adds == before.files.num_files


@pytest.mark.parametrize("name", TABLES)
def test_classic_checkpoint_stands_for_the_log(name, tmp_path):
    before, written, after = rewritten(name, tmp_path, CheckpointKind.CLASSIC)
    assert_same_version(before, after)
    assert written.num_adds == before.files.num_files


def assert_same_version(before, after):
    assert (after.version, after.protocol, after.metadata) == (
        before.version,
        before.protocol,
        before.metadata,
    )
    assert dict(after.transactions) == dict(before.transactions)
    assert dict(after.domains) == dict(before.domains)
    columns = [name for name in before.files.table.column_names if name not in ("stats", "num_records")]
    assert rows(after, columns) == rows(before, columns)
    if before.properties.checkpoint_statistics_as_json or before.properties.checkpoint_statistics_as_struct:
        assert counts(after) == counts(before)


def rows(snapshot, columns):
    found = snapshot.files.table.select(columns).to_pylist()
    for row in found:
        row["tags"] = sorted(row["tags"] or [])
    return sorted(found, key=repr)


def counts(snapshot):
    files = snapshot.counted_files
    return sorted(
        zip(files.table["path"].to_pylist(), files.num_records().to_pylist(), strict=True), key=repr
    )
