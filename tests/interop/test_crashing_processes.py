"""Real processes, real storage, kill -9: their history is strictly serializable, and every reader sees where it ended."""

from __future__ import annotations

from collections import Counter

import pytest
from simulation.runs import seeds

from lakefmt.testing.history import check_history
from lakefmt.testing.writer_processes import run_processes


@pytest.fixture(scope="module", params=seeds(1))
def seed(request):
    return request.param


@pytest.fixture(scope="module", params=["local", "s3"])
def crashed(request, tmp_path_factory, seed):
    """A table that processes have appended to, some of which were killed: (uri, options as delta-rs has them, history)."""
    folder = tmp_path_factory.mktemp("crashed")
    if request.param == "local":
        uri, options = str(folder / "table"), None
        history = run_processes(
            uri, folder, seed=seed, storage_options={"fsync": False}, threads=2, starts=24, fault_rate=0.01
        )
    else:
        _, bucket = request.getfixturevalue("s3_elsewhere")
        uri, options = f"{bucket}/{folder.name}", request.getfixturevalue("s3_reader_options")
        ours = request.getfixturevalue("our_options")
        history = run_processes(
            uri, folder, seed=seed, storage_options=ours, starts=12, operations=6, fault_rate=0.01
        )
    return uri, options, history


def test_history_of_killed_processes_is_strictly_serializable(crashed, seed):
    _, _, history = crashed
    anomalies = check_history(history)
    assert not anomalies, "\n".join([f"seed {seed}", *map(str, anomalies)])
    found = Counter(f"{operation.kind} {operation.outcome}" for operation in history)
    assert not found["append failed"], "a blind append fails only when it dies"
    assert found["append ok"] > 10
    assert found["append unknown"], "none was killed in the middle"


def test_readers_see_where_it_ended(crashed, peer):
    uri, options, history = crashed
    rows = peer.read(uri, options=options)
    assert sorted(rows["id"].to_pylist()) == sorted(history[-1].values)
