"""Arguments of the wrong kind, and logs that say impossible things: always a typed error that names the culprit."""

import datetime as dt
import json

import pandas as pd
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError

ROWS = pa.table({"id": [1, 2], "city": ["Bern", "Chur"]})
SURROGATE = "\ud800"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "t"


@pytest.fixture
def table(folder):
    return lakefmt.write(folder, ROWS, partition_by="city")


@pytest.mark.parametrize("uri", [None, 3, b"/somewhere", ["t"], SURROGATE, f"s3://bucket/{SURROGATE}"])
def test_a_place_that_is_no_text_is_refused(uri):
    for call in (
        lambda: lakefmt.open(uri),
        lambda: lakefmt.is_table(uri),
        lambda: lakefmt.write(uri, ROWS),
        lambda: lakefmt.create(uri, ROWS.schema),
    ):
        with pytest.raises(InvalidInputError, match="uri"):
            call()


@pytest.mark.parametrize("options", ["secret-text", 5, ["a"], {1: "x"}])
def test_storage_options_that_are_no_mapping_are_refused_and_not_shown(table, folder, options):
    with pytest.raises(InvalidInputError, match="storage_options") as caught:
        lakefmt.open(folder, storage_options=options)
    assert "secret-text" not in str(caught.value)


@pytest.mark.parametrize("columns", [5, [5], [None], [b"id"], "id"])
def test_columns_that_are_no_names_are_refused(table, columns):
    with pytest.raises(InvalidInputError, match="columns"):
        table.scan(columns=columns)


@pytest.mark.parametrize("partition_by", [5, [5], [None], None])
def test_partition_columns_that_are_no_names_are_refused(table, folder, partition_by):
    for call in (
        lambda: lakefmt.create(folder.parent / "new", ROWS.schema, partition_by=partition_by),
        lambda: lakefmt.write(folder.parent / "new", ROWS, partition_by=partition_by),
        lambda: lakefmt.write(folder, ROWS, mode="append", partition_by=partition_by),
    ):
        with pytest.raises(InvalidInputError, match="partition_by"):
            call()
    assert not (folder.parent / "new").exists()


@pytest.mark.parametrize("properties", [["delta.appendOnly"], "x", 5, [], {5: "x"}])
def test_properties_that_are_no_mapping_are_refused(folder, properties):
    for call in (
        lambda: lakefmt.create(folder, ROWS.schema, properties=properties),
        lambda: lakefmt.write(folder, ROWS, properties=properties),
    ):
        with pytest.raises(InvalidInputError, match="properties"):
            call()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"properties": {"mine": SURROGATE}}, "mine"),
        ({"properties": {SURROGATE: "x"}}, "ud800"),
        ({"name": SURROGATE}, "name"),
        ({"name": 5}, "name"),
        ({"description": SURROGATE}, "description"),
        ({"schema": {SURROGATE: "long"}}, "column name"),
    ],
)
def test_text_that_is_not_unicode_is_refused(folder, arguments, match):
    with pytest.raises(InvalidInputError, match=match) as caught:
        lakefmt.create(folder, **{"schema": ROWS.schema} | arguments)
    str(caught.value).encode()
    assert not folder.exists()


@pytest.mark.parametrize("limit", ["x", -1, 1.5, True])
def test_a_history_limit_that_is_no_count_is_refused(table, limit):
    with pytest.raises(InvalidInputError, match="limit"):
        table.history(limit)


def test_a_history_of_no_commits_is_empty(table):
    assert len(table.history(0)) == 0


@pytest.mark.parametrize(
    "timestamp",
    [
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
        pd.NaT,
        dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    ],
)
def test_a_moment_that_no_calendar_has_in_utc_is_refused(table, folder, timestamp):
    with pytest.raises(InvalidInputError, match="timestamp"):
        lakefmt.open(folder, timestamp=timestamp)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("partition_by", ["id", ["city", "id"]])
def test_writing_with_another_partitioning_than_the_table_has_is_refused(table, folder, mode, partition_by):
    with pytest.raises(InvalidInputError, match=r"partition_by asks for .*id.*partitioned by city"):
        lakefmt.write(folder, ROWS, mode=mode, partition_by=partition_by)
    assert lakefmt.open(folder).version == table.version


