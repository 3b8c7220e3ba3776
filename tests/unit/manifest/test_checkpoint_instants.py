"""Instants in typed statistics as Spark writes them by default: as INT96, without a time zone, of any year."""

from __future__ import annotations

import datetime as dt

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt

MOMENTS = [dt.datetime(year, 1, 1, 0, 0, 0, 123_456, tzinfo=dt.UTC) for year in (1, 1969, 2026, 9999)]
TYPED_ALONE = {
    "delta.checkpointInterval": 1_000,
    "delta.checkpoint.writeStatsAsJson": False,
    "delta.checkpoint.writeStatsAsStruct": True,
}


@pytest.fixture
def folder(tmp_path):
    """A table with a file for each moment, all of them in a checkpoint whose instants are INT96."""
    kind = pa.timestamp("us", "UTC")
    table = lakefmt.create(tmp_path, pa.schema([("at", kind)]), properties=TYPED_ALONE)
    for moment in MOMENTS:
        table.append(pa.table({"at": pa.array([moment], kind)}))
    table.checkpoint()
    file = tmp_path / "_delta_log" / f"{len(MOMENTS):020}.checkpoint.parquet"
    pq.write_table(pq.read_table(file), file, use_deprecated_int96_timestamps=True, store_schema=False)
    return tmp_path


@pytest.mark.parametrize("moment", MOMENTS)
def test_rows_of_any_year_are_found(folder, moment):
    at, second = lakefmt.col("at"), moment.replace(microsecond=0)
    table = lakefmt.open(folder)
    for where in (at == moment, (at > second) & (at < second + dt.timedelta(seconds=1))):
        assert table.scan(where=where).to_arrow()["at"].to_pylist() == [moment]


def test_their_json_has_the_offset_of_instants(folder):
    texts = lakefmt.open(folder).snapshot.first_files(10).table["stats"].to_pylist()
    bounds = [orjson.loads(text) for text in texts]
    assert [each["minValues"]["at"] for each in bounds] == [
        "0001-01-01T00:00:00.123Z",
        "1969-01-01T00:00:00.123Z",
        "2026-01-01T00:00:00.123Z",
        "9999-01-01T00:00:00.123Z",
    ]
    assert all(each["maxValues"]["at"].endswith("Z") for each in bounds)


def test_a_checkpoint_that_follows_has_them_as_they_were(folder):
    table = lakefmt.open(folder)
    table.append(pa.table({"at": pa.array([None], pa.timestamp("us", "UTC"))}))
    table.checkpoint()
    file = folder / "_delta_log" / f"{len(MOMENTS) + 1:020}.checkpoint.parquet"
    adds = [add for add in pq.read_table(file)["add"].to_pylist() if add is not None]
    least = [add["stats_parsed"]["minValues"]["at"] for add in adds]
    assert least == [*(moment.replace(microsecond=123_000) for moment in MOMENTS), None]
