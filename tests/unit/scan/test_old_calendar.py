"""Files whose days Spark counted by the Julian calendar: the same since the switch, refused before."""

import datetime as dt

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, struct

SINCE = {b"org.apache.spark.version": b"4.2.0"}
TOLD = SINCE | {b"org.apache.spark.legacyDateTime": b""}
INT96_TOLD = SINCE | {b"org.apache.spark.legacyINT96": b""}
SWITCH, BEFORE = dt.date(1582, 10, 15), dt.date(1582, 10, 14)
MOMENT, EARLIER = dt.datetime(1900, 1, 1, tzinfo=dt.UTC), dt.datetime(1899, 12, 31, 23, tzinfo=dt.UTC)


def written(folder, fields, rows, footer, **options):
    table = ForeignTable(folder, fields)
    table.folder.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(table.folder / "f.parquet", rows.schema, store_schema=False, **options) as writer:
        writer.write_table(rows, row_group_size=1)
        writer.add_key_value_metadata(footer or {})
    table.add_file("f.parquet")
    return lakefmt.open(table.folder)


def dates(tmp_path, footer, *days):
    return written(
        tmp_path / "t", [column("d", "date")], pa.table({"d": pa.array(days, pa.date32())}), footer
    )


def moments(tmp_path, footer, *values, **options):
    rows = pa.table({"t": pa.array(values, pa.timestamp("us", "UTC"))})
    return written(tmp_path / "t", [column("t", "timestamp")], rows, footer, **options)


def assert_refused(table):
    with pytest.raises(lakefmt.UnsupportedFeatureError, match="Julian") as caught:
        table.to_arrow()
    assert caught.value.path == "f.parquet"
    with pytest.raises(lakefmt.UnsupportedFeatureError, match="Julian"):
        table.count("d < DATE '1582-10-15'" if "d" in table.schema.names else "t < '1900-01-01'::TIMESTAMPTZ")


@pytest.mark.parametrize("footer", [TOLD, {b"org.apache.spark.version": b"2.4.7"}])
def test_days_of_the_old_calendar_are_refused_and_those_since_are_read(tmp_path, footer):
    assert_refused(dates(tmp_path / "old", footer, BEFORE, None))
    assert dates(tmp_path / "new", footer, SWITCH, None).to_arrow()["d"].to_pylist() == [SWITCH, None]
    assert_refused(moments(tmp_path / "then", footer, EARLIER))
    assert moments(tmp_path / "since", footer, MOMENT).to_arrow()["t"].to_pylist() == [MOMENT]


@pytest.mark.parametrize(
    "footer",
    [None, SINCE, INT96_TOLD, {b"org.apache.spark.version": b"3.0.1"}, {b"org.apache.spark.version": b"?"}],
)
def test_days_of_the_gregorian_calendar_are_read_as_they_are(tmp_path, footer):
    table = dates(tmp_path, footer, BEFORE)
    assert table.to_arrow()["d"].to_pylist() == [BEFORE]
    assert table.count("d < DATE '1582-10-15'") == 1


@pytest.mark.parametrize("footer", [INT96_TOLD, {b"org.apache.spark.version": b"3.0.1"}])
def test_int96_has_a_mark_of_its_own(tmp_path, footer):
    assert_refused(moments(tmp_path / "old", footer, EARLIER, use_deprecated_int96_timestamps=True))
    options = {"use_deprecated_int96_timestamps": True}
    assert moments(tmp_path / "new", footer, MOMENT, **options).to_arrow()["t"].to_pylist() == [MOMENT]
    assert moments(tmp_path / "greg", SINCE, EARLIER, **options).to_arrow()["t"].to_pylist() == [EARLIER]
    assert moments(tmp_path / "other", TOLD, EARLIER, **options).to_arrow()["t"].to_pylist() == [EARLIER]


def test_old_days_are_found_at_every_depth(tmp_path):
    kinds = {
        "l": (array("date"), pa.list_(pa.date32()), [[SWITCH], [BEFORE]]),
        "s": (struct(column("d", "date")), pa.struct([("d", pa.date32())]), [{"d": BEFORE}, None]),
        "m": (map_of("string", "date"), pa.map_(pa.string(), pa.date32()), [[("k", BEFORE)], None]),
    }
    for name, (type_, kind, values) in kinds.items():
        table = written(
            tmp_path / name, [column(name, type_)], pa.table({name: pa.array(values, kind)}), TOLD
        )
        with pytest.raises(lakefmt.UnsupportedFeatureError, match="Julian"):
            table.to_arrow()


def test_other_columns_of_such_a_file_are_read_by_every_engine(tmp_path):
    fields = [column("d", "date"), column("id", "long")]
    rows = pa.table({"d": pa.array([BEFORE, SWITCH], pa.date32()), "id": pa.array([1, 2], pa.int64())})
    table = written(tmp_path / "t", fields, rows, TOLD)
    assert table.scan(columns=["id"]).to_arrow()["id"].to_pylist() == [1, 2]
    assert table.scan(where="id = 2").to_arrow()["d"].to_pylist() == [SWITCH]
    con = duckdb.connect()
    table.scan(columns=["id"]).to_duckdb(con, "ids")
    assert con.sql("SELECT sum(id) FROM ids").fetchall() == [(3,)]
