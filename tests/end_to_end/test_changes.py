"""Row changes between versions, whoever wrote the commits and however they recorded them."""

import datetime as dt
import json
import os
import pickle
from collections import Counter

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

import lakefmt
from lakefmt.errors import (
    CorruptTableError,
    InvalidInputError,
    UnsupportedFeatureError,
    VersionNotFoundError,
)
from lakefmt.log.paths import commit_key
from lakefmt.store.local import LocalStore
from lakefmt.testing.deletion_vectors import delete_positions
from lakefmt.testing.foreign_table import column, mapped

ROWS = pa.table({"id": [1, 2, 3], "city": ["a", "b", None]})
RECORDED = {"delta.enableChangeDataFeed": "true"}


def changes_of(changes, *names):
    """Return (version, type, id or the named columns) of each change, sorted."""
    rows = changes.to_arrow().to_pylist()
    found = [
        (row["_commit_version"], row["_change_type"], *(row[name] for name in names or ["id"]))
        for row in rows
    ]
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    return sorted(found, key=repr)


def net_of(changes, names):
    """Return how often each row is there after the changes, of a table that was empty before."""
    net = Counter()
    for row in changes.to_arrow().to_pylist():
        sign = 1 if row["_change_type"] in {"insert", "update_postimage"} else -1
        net[repr([row[name] for name in names])] += sign
    return {row: count for row, count in net.items() if count}


def rows_of(table):
    return Counter(repr(list(row.values())) for row in table.to_arrow().to_pylist())


class HandWritten:
    """A table whose commits are written action by action."""

    def __init__(self, folder, fields, *, properties=None, features=(), partition_by=()):
        self.folder = folder
        self.features = list(features)
        (folder / "_delta_log").mkdir(parents=True)
        self.version = -1
        reader, writer = (3, 7) if features else (1, 2)
        protocol = {"minReaderVersion": reader, "minWriterVersion": writer}
        if features:
            protocol |= {"readerFeatures": list(features), "writerFeatures": list(features)}
        self.commit({"protocol": protocol}, self.metadata(fields, properties, partition_by))

    @staticmethod
    def metadata(fields, properties=None, partition_by=()):
        return {
            "metaData": {
                "id": "t",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": list(partition_by),
                "configuration": properties or {},
            }
        }

    def commit(self, *actions):
        self.version += 1
        path = self.folder / commit_key(self.version)
        path.write_text("\n".join(map(json.dumps, actions)))
        os.utime(path, (1_700_000_000 + self.version * 60,) * 2)
        return self.version

    def file(self, kind, rows, path, *, values=None, **more):
        """Write a Parquet file and return its action."""
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, place)
        path = path.replace("%", "%25").replace(" ", "%20")
        action = {"path": path, "partitionValues": values or {}, "size": place.stat().st_size}
        return {kind: {**action, "dataChange": kind != "cdc", "modificationTime": 0, **more}}

    def remove(self, add, **more):
        kept = {name: add["add"][name] for name in ("path", "partitionValues", "size")}
        vector = {k: v for k, v in add["add"].items() if k == "deletionVector"}
        return {"remove": {**kept, **vector, "dataChange": True, "deletionTimestamp": 1, **more}}

    @property
    def changes(self):
        return lakefmt.open(self.folder).changes


@pytest.fixture
def table(table_uri):
    uri, options = table_uri
    return lakefmt.create(uri, ROWS.schema, partition_by="city", storage_options=options)


@pytest.fixture
def hand(tmp_path):
    return HandWritten(tmp_path / "t", [column("id", "long"), column("city", "string")])


def test_appends_are_inserts_and_replaced_rows_are_deleted(table):
    table.append(ROWS)
    table.overwrite(pa.table({"id": [7], "city": ["b"]}), where="city = 'b'")
    assert changes_of(table.changes(), "id", "city") == [
        (1, "insert", 1, "a"),
        (1, "insert", 2, "b"),
        (1, "insert", 3, None),
        (2, "delete", 2, "b"),
        (2, "insert", 7, "b"),
    ]
    assert changes_of(table.changes(2)) == [(2, "delete", 2), (2, "insert", 7)]
    assert changes_of(table.changes(0, 1)) == [(1, "insert", 1), (1, "insert", 2), (1, "insert", 3)]
    assert changes_of(table.at(version=1).changes()) == changes_of(table.changes(to_version=1))


