"""Checkpoints as no writer at hand makes them, but another may: the same rows, found by the same predicates."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt

TEXTS = pa.map_(pa.string(), pa.string())


def make_table(folder, columns, partition_columns, files, adds, *, maps=TEXTS, more=()):
    """Write data files, and a checkpoint in row groups of one add each."""
    log = folder / "_delta_log"
    log.mkdir(parents=True)
    for name, rows in files.items():
        pq.write_table(rows, folder / name)
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in columns]
    metadata = {
        "id": "t",
        "format": {"provider": "parquet"},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": partition_columns,
        "configuration": [],
    }
    kind = pa.struct(
        [
            ("path", pa.string()),
            ("partitionValues", maps),
            ("size", pa.int64()),
            ("dataChange", pa.bool_()),
            *more,
        ]
    )
    whole = [
        {"size": (folder / add["path"]).stat().st_size, "dataChange": False, "partitionValues": [], **add}
        for add in adds
    ]
    none = [None] * len(whole)
    protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
    state = pa.struct(
        [
            ("id", pa.string()),
            ("format", pa.struct([("provider", pa.string())])),
            ("schemaString", pa.string()),
            ("partitionColumns", pa.list_(pa.string())),
            ("configuration", TEXTS),
        ]
    )
    actions = pa.table(
        {
            "protocol": pa.array([protocol, None, *none]),
            "metaData": pa.array([None, metadata, *none], state),
            "add": pa.array([None, None, *whole], kind),
        }
    )
    pq.write_table(actions, log / f"{0:020d}.checkpoint.parquet", row_group_size=1)
    return lakefmt.open(folder)


ONE_EACH = {"a.parquet": pa.table({"x": [1]}), "b.parquet": pa.table({"x": [2]})}
LETTERS = [("a.parquet", "u"), ("b.parquet", "v")]


@pytest.mark.parametrize("key", [pa.string(), pa.large_string(), pa.binary()], ids=str)
def test_partition_values_are_texts_of_any_kind(tmp_path, key):
    adds = [{"path": path, "partitionValues": [("p", letter)]} for path, letter in LETTERS]
    if key == pa.binary():
        adds = [{**add, "partitionValues": [(b"p", add["partitionValues"][0][1].encode())]} for add in adds]
    table = make_table(
        tmp_path, [("x", "long"), ("p", "string")], ["p"], ONE_EACH, adds, maps=pa.map_(key, key)
    )
    assert table.scan(where="p = 'v'").to_arrow().to_pylist() == [{"x": 2, "p": "v"}]
    assert sorted(table.to_arrow()["p"].to_pylist()) == ["u", "v"]


def test_partition_column_in_another_case_has_its_values(tmp_path):
    adds = [{"path": path, "partitionValues": [("P", letter)]} for path, letter in LETTERS]
    table = make_table(tmp_path, [("x", "long"), ("p", "string")], ["P"], ONE_EACH, adds)
    assert table.partition_columns == ("p",)
    assert table.scan(where="p = 'v'").to_arrow().to_pylist() == [{"x": 2, "p": "v"}]


def test_nan_as_a_partition_value_is_above_every_number(tmp_path):
    parsed = pa.struct([("p", pa.float64())])
    values = [("a.parquet", "1.0", 1.0), ("b.parquet", "NaN", float("nan"))]
    adds = [
        {"path": path, "partitionValues": [("p", text)], "partitionValues_parsed": {"p": value}}
        for path, text, value in values
    ]
    columns, more = [("x", "long"), ("p", "double")], [("partitionValues_parsed", parsed)]
    table = make_table(tmp_path, columns, ["p"], ONE_EACH, adds, more=more)
    for where in ("p > 5", "p = 'NaN'::DOUBLE", "p > 5 AND x > 0"):
        assert table.scan(where=where).to_arrow()["x"].to_pylist() == [2]


def test_partition_instants_are_what_their_text_says_whatever_zone_their_writer_was_in(tmp_path):
    instant = pa.scalar("2020-01-01 20:00:00").cast(pa.timestamp("us")).value
    more = [("partitionValues_parsed", pa.struct([("p", pa.timestamp("us", "UTC"))]))]
    add = {
        "path": "a.parquet",
        "partitionValues": [("p", "2020-01-01 12:00:00")],
        "partitionValues_parsed": {"p": instant},
    }
    table = make_table(tmp_path, [("x", "long"), ("p", "timestamp")], ["p"], ONE_EACH, [add], more=more)
    assert table.scan(where="p < TIMESTAMPTZ '2020-01-01 13:00:00Z'").count() == 1


def test_column_with_a_dot_is_not_a_member_of_a_struct(tmp_path):
    member = {"type": "struct", "fields": [{"name": "b", "type": "long", "nullable": True, "metadata": {}}]}
    bounds = pa.struct([("a", pa.struct([("b", pa.int64())])), ("a.b", pa.int64())])
    more = [
        (
            "stats_parsed",
            pa.struct([("numRecords", pa.int64()), ("minValues", bounds), ("maxValues", bounds)]),
        )
    ]
    values = {"a": {"b": 1}, "a.b": 100}
    add = {
        "path": "a.parquet",
        "stats_parsed": {"numRecords": 1, "minValues": values, "maxValues": values},
    }
    files = {"a.parquet": pa.table({"a": pa.array([{"b": 1}]), "a.b": [100]})}
    table = make_table(tmp_path, [("a", member), ("a.b", "long")], [], files, [add], more=more)
    for where in ('"a.b" = 100', "a.b = 1", "a.b < 50", '"a.b" > 50'):
        assert table.scan(where=where).count() == 1


def test_integers_bounded_through_doubles_are_found(tmp_path):
    bounds = pa.struct([("x", pa.float64())])
    more = [
        (
            "stats_parsed",
            pa.struct([("numRecords", pa.int64()), ("minValues", bounds), ("maxValues", bounds)]),
        )
    ]
    values = {"x": float(2**53)}
    add = {
        "path": "a.parquet",
        "stats_parsed": {"numRecords": 1, "minValues": values, "maxValues": values},
    }
    files = {"a.parquet": pa.table({"x": [2**53 + 1]})}
    table = make_table(tmp_path, [("x", "long")], [], files, [add], more=more)
    assert table.scan(where=f"x = {2**53 + 1}").count() == 1


def test_a_listed_table_moves_on_by_its_new_commits(tmp_path):
    adds = [{"path": path} for path, _ in LETTERS]
    table = make_table(tmp_path, [("x", "long")], [], ONE_EACH, adds)
    other = lakefmt.open(tmp_path)
    assert table.files().num_rows == 2
    for number in range(3, 6):
        other.append(pa.table({"x": [number]}))
        assert table.refresh().files()["num_rows"].to_pylist()[-1] == 1
        assert sorted(table.to_arrow()["x"].to_pylist()) == list(range(1, number + 1))