def test_writing_with_a_partitioning_to_a_table_without_one_is_refused(folder):
    lakefmt.write(folder, ROWS)
    with pytest.raises(InvalidInputError, match="not partitioned"):
        lakefmt.write(folder, ROWS, mode="append", partition_by="city")


def test_writing_with_the_partitioning_of_the_table_or_none_adds_rows(table, folder):
    lakefmt.write(folder, ROWS, mode="append", partition_by=["CITY"])
    assert lakefmt.write(folder, ROWS, mode="append").count() == 6


def edit_log(folder, kind, **fields):
    """Set fields of the log's actions of one kind."""
    for file in (folder / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in file.read_text().splitlines()]
        for action in actions:
            if kind in action:
                action[kind].update(fields)
        file.write_text("\n".join(map(json.dumps, actions)))


@pytest.mark.parametrize("fields", [{"size": 2**63}, {"size": -1}, {"modificationTime": 2**63}])
def test_numbers_that_no_field_can_hold_are_corruption(table, folder, fields):
    edit_log(folder, "add", **fields)
    with pytest.raises(CorruptTableError, match=r"1\.json"):
        lakefmt.open(folder).to_arrow()


def test_a_file_of_no_calendar_date_is_listed_without_one(table, folder):
    edit_log(folder, "add", modificationTime=10**18)
    files = lakefmt.open(folder).files()
    assert files["modified"].to_pylist() == [None, None]
    assert lakefmt.open(folder).count() == 2


@pytest.mark.parametrize("timestamp", [1_700_000_000_000_000, -(10**18), 2**64, True, "yesterday"])
def test_a_history_shows_commits_of_no_calendar_date(table, folder, timestamp):
    edit_log(folder, "commitInfo", timestamp=timestamp)
    history = lakefmt.open(folder).history()
    assert "WRITE" in repr(history) or "CREATE" in repr(history)
    assert history.to_arrow().to_pylist()[0]["timestamp"].year >= 2020
    assert history[0].info.timestamp_ms is None
    assert "timestamp" in history[0].info.more


@pytest.mark.parametrize("path", ["../../etc/passwd", "", "a//b.parquet", "%2e%2e/x", "a%00b", "./a.parquet"])
def test_a_data_file_that_is_not_below_the_table_is_corruption(table, folder, path):
    edit_log(folder, "add", path=path)
    again = lakefmt.open(folder)
    for read in (again.to_arrow, again.files, lambda: again.scan(where="id > 1").to_arrow()):
        with pytest.raises(CorruptTableError, match="no path below") as caught:
            read()
        assert caught.value.table == again.uri
        assert caught.value.path == path


def test_a_partition_column_that_the_schema_lacks_is_corruption(table, folder):
    edit_log(folder, "metaData", partitionColumns=["country"])
    with pytest.raises(CorruptTableError, match=r"country") as caught:
        lakefmt.open(folder)
    assert caught.value.table == table.uri
    assert caught.value.path.endswith("0.json")


def test_a_table_with_another_engines_property_value_takes_rows(table, folder):
    odd = {
        "delta.logRetentionDuration": "interval 1 month",
        "delta.checkpointInterval": "often",
        "delta.enableChangeDataFeed": "perhaps",
    }
    edit_log(folder, "metaData", configuration=odd)
    assert lakefmt.open(folder).append(ROWS).version == table.version + 1
    assert lakefmt.open(folder).count() == 4


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("delta.targetFileSize", "large", InvalidInputError),
        ("delta.writePartitionColumnsToParquet", "perhaps", InvalidInputError),
        ("delta.dataSkippingNumIndexedCols", "many", InvalidInputError),
        ("delta.parquet.compression.codec", "lzo", UnsupportedFeatureError),
    ],
)
def test_a_property_that_writes_act_on_is_never_guessed(table, folder, name, value, error):
    edit_log(
        folder, "metaData", configuration={name: value, "delta.logRetentionDuration": "interval 1 month"}
    )
    again = lakefmt.open(folder)
    assert again.count() == 2
    with pytest.raises(error, match=name):
        again.append(ROWS)