def test_columns_of_a_change_follow_those_of_the_table(table):
    table.append(ROWS)
    changes = table.changes()
    assert changes.to_arrow().schema == changes.schema.to_arrow()
    assert changes.schema.names == ["id", "city", "_change_type", "_commit_version", "_commit_timestamp"]
    assert changes.schema.to_arrow().field("_commit_version").type == pa.int64()
    assert changes.schema.to_arrow().field("_commit_timestamp").type == pa.timestamp("us", "UTC")
    times = {entry.version: entry.timestamp_ms for entry in table.history()}
    for row in changes.to_arrow().to_pylist():
        assert row["_commit_timestamp"].timestamp() * 1000 == pytest.approx(times[row["_commit_version"]])


def test_every_form_has_the_same_changes(table):
    table.append(ROWS)
    table.append(ROWS)
    changes = table.changes(where="id > 1")
    expected = changes.to_arrow()
    assert expected.num_rows == 4
    assert pa.table(changes).equals(expected)
    assert pa.Table.from_batches(changes.to_batches()).num_rows == 4
    assert len(changes.to_pandas()) == 4
    lazy = changes.to_polars()
    assert lazy.collect().height == 4
    assert lazy.filter(pl.col("_commit_version") == 2).select("id").collect()["id"].sort().to_list() == [2, 3]
    assert lazy.head(1).collect().height == 1
    with duckdb.connect() as con:
        changes.to_duckdb(con, "changes")
        query = "SELECT _change_type, count(*) FROM changes GROUP BY ALL"
        assert con.execute(query).fetchall() == [("insert", 4)]
    assert "versions=0 to 2" in repr(changes)


def test_changes_pickle_and_are_read_again(tmp_path):
    table = lakefmt.write(tmp_path / "t", ROWS)
    assert pickle.loads(pickle.dumps(table.changes())).to_arrow().num_rows == 3


def test_projection_and_filter_may_name_the_columns_of_a_change(table):
    table.append(ROWS)
    table.overwrite(pa.table({"id": [7], "city": ["b"]}), where="city = 'b'")
    changes = table.changes(columns=["_change_type", "id"], where="_change_type = 'delete'")
    assert changes.to_arrow().to_pylist() == [{"_change_type": "delete", "id": 2}]
    assert table.changes(columns=["id"], where="_commit_version = 1 AND id >= 2").to_arrow().num_rows == 2
    since = table.history()[0].timestamp_ms
    moment = dt.datetime.fromtimestamp(since / 1000, dt.UTC)
    late = table.changes(where="_commit_timestamp >= ?", params=[moment])
    assert set(late.to_arrow()["_commit_version"].to_pylist()) == {2}
    with pytest.raises(InvalidInputError, match="_change_typ"):
        table.changes(columns=["_change_typ"])


