import uuid

import deltalake
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.log import load_segment
from lakefmt.manifest.checkpoint.sidecar_tags import SidecarTags
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.snapshot import load_snapshot
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.store import open_store
from lakefmt.store.local import LocalStore

DAY_MS = 86_400_000


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "table")


def create(uri, **properties):
    schema = {"day": "date", "id": "long"}
    return lakefmt.create(
        uri,
        lakefmt.Schema.from_arrow(schema),
        partition_by=["day"],
        properties={
            "delta.checkpointInterval": 1_000_000,
            **{k.replace("_", "."): v for k, v in properties.items()},
        },
    )


def rows(day, *ids):
    return pa.table({"day": pa.array([f"2026-01-{day:02}"] * len(ids)).cast(pa.date32()), "id": ids})


def write(uri, snapshot=None, *, now_ms=DAY_MS, kind=None):
    store = open_store(uri)
    snapshot = snapshot or load_snapshot(store)
    return checkpoint_snapshot(store, snapshot, now_ms=now_ms, new_id=lambda: str(uuid.uuid4()), kind=kind)


def reload(uri):
    """The newest version from its checkpoint alone."""
    store = open_store(uri)
    segment = load_segment(store)
    assert segment.checkpoint_version == segment.version
    return load_snapshot(store)


def paths(snapshot):
    return sorted(snapshot.files.table["path"].to_pylist())


def test_files_stand_in_the_order_of_their_partitions(uri):
    table = create(uri)
    for day in (3, 1, 2, 1):
        table.append(rows(day, day))
    write(uri)
    days = [row["day"] for row in reload(uri).files.table["partition_values"].to_pylist()]
    assert days == ["2026-01-01", "2026-01-01", "2026-01-02", "2026-01-03"]
    table.append(rows(2, 9))
    write(uri)  # from the checkpoint before
    days = [row["day"] for row in reload(uri).files.table["partition_values"].to_pylist()]
    assert days == ["2026-01-01", "2026-01-01", "2026-01-02", "2026-01-02", "2026-01-03"]


def test_tombstones_stay_for_their_retention(uri):
    table = create(uri)
    table.append(rows(1, 1))
    table.overwrite(rows(1, 2))
    snapshot = load_snapshot(open_store(uri))
    removed_ms = next(iter(snapshot.checkpoint_content().removed.table["deletionTimestamp"])).as_py()
    week_ms = 7 * DAY_MS
    assert write(uri, snapshot, now_ms=removed_ms + week_ms - 1).num_actions == 2 + 1 + 1
    table.refresh().append(rows(1, 3))
    again = load_snapshot(open_store(uri))
    assert write(uri, again, now_ms=removed_ms + week_ms).num_actions == 2 + 2


def test_tombstones_stay_where_nobody_can_say_for_how_long(uri, tmp_path):
    table = create(uri)
    first = tmp_path / "table" / "_delta_log" / f"{0:020}.json"
    property_ = b'"delta.deletedFileRetentionDuration":"interval 10 years","delta.checkpointInterval"'
    first.write_bytes(first.read_bytes().replace(b'"delta.checkpointInterval"', property_))
    table.append(rows(1, 1))
    table.overwrite(rows(1, 2))
    written = write(uri, load_snapshot(open_store(uri)), now_ms=4_000_000_000_000)
    removes = pq.read_table(tmp_path / "table" / written.key)["remove"].to_pylist()
    assert len([each for each in removes if each is not None]) == 1


def test_tombstones_of_commits_that_were_folded_into_a_list_are_kept(uri, monkeypatch):
    monkeypatch.setattr("lakefmt.snapshot.file_source._FOLD_AFTER_COMMITS", 1)
    table = create(uri)
    snapshot = load_snapshot(open_store(uri))
    for number in range(5):
        table.overwrite(rows(1, number))
        snapshot = lakefmt.snapshot.advance_snapshot(open_store(uri), snapshot)
    content = snapshot.checkpoint_content()
    assert content.tombstones.num_files + content.removed.num_files == 4
    assert write(uri, snapshot).num_actions == 2 + 1 + 4


@pytest.fixture
def v2(uri):
    table = create(uri, delta_checkpointPolicy="v2")
    table.append(pa.concat_tables([rows(day, day) for day in range(1, 29)]))
    return table


def tags_of(written):
    return [SidecarTags.of(sidecar) for sidecar in written.sidecars]


