"""Which texts are run, as they stand, and what is said of the others."""

from __future__ import annotations

import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, UnsupportedFeatureError

READING = [
    "SELECT 1 AS one, 'x' AS \"Two Words\", 2 AS one",
    "VALUES (1, 'a'), (2, NULL)",
    "FROM trips",
    "FROM trips SELECT id, city ORDER BY id LIMIT 3",
    "TABLE shops",
    "(SELECT 1)",
    "SELECT 1;",
    "-- a comment\nSELECT /* another */ 1 -- the last",
    "WITH a AS (SELECT 1 AS x), b AS MATERIALIZED (SELECT x + 1 AS x FROM a) SELECT * FROM a, b",
    "SELECT k FROM trips INTERSECT SELECT k FROM shops",
    "SELECT * EXCLUDE (s, moment), fare * 2 AS twice FROM trips",
    "SELECT * REPLACE (id + 1 AS id) FROM trips",
    "SELECT * RENAME (id AS number) FROM trips",
    "SELECT id, fare FROM trips QUALIFY rank() OVER (PARTITION BY k ORDER BY fare) = 1",
    "SELECT list_transform([1, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2] IF x > 1]",
    "SELECT unnest([1, 2, 3]), unnest({'a': 1, 'b': 2})",
    "SELECT 'abc' ~ 'b', 'abc' ~ 'a.c', [10, 20, 30][2], 'hello'[2:3], {'a': 1}.a",
    "SELECT (k IN (SELECT k FROM shops)) IS NULL FROM trips",
    "SELECT sum(id), avg(fare), list(city ORDER BY id), count(DISTINCT k) FROM trips WHERE fare < 5",
    "SELECT 1::HUGEINT AS h, 'a'::ENUM ('a', 'b') AS e, uuid() IS NOT NULL AS u, INTERVAL 1 DAY AS i",
    "SELECT day, city, count(*) FROM trips GROUP BY GROUPING SETS ((day), (city), ())",
    "SELECT day, count(*) FROM trips GROUP BY ALL ORDER BY ALL",
    "SELECT CASE WHEN fare > 2 THEN 'much' ELSE 'little' END, fare BETWEEN 1 AND 2 FROM trips",
    "DESCRIBE SELECT id, s FROM trips",
    "DESCRIBE trips",
    "SELECT column_name, column_type, min, max, count FROM (SUMMARIZE shops)",
    "PIVOT shops ON k USING sum(size) GROUP BY name",
    "UNPIVOT shops ON k, size",
    "SELECT * FROM trips TABLESAMPLE 100 PERCENT",
    "SELECT t.* FROM trips t SEMI JOIN shops USING (k)",
    "SELECT trips FROM trips",
    "SELECT #1, #3 FROM trips",
    "SELECT range AS i FROM range(5)",
    "SELECT generate_series FROM generate_series(1, 3)",
    'SELECT "ID", Trips.City FROM TRIPS',
    "SELECT date_trunc('day', moment), moment::DATE, extract(hour FROM moment) FROM trips",
    "SELECT '2026-01-01 00:00:00+02'::TIMESTAMPTZ AS t",
]


@pytest.mark.parametrize("text", READING)
def test_what_reads_gives_what_duckdb_gives(twins, text):
    twins.check(text)


OTHER = [
    "INSERT INTO trips VALUES (1)",
    "UPDATE trips SET id = 1",
    "DELETE FROM trips",
    "CREATE TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TYPE mood AS ENUM ('a')",
    "DROP TABLE trips",
    "ALTER TABLE trips ADD COLUMN x INTEGER",
    "COPY trips TO 'x.csv'",
    "COPY (SELECT 1) TO '/tmp/lakefmt-must-not-be-there.csv'",
    "EXPORT DATABASE 'x'",
    "ATTACH 'x.db'",
    "USE memory",
    "SET threads = 1",
    "SET VARIABLE x = 1",
    "RESET threads",
    "PRAGMA threads = 1",
    "PRAGMA enable_profiling",
    "FROM enable_logging('QueryLog')",
    "FROM enable_logging('QueryLog', storage := 'file', storage_path := '/tmp/lakefmt-must-not-be-there')",
    "SELECT * FROM trips WHERE id IN (SELECT 1 FROM disable_logging())",
    "FROM enable_profiling()",
    "SUMMARIZE FROM enable_profiling()",
    "WITH x AS (FROM checkpoint()) FROM x",
    "FROM query('FROM enable_logging(''QueryLog'')')",
    "FROM query('FROM enable_' || 'logging(''QueryLog'')')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "EXPLAIN SELECT 1",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "SELECT 1; SELECT 2",
    "CREATE TABLE x (i INTEGER); SELECT 1",
    "SELECT 1; DROP TABLE x",
    "",
    "  -- nothing",
    ";",
    "SELEC 1",
    "SELECT 'open",
    "\ud800",
]


