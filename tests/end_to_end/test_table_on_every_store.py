"""The main job on each store: create, append, read, travel back, history, overwrite."""

import datetime as dt
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lakefmt
from lakefmt.log.timestamps import format_timestamp

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("city", pa.string()),
        pa.field("fare", pa.float64()),
        pa.field("day", pa.date32()),
    ]
)


def rows(*ids, day=1):
    return pa.table(
        {
            "id": list(ids),
            "city": [f"city {i % 3}" for i in ids],
            "fare": [float(i) for i in ids],
            "day": [dt.date(2026, 11, day)] * len(ids),
        },
        schema=SCHEMA,
    )


def ids(scan):
    return sorted(scan.to_arrow()["id"].to_pylist())


@pytest.fixture
def table(table_uri):
    uri, options = table_uri
    return lakefmt.create(uri, SCHEMA, partition_by=["day"], storage_options=options)


def reopen(table_uri, **where):
    uri, options = table_uri
    return lakefmt.open(uri, storage_options=options, **where)


def test_new_table_is_empty_and_at_version_zero(table, table_uri):
    assert table.version == 0
    assert table.count() == 0
    assert table.to_arrow().schema.names == SCHEMA.names
    uri, options = table_uri
    assert lakefmt.is_table(uri, storage_options=options)


def test_appended_rows_are_read_back(table, table_uri):
    result = table.append(rows(1, 2, 3))
    assert (result.version, result.num_rows, result.num_files) == (1, 3, 1)
    again = reopen(table_uri)
    assert ids(again.scan()) == [1, 2, 3]
    assert again.to_arrow().sort_by("id").equals(rows(1, 2, 3))
    assert again.count() == 3


def test_own_writes_advance_the_handle_and_others_are_seen_after_refresh(table, table_uri):
    other = reopen(table_uri)
    table.append(rows(1))
    assert (table.version, other.version) == (1, 0)
    assert ids(other.scan()) == []
    other.refresh()
    assert ids(other.scan()) == [1]


def test_projection_and_filter(table):
    table.append(rows(1, 2, 3))
    table.append(rows(4, 5, day=2))
    found = table.scan(columns=["fare", "id"], where="fare > 1.5 AND day = DATE '2026-11-01'").to_arrow()
    assert found.column_names == ["fare", "id"]
    assert sorted(found["id"].to_pylist()) == [2, 3]
    assert table.count("day = DATE '2026-11-02'") == 2
    assert table.count("fare > $least", params={"least": 3}) == 2


def test_filter_on_partition_opens_only_its_files(table):
    table.append(rows(1, 2))
    table.append(rows(3, day=2))
    assert table.scan(where="day = DATE '2026-11-02'").files().num_rows == 1
    assert table.files().num_rows == 2


def test_time_travel_by_version_and_timestamp(table, table_uri):
    table.append(rows(1))
    table.append(rows(2))
    assert ids(table.at(version=1).scan()) == [1]
    assert ids(reopen(table_uri, version=1).scan()) == [1]
    assert table.at(version=0).count() == 0
    for entry in table.history():
        assert table.at(timestamp=format_timestamp(entry.timestamp_ms)).version == entry.version


def test_a_handle_at_a_version_is_read_only(table):
    table.append(rows(1))
    with pytest.raises(lakefmt.InvalidInputError, match=r"read-only.*restore"):
        table.at(version=0).append(rows(2))


def test_history_names_what_was_done(table):
    table.append(rows(1, 2))
    table.overwrite(rows(3), where="day = DATE '2026-11-01'")
    history = table.history()
    assert [entry.version for entry in history] == [2, 1, 0]
    assert [entry.operation for entry in history] == ["WRITE", "WRITE", "CREATE TABLE"]
    assert history[0].metrics["numOutputRows"] == "1"
    assert history[0].metrics["numRemovedFiles"] == "1"
    assert len(table.history(limit=1)) == 1
    assert history.to_arrow().num_rows == 3
    assert "WRITE" in repr(history)


def test_overwrite_of_all_rows(table):
    table.append(rows(1, 2))
    table.append(rows(3, day=2))
    result = table.overwrite(rows(9))
    assert result.num_removed_files == 2
    assert ids(table.scan()) == [9]
    assert ids(table.at(version=2).scan()) == [1, 2, 3]


def test_overwrite_by_predicate_leaves_other_partitions(table):
    table.append(rows(1, 2))
    table.append(rows(3, day=2))
    table.overwrite(rows(7, day=2), where="day = DATE '2026-11-02'")
    assert ids(table.scan()) == [1, 2, 7]


def test_overwrite_of_the_partitions_that_occur(table):
    table.append(rows(1, 2))
    table.append(rows(3, day=2))
    table.append(rows(4, day=3))
    table.overwrite(pa.concat_tables([rows(7, day=2), rows(8, day=5)]), dynamic_partitions=True)
    assert ids(table.scan()) == [1, 2, 4, 7, 8]


def test_overwrite_with_no_rows_empties(table):
    table.append(rows(1, 2))
    table.overwrite(rows())
    assert table.count() == 0
    assert table.version == 2


def test_append_without_rows_commits_nothing(table):
    result = table.append(rows())
    assert not result.committed
    assert table.version == 0


def test_concurrent_appends_through_handles_and_threads_all_arrive(table, table_uri):
    def append(number):
        handle = table if number % 2 else reopen(table_uri)
        handle.append(rows(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(16)))
    newest = reopen(table_uri)
    assert newest.version == 16
    assert ids(newest.scan()) == list(range(16))


def test_pickled_handle_stands_where_it_stood(table):
    table.append(rows(1))
    copy = pickle.loads(pickle.dumps(table))
    assert (copy.uri, copy.version) == (table.uri, table.version)
    assert copy.schema == table.schema


def test_head_files_and_streams(table):
    for number in range(4):
        table.append(rows(number))
    assert table.head(2).num_rows == 2
    assert table.head(100).num_rows == 4
    files = table.files()
    assert files.num_rows == 4
    assert pc.sum(files["num_rows"]).as_py() == 4
    assert pa.table(table).num_rows == 4
    assert sum(batch.num_rows for batch in table.to_batches()) == 4


def test_write_creates_appends_overwrites_ignores_and_refuses(table_uri):
    uri, options = table_uri
    where = {"storage_options": options}
    table = lakefmt.write(uri, rows(1), partition_by="day", **where)
    assert (table.version, ids(table.scan())) == (1, [1])
    assert table.partition_columns == ("day",)
    assert ids(lakefmt.write(uri, rows(2), mode="append", **where).scan()) == [1, 2]
    assert ids(lakefmt.write(uri, rows(3), mode="overwrite", **where).scan()) == [3]
    assert ids(lakefmt.write(uri, rows(4), mode="ignore", **where).scan()) == [3]
    with pytest.raises(lakefmt.TableExistsError):
        lakefmt.write(uri, rows(5), **where)


def test_creating_twice_is_refused(table, table_uri):
    uri, options = table_uri
    with pytest.raises(lakefmt.TableExistsError, match=r"lakefmt\.open"):
        lakefmt.create(uri, SCHEMA, storage_options=options)


def test_writers_that_create_at_once_lose_no_row(table_uri):
    uri, options = table_uri

    def write(number):
        lakefmt.write(uri, rows(number), mode="append", partition_by="day", storage_options=options)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert ids(reopen(table_uri).scan()) == list(range(6))