def test_files_without_a_meant_change_are_not_opened(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    table.append(ROWS)
    (first,) = table.files()["path"].to_pylist()
    table.append(pa.table({"id": [10], "city": ["z"]}))
    (tmp_path / "t" / first).unlink()
    for where in ("_commit_version = 2", "id > 5", "city = 'z' AND _change_type = 'insert'"):
        assert table.changes(where=where).to_arrow()["id"].to_pylist() == [10]
    assert table.changes(where="_change_type LIKE 'update%'").to_arrow().num_rows == 0


def test_a_range_of_many_files_opens_the_few_that_are_meant(hand):
    """Kinds of commits alternate and files come by thousands; all but one of these files are not there."""
    stats = json.dumps(
        {"numRecords": 1, "minValues": {"id": 1}, "maxValues": {"id": 1}, "nullCount": {"id": 0}}
    )
    gone = {"size": 9, "modificationTime": 0, "dataChange": True, "partitionValues": {}, "stats": stats}
    for number in range(4):
        hand.commit(*({"add": {"path": f"{number}-{i}.parquet", **gone}} for i in range(3000)))
    recorded = pa.table({"id": [8], "city": ["r"], "_change_type": ["delete"]})
    hand.commit(hand.file("cdc", recorded, "_change_data/c.parquet"))
    hand.commit(hand.file("add", pa.table({"id": [7], "city": ["x"]}), "last.parquet"))
    assert changes_of(hand.changes(where="id > 5")) == [(5, "delete", 8), (6, "insert", 7)]


def test_a_vacuumed_file_is_named_with_the_version_that_needs_it(tmp_path):
    table = lakefmt.create(tmp_path / "t", ROWS.schema)
    table.append(ROWS)
    (first,) = table.files()["path"].to_pylist()
    table.overwrite(pa.table({"id": [10], "city": ["z"]}))
    (tmp_path / "t" / first).unlink()
    with pytest.raises(VersionNotFoundError, match="vacuumed") as caught:
        table.changes().to_arrow()
    assert (caught.value.version, caught.value.path) == (1, first)
    with pytest.raises(VersionNotFoundError, match="version 2") as caught:
        table.changes(2).to_arrow()
    assert caught.value.version == 2
    assert table.changes(3).to_arrow().num_rows == 0


def test_a_cleaned_log_says_where_changes_can_begin(tmp_path):
    folder = tmp_path / "t"
    for version in range(4):
        write_deltalake(folder, ROWS, mode="append")
        if version == 2:
            DeltaTable(folder).create_checkpoint()
    (folder / commit_key(0)).unlink()
    (folder / commit_key(1)).unlink()
    table = lakefmt.open(folder)
    with pytest.raises(VersionNotFoundError, match="from_version=2") as caught:
        table.changes()
    assert caught.value.version == 0
    assert table.changes(2).to_arrow().num_rows == 6
    with pytest.raises(VersionNotFoundError, match="no longer in the log"):
        table.changes(from_timestamp="2001-01-01")


def test_bounds_by_time_take_the_commits_between_them(hand):
    for number in (1, 2, 3):
        hand.commit(hand.file("add", ROWS.slice(0, 1), f"{number}.parquet"))
    time = dt.datetime.fromtimestamp(1_700_000_060, dt.UTC)  # of version 1
    step = dt.timedelta(seconds=1)

    def versions(**bounds):
        return list(hand.changes(**bounds).versions)

    assert versions(from_timestamp=time) == [1, 2, 3]
    assert versions(from_timestamp=time + step) == [2, 3]
    assert versions(to_timestamp=time) == [0, 1]
    assert versions(to_timestamp=time + step) == [0, 1]
    assert versions(from_timestamp="2001-01-01", to_timestamp="2100-01-01") == [0, 1, 2, 3]
    assert versions(from_version=1, to_timestamp=(time + 60 * step).isoformat()) == [1, 2]
    assert versions(from_timestamp="2100-01-01") == []
    times = hand.changes(1, 1).to_arrow()["_commit_timestamp"].to_pylist()
    assert times == [time]


def test_nothing_yet_is_no_error_and_later_is(table):
    table.append(ROWS)
    assert list(table.changes(2).versions) == []
    assert table.changes(2).to_arrow().schema.names[:2] == ["id", "city"]
    for bounds in (
        {"from_version": 3},
        {"from_version": 1, "to_version": 0},
        {"from_version": -1},
        {"from_version": True},
        {"from_version": 0, "from_timestamp": "2020-01-01"},
        {"from_timestamp": "soon"},
    ):
        with pytest.raises(InvalidInputError):
            table.changes(**bounds)
    with pytest.raises(VersionNotFoundError, match="newest is 1"):
        table.changes(0, 2)


def test_changes_that_delta_rs_recorded_are_read_as_it_reads_them(tmp_path):
    folder = tmp_path / "t"
    rows = pa.table({"id": list(range(6)), "city": ["a", "a", "b", "b", "c", None]})
    write_deltalake(folder, rows, partition_by=["city"], configuration=RECORDED)
    DeltaTable(folder).update({"id": "id + 100"}, predicate="id = 1 OR id = 2")
    DeltaTable(folder).delete("id = 3")
    source = pa.table({"id": [0, 50], "city": ["a", "d"]})
    merge = DeltaTable(folder).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    DeltaTable(folder).optimize.compact()
    changes = lakefmt.open(folder).changes()
    expected = pa.table(DeltaTable(folder).load_cdf().read_all())
    names = ["_commit_version", "_change_type", "id", "city"]
    want = sorted(map(repr, map(tuple, (row.values() for row in expected.select(names).to_pylist()))))
    assert sorted(map(repr, changes_of(changes, "id", "city"))) == want
    assert {kind for _, kind, _ in changes_of(changes)} == {
        *("insert", "delete", "update_preimage", "update_postimage")
    }
    assert net_of(changes, ["id", "city"]) == rows_of(lakefmt.open(folder))


def test_change_data_files_alone_count_where_there_are_any(hand):
    rows = ROWS.append_column("_change_type", pa.array(["insert", "delete", "update_preimage"]))
    hand.commit(
        hand.file("add", ROWS, "new.parquet"),
        hand.file("cdc", rows, "_change_data/city=a%20 b/cdc.parquet"),
    )
    assert changes_of(hand.changes()) == [(1, "delete", 2), (1, "insert", 1), (1, "update_preimage", 3)]
    only = hand.changes(where="_change_type = 'delete' AND id < 3")
    assert changes_of(only) == [(1, "delete", 2)]


def test_partition_values_of_change_data_files_come_from_the_log(tmp_path):
    fields = [column("id", "long"), column("city", "string")]
    hand = HandWritten(tmp_path / "t", fields, partition_by=["city"])
    rows = pa.table({"id": [1], "_change_type": ["insert"]})
    hand.commit(hand.file("cdc", rows, "_change_data/x.parquet", values={"city": "ü %"}))
    hand.commit(hand.file("cdc", rows, "_change_data/y.parquet", values={"city": ""}))
    assert changes_of(hand.changes(), "id", "city") == [(1, "insert", 1, "ü %"), (2, "insert", 1, None)]
    assert changes_of(hand.changes(where="city IS NULL")) == [(2, "insert", 1)]


def test_a_change_that_does_not_say_what_it_is_is_corruption(hand):
    rows = ROWS.append_column("_change_type", pa.array(["insert", None, "delete"]))
    hand.commit(hand.file("cdc", rows, "_change_data/x.parquet"))
    with pytest.raises(CorruptTableError, match="without _change_type"):
        hand.changes().to_arrow()
    hand.commit(hand.file("cdc", ROWS, "_change_data/y.parquet"))
    with pytest.raises(CorruptTableError, match="_change_type") as caught:
        hand.changes(2).to_arrow()
    assert caught.value.version == 2


def test_files_that_change_no_data_are_no_changes(hand):
    add = hand.file("add", ROWS, "a.parquet")
    hand.commit(add)
    hand.commit(hand.remove(add, dataChange=False), hand.file("add", ROWS, "b.parquet", dataChange=False))
    assert changes_of(hand.changes(2)) == []


def test_a_merge_that_changed_no_row_copied_them_all(hand):
    add = hand.file("add", ROWS, "a.parquet")
    hand.commit(add)
    metrics = {f"numTargetRows{what}": "0" for what in ("Inserted", "Updated", "Deleted", "Copied")}
    info = {"commitInfo": {"operation": "MERGE", "operationMetrics": metrics}}
    hand.commit(info, hand.remove(add), hand.file("add", ROWS, "b.parquet"))
    assert changes_of(hand.changes(2)) == []


def test_a_remove_of_an_old_writer_is_completed_from_its_add(tmp_path):
    fields = [column("id", "long"), column("city", "string")]
    hand = HandWritten(tmp_path / "t", fields, partition_by=["city"])
    add = hand.file("add", ROWS.select(["id"]), "a.parquet", values={"city": "x"})
    hand.commit(add)
    remove = {"path": add["add"]["path"], "dataChange": True, "deletionTimestamp": 1}
    hand.commit({"remove": remove})
    assert changes_of(hand.changes(2), "id", "city") == [(2, "delete", i, "x") for i in (1, 2, 3)]
    hand.commit({"remove": {**remove, "path": "never.parquet"}})
    with pytest.raises(CorruptTableError, match="did not have") as caught:
        hand.changes().to_arrow()
    assert (caught.value.version, caught.value.path) == (3, "never.parquet")


@pytest.mark.parametrize("cleaned", [False, True])
def test_many_removes_of_an_old_writer_are_completed_in_one_replay(tmp_path, monkeypatch, cleaned):
    fields = [column("id", "long"), column("city", "string")]
    hand = HandWritten(tmp_path / "t", fields, partition_by=["city"])
    names = ["a b", "b", "c", "d"]
    adds = [hand.file("add", ROWS.select(["id"]), f"{n}.parquet", values={"city": n}) for n in names]
    for add in adds:
        hand.commit(add)
    for spelled in ("a b.parquet", "%62.parquet"):
        hand.commit({"remove": {"path": spelled, "dataChange": True, "deletionTimestamp": 1}})
    again = {**adds[1]["add"], "partitionValues": {"city": "B"}}
    hand.commit({"add": again})
    hand.commit({"remove": {"path": "b.parquet", "dataChange": True, "deletionTimestamp": 1}})
    if cleaned:
        DeltaTable(tmp_path / "t").create_checkpoint()
        (tmp_path / "t" / commit_key(0)).unlink()
    listings = []
    listed = LocalStore.list
    monkeypatch.setattr(LocalStore, "list", lambda self, *a, **k: listings.append(a) or listed(self, *a, **k))
    found = changes_of(hand.changes(1), "id", "city")
    deleted = [change for change in found if change[1] == "delete"]
    assert deleted == [
        (version, "delete", i, city) for version, city in ((5, "a b"), (6, "b"), (8, "B")) for i in (1, 2, 3)
    ]
    assert len(listings) <= 4  # not one more for every commit


@pytest.mark.parametrize("storage_type", ["u", "i", "p"])
def test_another_deletion_vector_is_the_rows_by_which_they_differ(tmp_path, storage_type):
    uri = tmp_path / "t a"
    table = lakefmt.write(uri, pa.table({"id": list(range(8))}))
    (path,) = table.files()["log_path"].to_pylist()
    for positions in ([1, 2], [1, 2, 5], [2], [7], []):
        delete_positions(uri, {path: positions}, storage_type=storage_type)
    table = lakefmt.open(uri)
    assert changes_of(table.changes(table.version - 4)) == [
        *[(table.version - 4, "delete", i) for i in (1, 2)],
        (table.version - 3, "delete", 5),
        *[(table.version - 2, "insert", i) for i in (1, 5)],
        (table.version - 1, "delete", 7),
        (table.version - 1, "insert", 2),
        (table.version, "insert", 7),
    ]
    assert changes_of(table.changes(where="id = 5")) == [
        (0 if table.version == 5 else 1, "insert", 5),
        (table.version - 3, "delete", 5),
        (table.version - 2, "insert", 5),
    ]


def test_rows_deleted_before_a_file_goes_are_not_deleted_again(tmp_path):
    table = lakefmt.write(tmp_path / "t", pa.table({"id": list(range(4))}))
    delete_positions(tmp_path / "t", {table.files()["log_path"][0].as_py(): [0, 3]})
    table = lakefmt.open(tmp_path / "t")
    table.overwrite(pa.table({"id": [9]}))
    assert changes_of(table.changes(table.version)) == [
        *[(table.version, "delete", i) for i in (1, 2)],
        (table.version, "insert", 9),
    ]


EXAMPLE = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.integers(0, 9), min_size=1, max_size=6)),
        st.tuples(st.just("overwrite"), st.lists(st.integers(0, 9), min_size=1, max_size=3)),
        st.tuples(st.just("vectors"), st.lists(st.integers(0, 5), max_size=6)),
    ),
    max_size=7,
)