def test_second_checkpoint_writes_what_changed_and_refers_to_the_rest(uri, v2):
    first = write(uri)
    assert first.kind is CheckpointKind.V2
    assert [tags.num_adds for tags in tags_of(first)] == [28]
    v2.append(rows(1, 100))
    second = write(uri)
    assert [tags.num_adds for tags in tags_of(second)] == [28, 1]
    assert second.sidecars[0] == first.sidecars[0]
    assert second.written_bytes < second.size_bytes
    snapshot = reload(uri)
    assert paths(snapshot) == sorted(
        load_snapshot(open_store(uri), version=snapshot.version).files.table["path"].to_pylist()
    )
    assert snapshot.files.num_files == 29


@pytest.mark.parametrize(
    "where", ["day = DATE '2026-01-20'", "id = 20", "id BETWEEN 19 AND 20 AND day IS NOT NULL"]
)
def test_selective_read_opens_the_sidecars_that_may_match_and_no_other(uri, v2, tmp_path, monkeypatch, where):
    monkeypatch.setattr("lakefmt.manifest.checkpoint.sidecars.SIDECAR_FILES", 7)
    written = write(uri)
    assert [tags.num_adds for tags in tags_of(written)] == [7, 7, 7, 7]
    for sidecar in (*written.sidecars[:2], written.sidecars[3]):
        (tmp_path / "table" / "_delta_log" / "_sidecars" / sidecar.path).unlink()
    for commit in range(2):
        (tmp_path / "table" / "_delta_log" / f"{commit:020}.json").unlink()
    assert 20 in lakefmt.open(uri).scan(where=where).to_arrow()["id"].to_pylist()
    with pytest.raises(lakefmt.CorruptTableError, match="gone"):
        lakefmt.open(uri).to_arrow()


def test_sidecars_without_typed_statistics_are_told_apart_by_partition(uri, tmp_path, monkeypatch):
    monkeypatch.setattr("lakefmt.manifest.checkpoint.sidecars.SIDECAR_FILES", 2)
    table = create(uri, delta_checkpointPolicy="v2", delta_checkpoint_writeStatsAsStruct="false")
    table.append(pa.concat_tables([rows(day, day) for day in range(1, 7)]))
    written = write(uri)
    (tmp_path / "table" / "_delta_log" / "_sidecars" / written.sidecars[0].path).unlink()
    assert lakefmt.open(uri).scan(where="day = DATE '2026-01-04'").to_arrow()["id"].to_pylist() == [4]


def test_removed_file_leaves_its_sidecar_and_becomes_a_tombstone_of_another(uri, v2):
    first = write(uri)
    v2.overwrite(rows(5, 55), where="day = DATE '2026-01-05'")
    second = write(uri)
    assert first.sidecars[0] not in second.sidecars
    assert sorted((tags.num_adds, tags.num_removes) for tags in tags_of(second)) == [(0, 1), (1, 0), (27, 0)]
    assert sorted(reload(uri).counted_files.num_records().to_pylist()) == [1] * 28


def test_small_sidecars_are_made_into_one_so_that_they_stay_few(uri, v2):
    numbers = []
    for number in range(40):
        v2.append(rows(1 + number % 28, number))
        numbers.append(len(write(uri).sidecars))
    assert max(numbers) <= 8
    assert reload(uri).files.num_files == 68


def test_sidecars_of_other_columns_are_not_referred_to(uri, v2):
    first = write(uri)
    store = open_store(uri)
    snapshot = load_snapshot(store)
    configuration = {**snapshot.metadata.configuration, "delta.checkpoint.writeStatsAsStruct": "false"}
    v2.append(rows(1, 2))
    changed = load_snapshot(store)
    changed.metadata.configuration.clear()
    changed.metadata.configuration.update(configuration)
    second = write(uri, changed)
    assert not {sidecar.path for sidecar in first.sidecars} & {sidecar.path for sidecar in second.sidecars}
    assert sum(tags.num_adds for tags in tags_of(second)) == 29


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_files_that_another_writer_listed_beside_our_sidecars_are_kept(uri, v2, tmp_path, form):
    written = write(uri, kind=CheckpointKind.V2 if form == "json" else CheckpointKind.V2_CLASSIC_NAME)
    v2.append(rows(1, 100))
    log = tmp_path / "table" / "_delta_log"
    added = next(
        a for a in map(orjson.loads, (log / f"{2:020}.json").read_bytes().splitlines()) if "add" in a
    )
    name = f"{2:020}.checkpoint.{uuid.uuid4()}.{form}"
    if form == "json":
        (log / name).write_bytes(
            (tmp_path / "table" / written.key).read_bytes() + orjson.dumps(added) + b"\n"
        )
    else:
        manifest = pq.read_table(tmp_path / "table" / written.key)
        kind = manifest.schema.field("add").type
        members = {
            name: added["add"].get(name) for name in ("path", "size", "modificationTime", "dataChange")
        }
        members["partitionValues"] = list(added["add"]["partitionValues"].items())
        row = pa.table({"add": pa.array([members], kind)})
        pq.write_table(pa.concat_tables([manifest, row], promote_options="default"), log / name)
    v2.append(rows(1, 101))
    write(uri)
    assert reload(uri).files.num_files == 30


