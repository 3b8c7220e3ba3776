"""Files whose days Spark counted by the Julian calendar: the same since the switch, of the same name before."""

import datetime as dt

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.testing.foreign_table import ForeignTable, array, column, map_of, struct

SINCE = {b"org.apache.spark.version": b"4.2.0"}
UTC = {b"org.apache.spark.timeZone": b"UTC"}
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


def julian_day(year, month, day):
    """Days since 1970 of a day of the Julian calendar, counted from the first of March of the year 0."""
    months = (month - 3) % 12
    return 365 * (year - (month < 3)) + (year - (month < 3)) // 4 + (153 * months + 2) // 5 + day - 719_471


@pytest.mark.parametrize("footer", [TOLD, {b"org.apache.spark.version": b"2.4.7"}])
def test_days_of_the_old_calendar_are_shown_under_the_name_they_had(tmp_path, footer):
    names = [(1, 1, 1), (4, 2, 29), (99, 12, 31), (400, 2, 29), (1066, 10, 14), (1582, 10, 4)]
    names += [(c, m, d) for c in range(100, 1600, 100) for m, d in ((2, 28), (3, 1))]
    assert julian_day(1582, 10, 4) == (SWITCH - dt.date(1970, 1, 1)).days - 1
    days = pa.array([julian_day(*name) for name in names] + [None], pa.int32()).cast(pa.date32())
    table = written(tmp_path / "t", [column("d", "date")], pa.table({"d": days}), footer)
    expected = [dt.date(*name) for name in names] + [None]
    assert table.to_arrow()["d"].to_pylist() == expected
    assert table.count("d < DATE '1500-03-01'") == sum(d < dt.date(1500, 3, 1) for d in expected[:-1])
    assert table.scan(where="d = DATE '1066-10-14'").to_arrow()["d"].to_pylist() == [dt.date(1066, 10, 14)]


def test_a_leap_day_that_there_is_no_more_is_the_day_after(tmp_path):
    day = pa.array([julian_day(1500, 2, 29)], pa.int32()).cast(pa.date32())
    table = written(tmp_path / "t", [column("d", "date")], pa.table({"d": day}), TOLD)
    assert table.to_arrow()["d"].to_pylist() == [dt.date(1500, 3, 1)]  # as Spark has it


def test_days_before_the_year_one_are_refused(tmp_path):
    assert julian_day(1, 1, 1) == (dt.date(1, 1, 1) - dt.date(1970, 1, 1)).days - 2
    earlier = pa.array([julian_day(1, 1, 1) - 1, 0], pa.int32()).cast(pa.date32())
    assert_refused(written(tmp_path / "t", [column("d", "date")], pa.table({"d": earlier}), TOLD))


def test_moments_are_shown_where_they_were_written_under_utc(tmp_path):
    noon = 43_200_000_000
    moments = [julian_day(1200, 6, 1) * 2 * noon + noon + 1, None]
    rows = pa.table({"t": pa.array(moments, pa.timestamp("us", "UTC"))})
    table = written(tmp_path / "utc", [column("t", "timestamp")], rows, TOLD | UTC)
    then = dt.datetime(1200, 6, 1, 12, 0, 0, 1, tzinfo=dt.UTC)
    assert table.to_arrow()["t"].to_pylist() == [then, None]
    assert table.count("t < '1500-01-01'::TIMESTAMPTZ") == 1
    for zone in ({}, {b"org.apache.spark.timeZone": b"Europe/Zurich"}):
        folder = tmp_path / f"other {len(zone)}"
        assert_refused(written(folder, [column("t", "timestamp")], rows, TOLD | zone))


@pytest.mark.parametrize("footer", [TOLD, {b"org.apache.spark.version": b"2.4.7"}])
def test_values_since_the_switch_are_read_and_moments_of_unknown_zones_are_refused(tmp_path, footer):
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
    old = BEFORE  # a day that is called the fourth
    shown = dt.date(1582, 10, 4)
    kinds = {
        "l": (array("date"), pa.list_(pa.date32()), [[SWITCH], [old, None], None, []]),
        "s": (struct(column("d", "date")), pa.struct([("d", pa.date32())]), [{"d": old}, None, {"d": None}]),
    }
    for name, (type_, kind, values) in kinds.items():
        rows = pa.table({name: pa.array(values, kind)})
        table = written(tmp_path / name, [column(name, type_)], rows, TOLD)
        expected = str(values).replace(repr(old), repr(shown))
        assert str(table.to_arrow()[name].to_pylist()) == expected
        rows = pa.table({name: pa.chunked_array([pa.array([None, *values], kind)[1:]])})
        table = written(tmp_path / f"{name} again", [column(name, type_)], rows, TOLD)
        assert str(table.scan(limit=9).to_arrow()[name].to_pylist()) == expected
    type_, kind = map_of("string", "date"), pa.map_(pa.string(), pa.date32())
    rows = pa.table({"m": pa.array([[("k", old)], None], kind)})
    with pytest.raises(lakefmt.UnsupportedFeatureError, match="Julian"):
        written(tmp_path / "m", [column("m", type_)], rows, TOLD).to_arrow()


def test_other_columns_of_such_a_file_are_read_by_every_engine(tmp_path):
    fields = [column("d", "date"), column("id", "long")]
    rows = pa.table({"d": pa.array([BEFORE, SWITCH], pa.date32()), "id": pa.array([1, 2], pa.int64())})
    table = written(tmp_path / "t", fields, rows, TOLD)
    assert table.scan(columns=["id"]).to_arrow()["id"].to_pylist() == [1, 2]
    assert table.scan(where="id = 2").to_arrow()["d"].to_pylist() == [SWITCH]
    con = duckdb.connect()
    table.scan(columns=["id"]).to_duckdb(con, "ids")
    assert con.sql("SELECT sum(id) FROM ids").fetchall() == [(3,)]
