"""Checkpoints of clustered tables: files that are alike stand together, and a selective read opens few of them."""

import random
import uuid
from dataclasses import replace

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.log import AddFile, DomainMetadata
from lakefmt.manifest.checkpoint.clustering_order import clustering_ranks
from lakefmt.manifest.checkpoint.sidecar_tags import SidecarTags
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.store import open_store
from lakefmt.txn import Changes, Writer
from lakefmt.txn.commit import commit

SIDE = 12


def cluster(store, *columns, **properties):
    """A table of many columns, clustered by some of the last."""
    schema = pa.schema(
        [(f"c{number}", pa.int64()) for number in range(33)] + [("x", pa.int64()), ("y", pa.string())]
    )
    settings = {"delta.checkpointInterval": 1_000_000, **properties}
    lakefmt.create(store.uri, schema, properties=settings)
    base = load_snapshot(store)
    features = frozenset({"clustering", "domainMetadata"}) | base.protocol.writer_features
    domain = DomainMetadata("delta.clustering", orjson.dumps({"clusteringColumns": columns}).decode())
    protocol = replace(base.protocol, writer_features=features)
    return commit(Writer(store), base, Changes("CLUSTER BY", protocol=protocol, domains=(domain,)))


def grid():
    """A file for each place of a grid, in no order."""
    places = [(x, y) for x in range(SIDE) for y in range(SIDE)]
    random.Random(3).shuffle(places)
    return [box(x, y) for x, y in places]


def box(x, y, name=""):
    least = {"x": x * 10, "y": f"{y:03}"}
    greatest = {"x": x * 10 + 9, "y": f"{y:03}~"}
    stats = {"numRecords": 1, "minValues": least, "maxValues": greatest, "nullCount": {"x": 0, "y": 0}}
    return AddFile(f"{x}-{y}{name}.parquet", {}, 1, 1, stats=orjson.dumps(stats).decode())


def add(store, snapshot, adds):
    return commit(Writer(store), snapshot, Changes("WRITE", adds=tuple(adds)))


def write(store, snapshot):
    return checkpoint_snapshot(store, snapshot, now_ms=1, new_id=lambda: str(uuid.uuid4()))


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "table"))


@pytest.mark.parametrize(
    ("where", "pieces"), [("x = 37", 4), ("y = '004'", 4), ("x = 37 AND y = '004'", 1), ("y > '011~'", 0)]
)
def test_selective_read_opens_a_fraction_of_the_sidecars(store, tmp_path, monkeypatch, where, pieces):
    monkeypatch.setattr("lakefmt.manifest.checkpoint.sidecars.SIDECAR_FILES", 9)
    snapshot = add(store, cluster(store, ["x"], ["y"], **{"delta.checkpointPolicy": "v2"}), grid())
    written = write(store, snapshot)
    assert [SidecarTags.of(each).num_adds for each in written.sidecars] == [9] * 16
    needed = [each for each in written.sidecars if may_hold(orjson.loads(each.tags["lakefmt.bounds"]), where)]
    assert len(needed) == pieces
    for sidecar in written.sidecars:
        if sidecar not in needed:
            (tmp_path / "table" / "_delta_log" / "_sidecars" / sidecar.path).unlink()
    assert found(store, where) == sorted(expected(where))


def may_hold(bounds, where):
    (x0, y0), (x1, y1) = (tuple(bounds[side][name] for name in "xy") for side in ("minValues", "maxValues"))
    return all(
        {"x = 37": x0 <= 37 <= x1, "y = '004'": y0 <= "004" <= y1, "y > '011~'": y1 > "011~"}[part]
        for part in where.split(" AND ")
    )


def expected(where):
    xs = [3] if "x = 37" in where else range(SIDE)
    ys = [4] if "y = '004'" in where else [] if "y >" in where else range(SIDE)
    return [f"{x}-{y}.parquet" for x in xs for y in ys]


def found(store, where):
    return sorted(lakefmt.open(store.uri).scan(where=where).files()["log_path"].to_pylist())


def paths_in(tmp_path, written):
    adds = pq.read_table(tmp_path / "table" / written.key)["add"].to_pylist()
    return [each["path"] for each in adds if each is not None]


def test_files_stand_in_the_order_of_one_clustering_column(store, tmp_path):
    snapshot = add(store, cluster(store, ["x"]), [box(x, 0) for x in (5, 1, 3)])
    assert paths_in(tmp_path, write(store, snapshot)) == ["1-0.parquet", "3-0.parquet", "5-0.parquet"]
    snapshot = add(store, load_snapshot(store), [box(4, 0), box(0, 0), replace(box(9, 0), stats=None)])
    assert paths_in(tmp_path, write(store, snapshot)) == [f"{x}-0.parquet" for x in (0, 1, 3, 4, 5, 9)]


def test_row_groups_of_a_classic_checkpoint_hold_files_that_are_alike(store, tmp_path, monkeypatch):
    monkeypatch.setattr("lakefmt.manifest.checkpoint.classic.GROUP_ROWS", 9)
    written = write(store, add(store, cluster(store, ["x"], ["y"]), grid()))
    metadata = pq.read_metadata(tmp_path / "table" / written.key)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for name, point in (("x", 37), ("y", "004")):
        may = [group for group in groups if covers(group, name, point)]
        assert len(may) == 4
    assert found(store, "x = 37 AND y = '004'") == ["3-4.parquet"]


def covers(group, name, point):
    columns = [group.column(place) for place in range(group.num_columns)]
    ends = {
        side: next(c.statistics for c in columns if c.path_in_schema == f"add.stats_parsed.{side}.{name}")
        for side in ("minValues", "maxValues")
    }
    return ends["minValues"].has_min_max and ends["minValues"].min <= point <= ends["maxValues"].max


def test_files_added_since_stay_behind_those_in_place_until_order_pays(store, tmp_path, monkeypatch):
    monkeypatch.setattr("lakefmt.manifest.checkpoint.classic.GROUP_ROWS", 9)
    snapshot = add(store, cluster(store, ["x"], ["y"]), grid())
    first = paths_in(tmp_path, write(store, snapshot))
    snapshot = add(store, load_snapshot(store), [box(3, 4, "again")])
    second = paths_in(tmp_path, write(store, snapshot))
    assert second == [*first, "3-4again.parquet"]
    snapshot = add(store, load_snapshot(store), [box(x, y, "more") for x in range(SIDE) for y in range(SIDE)])
    third = paths_in(tmp_path, write(store, snapshot))
    assert sorted(third) == sorted(
        [*second, *[each.path for each in snapshot.files.to_adds() if "more" in each.path]]
    )
    assert third[: len(second)] != second


def test_table_whose_clustering_columns_nobody_can_read_keeps_its_checkpoints(store, tmp_path):
    snapshot = cluster(store, "x")
    domain = DomainMetadata("delta.clustering", '{"clusteringColumns":7}')
    snapshot = commit(Writer(store), snapshot, Changes("CLUSTER BY", domains=(domain,)))
    snapshot = add(store, snapshot, [box(2, 0), box(1, 0)])
    assert paths_in(tmp_path, write(store, snapshot)) == ["2-0.parquet", "1-0.parquet"]


def test_unknown_minima_come_last_and_runs_are_full():
    ranks = clustering_ranks([pa.array([None, 3, 1, 2, None]), pa.array(["a", None, "b", "c", "d"])], 2)
    assert sorted(ranks.to_pylist()) == [0, 1, 2, 3, 4]
    assert {place for place, rank in enumerate(ranks.to_pylist()) if rank < 2} == {2, 3}