def test_checkpoint_without_its_old_sidecars_is_written_whole(uri, v2, tmp_path):
    first = write(uri)
    v2.append(rows(1, 100))
    snapshot = load_snapshot(open_store(uri))
    log = tmp_path / "table" / "_delta_log"
    manifests = []

    class Deleting(LocalStore):
        """A clean-up deletes a sidecar while a checkpoint comes to refer to it."""

        def put(self, key, data):
            super().put(key, data)
            if key.endswith(".json") and not manifests:
                (log / "_sidecars" / first.sidecars[0].path).unlink()
                manifests.append(key)

    store = Deleting(str(tmp_path / "table"))
    written = checkpoint_snapshot(store, snapshot, now_ms=DAY_MS, new_id=lambda: str(uuid.uuid4()))
    assert first.sidecars[0].path not in {each.path for each in written.sidecars}
    assert not (tmp_path / "table" / manifests[0]).exists()
    assert reload(uri).files.num_files == 29


def test_old_readers_find_a_v2_checkpoint_under_a_classic_name(uri, v2):

    written = write(uri, kind=CheckpointKind.V2_CLASSIC_NAME)
    assert written.key.endswith(".checkpoint.parquet")
    assert paths(reload(uri)) == paths(load_snapshot(open_store(uri)))

    assert deltalake.DeltaTable(uri).version() == 1


def test_snapshots_that_follow_read_their_files_from_the_new_checkpoint(uri):
    table = create(uri)
    for number in range(3):
        table.append(rows(1, number))
    store = open_store(uri)
    snapshot = load_snapshot(store)
    write(uri, snapshot)
    table.append(rows(2, 9))
    after = lakefmt.snapshot.advance_snapshot(store, snapshot)
    assert after.checkpoint_version == snapshot.version
    assert len(after.checkpoint_content().newest) == 1
    assert after.files.num_files == 4
    assert paths(after) == paths(load_snapshot(store))


@pytest.mark.parametrize("keeps_column", [True, False])
def test_statistics_that_another_writer_has_typed_alone_are_kept_as_text(uri, tmp_path, keeps_column):
    table = create(uri, delta_checkpoint_writeStatsAsJson="true", delta_checkpoint_writeStatsAsStruct="true")
    table.append(rows(1, 3, 7))
    table.append(rows(1, 9))
    file = tmp_path / "table" / write(uri).key
    actions = pq.read_table(file)
    adds = actions["add"].combine_chunks()
    members = {field.name: adds.field(field.name) for field in adds.type}
    # The text of one file, or all texts, are gone.
    texts = [None, *members.pop("stats").to_pylist()[1:]]
    texts[texts.index(next(filter(None, texts)))] = None
    if keeps_column:
        members["stats"] = pa.array(texts, pa.string())
    changed = pa.StructArray.from_arrays(
        list(members.values()), fields=[pa.field(n, m.type) for n, m in members.items()], mask=adds.is_null()
    )
    place = actions.schema.get_field_index("add")
    pq.write_table(actions.set_column(place, "add", changed), file)
    for commit in range(3):
        (tmp_path / "table" / "_delta_log" / f"{commit:020}.json").unlink()
    lakefmt.open(uri).append(rows(2, 5))
    snapshot = load_snapshot(open_store(uri))
    snapshot.metadata.configuration["delta.checkpoint.writeStatsAsStruct"] = "false"
    kept = pq.read_table(tmp_path / "table" / write(uri, snapshot).key)["add"].combine_chunks().drop_null()
    assert "stats_parsed" not in [field.name for field in kept.type]
    found = [orjson.loads(text) for text in kept.field("stats").to_pylist()]
    assert sorted((each["minValues"]["id"], each["numRecords"]) for each in found) == [(3, 2), (5, 1), (9, 1)]