@pytest.mark.parametrize("text", OTHER)
def test_what_does_anything_else_is_refused(twins, text):
    with pytest.raises(InvalidInputError):
        lakefmt.sql(text, twins.tables)


OUTSIDE = [
    "SELECT * FROM read_csv('{}')",
    "SELECT * FROM read_csv_auto('{}')",
    "SELECT * FROM read_json('{}')",
    "SELECT * FROM read_parquet('{}')",
    "SELECT * FROM parquet_scan('{}')",
    "SELECT * FROM parquet_metadata('{}')",
    "SELECT * FROM read_text('{}')",
    "SELECT * FROM read_blob('{}')",
    "SELECT * FROM glob('{}')",
    "SELECT * FROM sniff_csv('{}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{}'')')",
    "SELECT (SELECT content FROM read_text('{}')) FROM trips",
    "SELECT * FROM trips WHERE city IN (FROM read_csv('{}'))",
    "SELECT getenv('HOME')",
    "FROM duckdb_secrets()",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_no_other_file_is_read(twins, tmp_path, text):
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises((InvalidInputError, UnsupportedFeatureError)):
        lakefmt.sql(text.format(other), twins.tables)


def test_files_of_the_table_are_not_read_by_name_either(twins):
    table = twins.tables["trips"]
    file = table.files()["path"][0].as_py()
    path = table.uri.removeprefix("file://") + "/" + file
    for text in (f"FROM read_parquet('{path}')", f"FROM '{path}'"):
        with pytest.raises(lakefmt.LakefmtError):
            lakefmt.sql(text, twins.tables).to_arrow()


def test_extensions_are_neither_loaded_nor_installed(twins):
    with pytest.raises(UnsupportedFeatureError, match="st_read"):
        lakefmt.sql("SELECT * FROM st_read('x')", twins.tables)


def test_variables_of_python_are_not_seen(twins):
    frame = {"a": [1]}
    with pytest.raises(InvalidInputError, match="frame"):
        lakefmt.sql("FROM frame", twins.tables)
    assert frame


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT idd FROM trips", r"\"idd\" not found.*line 1, column 8.*Candidate bindings: \"id\""),
        ("SELECT id\nFROM trips\nWHERE  cty = 'Bern'", r"line 3, column 8.*city"),
        ("SELECT id\nFROM trips WHERE frob(id)", r"frob does not exist.*line 2, column 18"),
        ("SELECT * FROM trip", r"trip does not exist.*line 1, column 15.*Did you mean 'trips'"),
        ("SELECT id FROM trips GROUP BY k", r"must appear in the GROUP BY"),
        ("SELECT k FROM trips JOIN shops ON true", r"[Aa]mbiguous"),
        ("SELECT id + [1] FROM trips", r"No function matches"),
        ("SELECT * FROM trips WHERE", r"syntax error"),
    ],
)
def test_errors_tell_place_and_closest_names(twins, text, said):
    with pytest.raises(InvalidInputError, match="(?s)" + said):
        lakefmt.sql(text, twins.tables)
    with pytest.raises(InvalidInputError):
        lakefmt.sql(text + " -- ?" if "?" not in text else text, twins.tables, params=[])


def test_nothing_is_read_to_find_an_error(tmp_path, twins):
    table = lakefmt.write(tmp_path / "t", {"x": [1]} and twins.tables["shops"].to_arrow())
    for file in (tmp_path / "t").glob("*.parquet"):
        file.unlink()
    with pytest.raises(InvalidInputError, match="nam"):
        lakefmt.sql("SELECT nam FROM t", {"t": table})


def test_value_that_fails_is_told_when_it_is_met(twins):
    query = lakefmt.sql("SELECT CAST(city AS INTEGER) FROM trips WHERE city = 'Bern'", twins.tables)
    with pytest.raises(InvalidInputError, match="Could not convert string 'Bern'"):
        query.to_arrow()
    with pytest.raises(InvalidInputError, match="Could not convert"):
        list(query.to_batches())


def test_parameters_that_are_missing_or_of_no_kind_are_refused(twins):
    with pytest.raises(InvalidInputError):
        lakefmt.sql("SELECT ?", twins.tables).to_arrow()
    with pytest.raises(InvalidInputError, match="params is a str"):
        lakefmt.sql("SELECT ?", twins.tables, params="x")
    with pytest.raises(InvalidInputError):
        lakefmt.sql("SELECT $a", twins.tables, params={"b": 1})


def test_row_ids_that_no_view_has_are_told_before_the_run(twins):
    with pytest.raises(InvalidInputError, match='not valid: Referenced column "rowid"'):
        lakefmt.sql("SELECT rowid FROM trips", twins.tables)


def test_no_parameters_are_none(twins):
    assert lakefmt.sql("DESCRIBE trips", twins.tables, params=[]).to_arrow().num_rows == 8


def test_text_is_text():
    with pytest.raises(InvalidInputError, match="SQL is text"):
        lakefmt.sql(3)  # type: ignore[arg-type]
