"""Tables on S3 (moto, over HTTP): the other readers and writers work there too."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt


def rows(*ids, month=1):
    return pa.table({"id": list(ids), "city": [f"größe {i % 3}" for i in ids], "month": [month] * len(ids)})


@pytest.fixture
def place(s3_table, our_options):
    """Where, the options of other readers, and ours."""
    uri, options = s3_table
    return uri, options, our_options


@pytest.mark.parametrize("partition_by", [(), ("month",), ("city", "month")], ids=["whole", "month", "city"])
def test_same_rows_come_back_from_s3(place, peer, partition_by, assert_same_rows):
    if peer.name == "polars" and "city" in partition_by:
        pytest.skip("polars 2.1 asks S3 for the percent-encoded key")
    uri, options, ours = place
    table = lakefmt.write(uri, rows(1, 2, 3), partition_by=partition_by, storage_options=ours)
    table.append(rows(4, month=2))
    expected = pa.concat_tables([rows(1, 2, 3), rows(4, month=2)])
    assert_same_rows(peer.read(uri, options=options), expected)
    assert sorted(peer.read(uri, "id > 2", options)["id"].to_pylist()) == [3, 4]


def test_delta_rs_writes_by_turns_on_s3(place):
    deltalake = pytest.importorskip("deltalake")
    uri, options, ours = place
    table = lakefmt.write(
        uri, rows(0), properties={"delta.enableDeletionVectors": "false"}, storage_options=ours
    )
    for number in range(1, 5):
        if number % 2:
            deltalake.write_deltalake(uri, rows(number), mode="append", storage_options=options)
        else:
            table.append(rows(number))
    assert sorted(table.refresh().to_arrow()["id"].to_pylist()) == list(range(5))
    assert deltalake.DeltaTable(uri, storage_options=options).version() == table.version == 5


def test_tables_of_delta_rs_on_s3_read(place):
    deltalake = pytest.importorskip("deltalake")
    uri, options, ours = place
    deltalake.write_deltalake(uri, rows(1, 2), partition_by=["city"], storage_options=options)
    deltalake.DeltaTable(uri, storage_options=options).create_checkpoint()
    deltalake.write_deltalake(uri, rows(3), mode="append", storage_options=options)
    table = lakefmt.open(uri, storage_options=ours)
    assert sorted(table.to_arrow()["id"].to_pylist()) == [1, 2, 3]
    assert table.count("city = 'größe 1'") == 1