@settings(max_examples=25, deadline=None)
@given(EXAMPLE)
def test_all_changes_together_are_the_table(tmp_path_factory, steps):
    uri = tmp_path_factory.mktemp("net") / "t"
    lakefmt.create(uri, {"id": "long"})
    for kind, numbers in steps:
        table = lakefmt.open(uri)
        rows = pa.table({"id": pa.array(numbers, pa.int64())})
        if kind == "vectors":
            files = table.files().select(["log_path", "num_rows", "deleted_rows"]).to_pylist()
            lengths = {file["log_path"]: file["num_rows"] + (file["deleted_rows"] or 0) for file in files}
            positions = {path: [n for n in numbers if n < length] for path, length in lengths.items()}
            if positions:
                delete_positions(uri, positions)
        else:
            getattr(table, kind)(rows)
    table = lakefmt.open(uri)
    assert net_of(table.changes(), ["id"]) == rows_of(table)
    half = table.version // 2
    first = net_of(table.changes(to_version=half), ["id"])
    assert first == rows_of(table.at(version=half))


def test_added_and_widened_columns_are_shown_under_the_last_schema(tmp_path):
    features = ("typeWidening",)
    hand = HandWritten(tmp_path / "t", [column("id", "integer")], features=features)
    hand.commit(hand.file("add", pa.table({"id": pa.array([1], pa.int32())}), "1.parquet"))
    change = {"delta.typeChanges": [{"fromType": "integer", "toType": "long"}]}
    wide = {**column("id", "long"), "metadata": change}
    hand.commit(hand.metadata([wide, column("city", "string")]))
    hand.commit(hand.file("add", pa.table({"id": [2**40], "city": ["x"]}), "2.parquet"))
    assert changes_of(hand.changes(), "id", "city") == [(1, "insert", 1, None), (3, "insert", 2**40, "x")]
    # Of versions before the change the schema is what it was then.
    assert hand.changes(0, 1).schema.names[0:2] == ["id", "_change_type"]


