"""Commits on top of a version past which the log has been cleaned."""

import os

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.log.paths import commit_key
from lakefmt.store.local import LocalStore

TWO_DAYS_S = 2 * 86_400
SHORT = {"delta.logRetentionDuration": "interval 0 seconds", "delta.enableExpiredLogCleanup": "false"}


@pytest.mark.parametrize("cheap", [True, False])
@pytest.mark.parametrize("properties", [{}, SHORT])
def test_commit_is_not_put_into_the_hole_that_half_a_clean_up_left(tmp_path, properties, cheap, monkeypatch):
    monkeypatch.setattr(LocalStore, "requests_are_cheap", cheap)
    folder = tmp_path / "t"
    lakefmt.create(folder, {"id": "long"}, properties=properties).append({"id": [1]})
    if not properties:
        seen = (folder / commit_key(1)).stat().st_mtime - TWO_DAYS_S
        os.utime(folder / commit_key(1), (seen, seen))
    table = lakefmt.open(folder)
    for number in (2, 3, 4):
        deltalake.write_deltalake(folder, pa.table({"id": [number]}), mode="append")
        if number == 3:
            deltalake.DeltaTable(folder).create_checkpoint()
    (folder / commit_key(0)).unlink()
    (
        folder / commit_key(2)
    ).unlink()  # of the three that a checkpoint stands for the middle one went before the last
    assert table.append({"id": [99]}).version == 5
    assert sorted(lakefmt.open(folder).to_arrow()["id"].to_pylist()) == [1, 2, 3, 4, 99]
