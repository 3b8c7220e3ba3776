"""Writes that an application numbers: in the table once, however often they are tried."""

import threading

import numpy as np
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError


def rows_of(table):
    return sorted(table.refresh().to_arrow()["id"].to_pylist())


def must_not_be_read():
    raise AssertionError("the data was looked at")
    yield


@pytest.mark.parametrize("operation", ["append", "overwrite"])
def test_the_second_try_writes_nothing_and_says_so(tmp_path, operation):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    write = getattr(table, operation)
    first = write({"id": [1]}, txn=("job-7", 42))
    assert first.committed
    second = write(must_not_be_read(), txn=("job-7", 42))
    assert not second.committed
    assert second.version == first.version == table.version
    assert second.notes == (
        "write 42 of application 'job-7' was not made again: the table has its writes up to 42",
    )
    assert "was not made again" in repr(second)
    assert not write(must_not_be_read(), txn=("job-7", 41)).committed
    assert write({"id": [2]}, txn=("job-7", 43)).committed
    assert write({"id": [3]}, txn=("another", 1)).committed
    assert rows_of(table) == ([1, 2, 3] if operation == "append" else [3])


def test_a_stale_handle_sees_what_others_have_written(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    stale = lakefmt.open(tmp_path / "t")
    table.append({"id": [1]}, txn=("job", 1))
    result = stale.append({"id": [1]}, txn=("job", 1))
    assert not result.committed
    assert stale.version == 1


def test_of_many_writers_with_one_number_one_commits(tmp_path):
    lakefmt.create(tmp_path / "t", {"id": "long"})
    handles, results = [lakefmt.open(tmp_path / "t") for _ in range(6)], []
    barrier = threading.Barrier(len(handles))

    def work(handle):
        barrier.wait()
        results.append(handle.append({"id": [1]}, txn=("job", 1)))

    threads = [threading.Thread(target=work, args=(handle,)) for handle in handles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.committed for result in results].count(True) == 1
    assert len(results) == len(handles)
    assert rows_of(handles[0]) == [1]
    # Those that lost the race had written their rows already: the files are gone again.
    assert len(list((tmp_path / "t").glob("*.parquet"))) == 1


def test_who_loses_the_race_after_looking_is_told_as_well(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})

    def rows():
        lakefmt.open(tmp_path / "t").append({"id": [1]}, txn=("job", 1))
        import pyarrow as pa

        yield pa.record_batch({"id": [1]})

    assert not table.append(rows(), txn=("job", 1)).committed
    assert rows_of(table) == [1]


def test_a_write_without_rows_records_its_number(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    assert table.append({"id": []}, txn=("job", 1)).committed
    assert table.snapshot.transactions["job"].version == 1
    assert not table.append({"id": []}, txn=("job", 1)).committed


def test_write_makes_the_table_and_its_rows_once(tmp_path):
    for _ in range(2):
        table = lakefmt.write(tmp_path / "t", {"id": [1]}, mode="append", txn=("job", 1))
    assert rows_of(table) == [1]
    table = lakefmt.write(tmp_path / "t", {"id": [2]}, mode="overwrite", txn=("job", 2))
    table = lakefmt.write(tmp_path / "t", {"id": [2]}, mode="overwrite", txn=("job", 2))
    assert (rows_of(table), table.version) == ([2], 2)
    with pytest.raises(InvalidInputError, match="mode 'error'"):
        lakefmt.write(tmp_path / "t", {"id": [2]}, txn=("job", 2))


def test_the_number_of_a_write_may_be_any_integer_numpys_too(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    assert table.append({"id": [1]}, txn=("job", np.int64(3))).committed
    assert not table.append({"id": [1]}, txn=("job", 3)).committed
    assert type(table.snapshot.transactions["job"].version) is int


@pytest.mark.parametrize(
    "txn",
    [
        "job",
        ("job",),
        ("job", "1"),
        ("job", True),
        ("job", 1.0),
        ("job", np.array([1, 2])),
        ("job", -1),
        ("job", 1 << 63),
        ("", 1),
        (7, 1),
        ("\ud800", 1),
    ],
)
def test_what_is_no_number_of_a_write_is_refused(tmp_path, txn):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    with pytest.raises(InvalidInputError, match="job-7"):
        table.append({"id": [1]}, txn=txn)


def test_a_write_that_somebody_else_made_meanwhile_is_no_conflict_whatever_came_before_it(tmp_path):
    table = lakefmt.write(tmp_path / "t", {"id": [1]})

    def rows():
        lakefmt.open(tmp_path / "t").overwrite({"id": [2]})
        lakefmt.open(tmp_path / "t").overwrite({"id": [3]}, txn=("job", 1))
        yield pa.record_batch({"id": [3]})

    data = pa.RecordBatchReader.from_batches(pa.schema([("id", pa.int64())]), rows())
    result = table.overwrite(data, txn=("job", 1))
    assert not result.committed
    assert result.notes
    assert lakefmt.open(tmp_path / "t").to_arrow()["id"].to_pylist() == [3]
    assert len(list((tmp_path / "t").glob("*.parquet"))) == 3