@pytest.mark.parametrize(
    ("later", "says"),
    [
        ([column("city", "string")], "column id is not there any more"),
        ([column("id", "string"), column("city", "string")], "column id is string, and was long"),
        ([column("id", "integer"), column("city", "string")], "column id is integer, and was long"),
    ],
)
def test_a_column_that_is_lost_on_the_way_is_refused_by_version(hand, later, says):
    hand.commit(hand.file("add", ROWS, "1.parquet"))
    hand.commit(hand.metadata(later))
    with pytest.raises(UnsupportedFeatureError, match=says) as caught:
        hand.changes().to_arrow()
    assert caught.value.version == 0
    assert changes_of(hand.changes(0, 1)) == [(1, "insert", i) for i in (1, 2, 3)]
    assert hand.changes(2).to_arrow().num_rows == 0


def test_another_partitioning_on_the_way_is_refused(hand):
    fields = [column("id", "long"), column("city", "string")]
    hand.commit(hand.metadata(fields, partition_by=["city"]))
    with pytest.raises(UnsupportedFeatureError, match="partitioned by city, and was by nothing"):
        hand.changes().to_arrow()


@pytest.mark.parametrize("mode", ["name", "id"])
def test_mapped_columns_are_found_and_renames_followed(tmp_path, mode):
    properties = {"delta.columnMapping.mode": mode}
    fields = [mapped("id", "long", "c1", 1), mapped("city", "string", "c2", 2)]
    hand = HandWritten(tmp_path / "t", fields, properties=properties, features=("columnMapping",))
    names = ["c1", "c2"] if mode == "name" else ["x", "y"]
    schema = pa.schema(
        [
            pa.field(name, kind, metadata={"PARQUET:field_id": str(number)})
            for number, (name, kind) in enumerate(zip(names, [pa.int64(), pa.string()], strict=True), 1)
        ]
    )
    rows = pa.table([[1], ["a"]], schema=schema)
    hand.commit(hand.file("add", rows, "1.parquet"))
    recorded = rows.append_column("_change_type", pa.array(["delete"]))
    hand.commit(hand.file("cdc", recorded, "_change_data/2.parquet"))
    renamed = [mapped("id", "long", "c1", 1), mapped("town", "string", "c2", 2)]
    hand.commit(hand.metadata(renamed, properties))
    assert changes_of(hand.changes(), "id", "town") == [(1, "insert", 1, "a"), (2, "delete", 1, "a")]
    assert changes_of(hand.changes(0, 2), "city") == [(1, "insert", "a"), (2, "delete", "a")]
    assert changes_of(hand.changes(where="town = 'a' AND _change_type = 'delete'")) == [(2, "delete", 1)]


def test_in_commit_timestamps_date_the_changes(tmp_path):
    properties = {"delta.enableInCommitTimestamps": "true"}
    hand = HandWritten(tmp_path / "t", [column("id", "long")], properties=properties)
    log = hand.folder / commit_key(0)
    protocol = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["inCommitTimestamp"]}
    lines = [{"commitInfo": {"inCommitTimestamp": 1000}}, {"protocol": protocol}]
    log.write_text("\n".join([*map(json.dumps, lines), log.read_text().splitlines()[1]]))
    hand.commit({"commitInfo": {"inCommitTimestamp": 5123}}, hand.file("add", ROWS, "1.parquet"))
    assert hand.changes().to_arrow()["_commit_timestamp"].cast(pa.int64()).to_pylist() == [5_123_000] * 3
    assert list(hand.changes(from_timestamp="1970-01-01T00:00:02Z").versions) == [1]


def test_a_table_with_a_column_of_that_name_is_refused(tmp_path):
    table = lakefmt.write(tmp_path / "t", pa.table({"_Commit_Version": [1]}))
    with pytest.raises(InvalidInputError, match="_commit_version"):
        table.changes()
