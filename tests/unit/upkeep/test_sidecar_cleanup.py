"""Sidecars at a clean-up: those that a checkpoint refers to stay, those that may belong to one being written too."""

from __future__ import annotations

import datetime as dt
import os
import re
import uuid
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.log.listing import list_log
from lakefmt.log.paths import SIDECAR_FOLDER, LogFileKind
from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.store.local import LocalStore
from lakefmt.txn.environment import Environment
from lakefmt.upkeep import clean_log

NOW = dt.datetime(2026, 6, 30, 15, tzinfo=dt.UTC)
CLOCK = Environment(now_ms=lambda: int(NOW.timestamp() * 1000))


@pytest.fixture
def table(tmp_path):
    """Versions 0 to 8, one a day, the newest today; V2 checkpoints of versions 2, 4 and 6; version n < 8 has n rows."""
    table = lakefmt.create(
        tmp_path / "table",
        {"id": "long"},
        properties={
            "delta.checkpointPolicy": "v2",
            "delta.checkpointInterval": 2,
            "delta.logRetentionDuration": "interval 1 day",
        },
    )
    for number in range(1, 8):
        if number == 5:  # so that no later checkpoint refers to the sidecars of versions 2 and 4
            table.overwrite(pa.table({"id": range(5)}))
        else:
            table.append(pa.table({"id": [number]}))
        table.close()
    table.overwrite(pa.table({"id": [0]}))
    folder = tmp_path / "table" / "_delta_log"
    for checkpoint in folder.glob(f"{8:020}.checkpoint*"):
        checkpoint.unlink()
    age(folder)
    return lakefmt.open(tmp_path / "table")


def age(folder, newest=8):
    for file in folder.iterdir():
        if found := re.match(r"\d{20}", file.name):
            touch(file, newest - int(found[0]))
            if ".checkpoint." in file.name:
                for sidecar in sidecars_of(folder.parent, int(found[0])):
                    touch(folder / "_sidecars" / sidecar, newest - int(found[0]))


def touch(path, days):
    written = (NOW - dt.timedelta(days=days)).timestamp()
    os.utime(path, (written, written))


def sidecars_of(path, version):
    store = LocalStore(str(path))
    return {
        sidecar.path
        for file in list_log(store)
        if file.version == version and file.kind is LogFileKind.UUID_CHECKPOINT
        for sidecar in Checkpoint(store, [file]).state.sidecars
    }


def path_of(table):
    return Path(table.uri.removeprefix("file://"))


def there(table):
    return {path.name for path in (path_of(table) / SIDECAR_FOLDER).iterdir()}


def add_orphan(table, days):
    name = f"{uuid.uuid4()}.parquet"
    (path_of(table) / SIDECAR_FOLDER / name).write_bytes(b"PAR1")
    touch(path_of(table) / SIDECAR_FOLDER / name, days)
    return name


def clean(table, store=None, **more):
    return clean_log(store or table._store, table.snapshot, CLOCK, **more)


def test_sidecars_of_checkpoints_that_went_go_and_others_stay(table):
    kept = sidecars_of(path_of(table), 6)
    assert kept
    old, young = add_orphan(table, 3), add_orphan(table, 1)
    gone = (there(table) - kept) - {young}
    found = clean(table)
    assert (found.num_commits, found.oldest_version, found.num_sidecars) == (6, 6, len(gone))
    assert old in gone
    assert there(table) >= kept | {young}
    assert not there(table) & gone
    assert lakefmt.open(table.uri).count() == 1
    assert lakefmt.open(table.uri, version=7).count() == 7
    assert deltalake.DeltaTable(path_of(table), version=7).get_add_actions().num_rows == 3


def test_sidecar_of_yesterday_may_belong_to_a_checkpoint_that_is_being_written(table):
    """Midnight less a day: what was written yesterday stays."""
    names = [add_orphan(table, days) for days in (15.1 / 24, 39 / 24 - 0.001, 39 / 24 + 0.001)]
    clean(table)
    assert there(table).issuperset(names[:2])
    assert names[2] not in there(table)


def test_dry_run_counts_the_sidecars_that_would_go(table):
    before = there(table)
    found = clean(table, dry_run=True)
    assert there(table) == before
    assert clean(table).num_sidecars == found.num_sidecars


def test_checkpoint_of_the_classic_name_is_written_before(table):
    clean(table)
    named = path_of(table) / "_delta_log" / f"{6:020}.checkpoint.parquet"
    assert named.exists()
    kinds = {file.kind for file in list_log(table._store) if file.version == 6}
    assert {LogFileKind.CHECKPOINT, LogFileKind.UUID_CHECKPOINT} <= kinds
    for uuid_named in named.parent.glob(f"{6:020}.checkpoint.*-*"):
        uuid_named.unlink()
    (named.parent / "_last_checkpoint").unlink(missing_ok=True)
    assert lakefmt.open(table.uri).count() == 1
    assert lakefmt.open(table.uri, version=6).count() == 6


def test_checkpoint_that_lacks_a_sidecar_stands_for_nothing(table, caplog):
    for name in sidecars_of(path_of(table), 6) - sidecars_of(path_of(table), 4):
        (path_of(table) / SIDECAR_FOLDER / name).unlink()
    assert clean(table).oldest_version == 4
    assert "not cleaned up to it" in caplog.text


def test_checkpoint_that_cannot_be_read_keeps_all_sidecars_and_the_log_is_cleaned(table, caplog):
    orphan = add_orphan(table, 5)
    broken = path_of(table) / "_delta_log" / f"{7:020}.checkpoint.{uuid.uuid4()}.json"
    broken.write_bytes(b"no checkpoint")
    touch(broken, 1)
    before = there(table)
    found = clean(table)
    assert (found.num_commits, found.oldest_version, found.num_sidecars) == (6, 6, 0)
    assert orphan in there(table)
    assert there(table) >= before
    assert "all sidecars stay" in caplog.text


def test_checkpoint_that_took_a_sidecar_over_meanwhile_is_deleted(table, caplog):
    """A slow writer that began when the checkpoint of version 2 was the newest ends between look and deletion."""
    log = path_of(table) / "_delta_log"
    old = next(log.glob(f"{2:020}.checkpoint.*"))
    late = log / f"{8:020}.checkpoint.{uuid.uuid4()}{old.suffix}"
    content = old.read_bytes()

    class Store(LocalStore):
        def delete(self, keys):
            keys = list(keys)
            if any(key.startswith(SIDECAR_FOLDER) for key in keys):
                late.write_bytes(content)
            super().delete(keys)

    assert clean(table, Store(str(path_of(table)))).num_sidecars > 0
    assert not late.exists()
    assert "lost a sidecar" in caplog.text
    assert lakefmt.open(table.uri).count() == 1
