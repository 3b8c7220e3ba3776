from __future__ import annotations

import pickle
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lakefmt.errors import InvalidInputError
from lakefmt.expressions import ALL_ROWS, Predicate, col, parse_predicate
from lakefmt.expressions.tree import And, Compare, Constant, Opaque, TextMatch
from lakefmt.schema import Schema

SCHEMA = Schema.from_arrow(
    {
        "id": "long",
        "Fare": "double",
        "city": "string",
        "day": "date",
        "ts": "timestamp",
        "trip": pa.struct([("Start", pa.string()), ("stop", pa.struct([("name", pa.string())]))]),
        "tags": pa.list_(pa.string()),
        "counts": pa.map_(pa.string(), pa.int32()),
        "no good": "long",
    }
)
NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


def test_no_predicate_means_all_rows() -> None:
    predicate = parse_predicate(None, SCHEMA)
    assert predicate is ALL_ROWS
    assert predicate.is_always_true
    assert predicate.columns == ()
    assert predicate.matches(pa.table({"id": [1, 2]})).to_pylist() == [True, True]


def test_columns_are_matched_in_any_case_and_given_in_the_schemas_spelling() -> None:
    predicate = parse_predicate("ID > 1 AND fare > 2 AND \"NO GOOD\" = 3 AND Trip.START = 'x'", SCHEMA)
    assert predicate.columns == ("id", "Fare", "no good", "trip")
    assert predicate.paths == (("id",), ("Fare",), ("no good",), ("trip", "Start"))


@pytest.mark.parametrize(
    "where", ["trip.stop.name = 'x'", "trip['stop']['name'] = 'x'", "(trip.stop).name = 'x'"]
)
def test_struct_members_are_one_column_however_they_are_written(where: str) -> None:
    tree = parse_predicate(where, SCHEMA).tree
    assert isinstance(tree, Compare)
    assert tree.column.path == ("trip", "stop", "name")


def test_only_columns_tells_whether_partition_columns_suffice() -> None:
    predicate = parse_predicate("city = 'Bern' AND day > '2026-01-01'", SCHEMA)
    assert predicate.only_columns(["day", "city", "other"])
    assert not predicate.only_columns(["city"])


def test_the_users_text_is_kept_as_it_is() -> None:
    where = "  Fare>1e1 /* as written */ and city like 'B%' -- done"
    predicate = parse_predicate(where, SCHEMA)
    assert predicate.sql == where
    rows = pa.table({"Fare": [11.0], "city": ["Bern"]})
    assert duckdb.from_arrow(rows).filter(predicate.to_duckdb() + " AND true").fetchall() == [(11.0, "Bern")]


@pytest.mark.parametrize(
    ("where", "message", "hint"),
    [
        ("fair > 1", "There is no column 'fair'", "Did you mean 'Fare'?"),
        ("trips.id = 1", "There is no column 'trips.id'", "Did you mean 'id'?"),
        ('city = "Bern"', "There is no column 'Bern'", "Text stands between single quotes: 'Bern'"),
        ("rowid = 1", "There is no column 'rowid'", "The columns are id, Fare"),
        ("trip.begin = 'x'", "Column trip has no member 'begin'", "Start, stop"),
        ("trip.stop.nam = 'x'", "Column trip.stop has no member 'nam'", "Did you mean 'name'?"),
        ("counts.a.b = 1", "counts", ""),
        ("Fare >", "it ends too early", "Give one expression"),
        ("Fare > 'x", "not a SQL expression", "Give one expression"),
        ("Fare > 1; DROP TABLE t", "syntax error", "character 9"),
        ("Fare > 1) OR (id = 2", "syntax error", "character 9"),
        ("city = 'é' AND AND", "syntax error", "character"),
        ("Fare > 1 ORDER BY id", "syntax error", "Give one expression"),
        ("Fare > 1 FROM other", "not a SQL expression", "Give one expression"),
        ("   ", "The predicate is empty", "None"),
        ("Fare", "is of type DOUBLE", "Fare = ..."),
        ("Fare > 1, id > 2", "is of type", ""),
        ("Fare > DATE '2026-01-01'", "Cannot compare values of type DOUBLE and type DATE", ""),
        ("city > 5", "Cannot compare values of type VARCHAR", ""),
        ("id > 'many'", "Could not convert string 'many'", ""),
        ("day = '2026-02-30'", "date field value out of range", ""),
        ("day = DATE 'soon'", "invalid date field format", ""),
        ("sum(Fare) > 1", "cannot contain aggregates", ""),
        ("row_number() OVER () = 1", "takes no window functions", ""),
        ("id IN (SELECT 1)", "takes no subqueries", ""),
        ("EXISTS (FROM 'secret.csv')", "takes no subqueries", ""),
        ("read_text('/etc/passwd') = 'x'", "table function", ""),
        ("unnest(tags) = 'x'", "UNNEST not supported here", ""),
        ("* > 1", "takes no *", ""),
        ("COLUMNS('.*') > 1", "takes no *", ""),
        ("random() > 0.5", "random() says nothing about a row", "params"),
        ("id = nextval('s')", "nextval() says nothing about a row", ""),
        ("city = current_setting('home_directory')", "current_setting() says nothing", ""),
        ("ago(INTERVAL 1 DAY) < ts", "ago() says nothing about a row", "now()"),
        ("nofun(id) = 1", "nofun", ""),
        ("id = ?", "Values were not provided", ""),
        ("id = $other", "other", ""),
    ],
)
def test_what_is_no_condition_over_the_columns_is_refused_with_the_reason(
    where: str, message: str, hint: str
) -> None:
    params = {"one": 1} if "$" in where else None
    with pytest.raises(InvalidInputError) as caught:
        parse_predicate(where, SCHEMA, params, table="s3://bucket/trips")
    assert message in str(caught.value)
    assert hint in str(caught.value)
    assert caught.value.table == "s3://bucket/trips"
    assert "LINE 1" not in str(caught.value)
    assert "UNNEST([" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        (True, "None"),
        (5, "SQL text"),
        ([("city", "=", "Bern")], "month = 1"),
        (pc.field("id") > 1, "lakefmt.col"),
    ],
)
def test_predicates_of_other_libraries_are_refused_with_a_hint(where: Any, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        parse_predicate(where, SCHEMA)


@pytest.mark.parametrize("params", ["5", 5, b"5"])
def test_parameters_that_are_no_collection_are_refused(params: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"list for \? or a dictionary"):
        parse_predicate("id = ?", SCHEMA, params)


def test_more_parameters_than_placeholders_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        parse_predicate("id = ?", SCHEMA, [1, 2])


def test_a_predicate_nested_too_deeply_is_refused_and_shown_shortened() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_predicate("id" + " + 1" * 5000 + " > 5", SCHEMA)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("where", "params"), [("city = '\ud800'", None), ("city = ?", ["\ud800"])])
def test_text_that_is_no_unicode_is_refused(where: str, params: Any) -> None:
    with pytest.raises(InvalidInputError, match="surrogate"):
        parse_predicate(where, SCHEMA, params)


@pytest.mark.parametrize(
    ("where", "listed"),
    [
        ("id IN ?", [7, None, 8]),
        ("id NOT IN ?", [7, None, 8]),
        ("id IN ?", []),
        ("city IN ?", ["Bern", "Basel"]),
        ("day IN ?", [date(2026, 1, 1)]),
    ],
)
def test_a_list_can_be_one_parameter(where: str, listed: list[Any]) -> None:
    rows = pa.table(
        {
            "id": [7, 9, None],
            "city": ["Bern", "Chur", None],
            "day": [date(2026, 1, 1), date(2026, 1, 2), None],
        }
    )
    predicate = parse_predicate(where, SCHEMA, [listed])
    assert predicate.to_arrow() is not None
    connection = duckdb.connect()
    connection.register("candidates", rows)
    found = connection.execute(f"SELECT coalesce({where}, false) FROM candidates", [listed]).fetchall()
    assert predicate.matches(rows).to_pylist() == [row[0] for row in found]


def test_a_list_of_other_types_is_left_to_duckdb() -> None:
    predicate = parse_predicate("id IN ?", SCHEMA, [[1.5, 7.0]])
    assert predicate.to_arrow() is None
    assert predicate.matches(pa.table({"id": [7, 8]})).to_pylist() == [True, False]


def test_lambda_parameters_are_no_columns() -> None:
    predicate = parse_predicate("list_contains(list_transform(tags, lambda t: upper(t)), 'A')", SCHEMA)
    assert predicate.columns == ("tags",)
    assert predicate.matches(pa.table({"tags": [["a"], ["b"], None]})).to_pylist() == [True, False, False]


def test_the_clock_is_read_once_and_stands_in_the_text() -> None:
    predicate = parse_predicate(
        "city = 'é' AND ts > now() - INTERVAL 1 HOUR AND day < current_date", SCHEMA, now=NOW
    )
    assert predicate.sql == (
        "city = 'é' AND ts > (TIMESTAMPTZ '2026-11-01 12:30:00+00') - INTERVAL 1 HOUR AND day < (DATE '2026-11-01')"
    )
    assert isinstance(predicate.tree, And)
    _, ts, day = predicate.tree.children
    assert isinstance(ts, Compare)
    assert ts.value.cast(pa.int64()).as_py() == (NOW.timestamp() - 3600) * 1_000_000
    assert isinstance(day, Compare)
    assert day.value.as_py() == date(2026, 11, 1)


@pytest.mark.parametrize(
    "clock",
    [
        "now()",
        "NOW ( )",
        "current_timestamp",
        "transaction_timestamp()",
        "get_current_timestamp()",
        "today()",
        "localtimestamp",
    ],
)
def test_every_name_of_the_clock_is_understood(clock: str) -> None:
    predicate = parse_predicate(f"ts > {clock}", SCHEMA, now=NOW)
    assert "2026-11-01" in predicate.sql
    assert predicate.to_arrow() is not None


def test_a_clock_written_strangely_is_refused_rather_than_read_twice() -> None:
    with pytest.raises(InvalidInputError, match=r"now\(\) says nothing"):
        parse_predicate('ts > "now"()', SCHEMA)


def test_a_column_called_like_the_clock_is_a_column() -> None:
    predicate = parse_predicate("current_date > 5", Schema.from_arrow({"current_date": "long"}), now=NOW)
    assert predicate.sql == "current_date > 5"


@pytest.mark.parametrize(
    ("where", "place", "text"),
    [
        ("city LIKE 'B%'", "prefix", "B"),
        ("city LIKE '%n'", "suffix", "n"),
        ("city LIKE '%er%'", "infix", "er"),
        ("city LIKE '\\%'", "prefix", "\\"),
        ("starts_with(city, 'B')", "prefix", "B"),
        ("city ^@ 'B'", "prefix", "B"),
        ("contains(city, 'er')", "infix", "er"),
        ("ends_with(city, 'n')", "suffix", "n"),
    ],
)
def test_simple_patterns_are_understood(where: str, place: str, text: str) -> None:
    tree = parse_predicate(where, SCHEMA).tree
    assert isinstance(tree, TextMatch)
    assert (tree.place, tree.text) == (place, text)


def test_other_patterns_are_known_by_their_beginning() -> None:
    tree = parse_predicate("city LIKE 'Be_n%x'", SCHEMA).tree
    assert isinstance(tree, And)
    assert isinstance(tree.children[0], TextMatch)
    assert tree.children[0].text == "Be"
    assert isinstance(tree.children[1], Opaque)


@pytest.mark.parametrize(
    ("where", "outcome"), [("true", True), ("1 = 2", False), ("NULL", None), ("id = NULL", None)]
)
def test_conditions_without_rows_in_them_are_constants(where: str, *, outcome: bool | None) -> None:
    assert parse_predicate(where, SCHEMA).tree == Constant(outcome)


def test_a_predicate_can_be_validated_again_and_pickled() -> None:
    predicate = parse_predicate("id > ? AND city LIKE 'B%' AND id IN (7, 8)", SCHEMA, [5])
    again = parse_predicate(predicate, SCHEMA)
    assert (again.sql, again.params) == (predicate.sql, [5])
    copy: Predicate = pickle.loads(pickle.dumps(predicate))
    rows = pa.table({"id": [7, 5, 8], "city": ["Bern", "Bern", None]})
    assert copy.matches(rows).to_pylist() == [True, False, False]


def test_matches_of_what_only_duckdb_understands_keeps_the_order_of_rows() -> None:
    rows = pa.table({"id": range(10_000)})
    found = parse_predicate("id % 3 = 1", SCHEMA).matches(rows).to_pylist()
    assert found == [number % 3 == 1 for number in range(10_000)]


def test_matches_takes_batches_of_no_rows_and_of_more_columns() -> None:
    batch = pa.record_batch({"other": [1, 2], "id": [5, None]})
    assert parse_predicate("id > 4", SCHEMA).matches(batch).to_pylist() == [True, False]
    assert parse_predicate("id + 1 > 4", SCHEMA).matches(batch.slice(2)).to_pylist() == []
    assert parse_predicate("id > 4", SCHEMA).matches(batch.slice(2)).to_pylist() == []


def test_a_value_that_the_expression_cannot_take_is_an_error_of_the_predicate() -> None:
    predicate = parse_predicate("CAST(city AS INTEGER) = 5", SCHEMA)
    with pytest.raises(InvalidInputError, match=r"Could not convert string 'Bern'"):
        predicate.matches(pa.table({"city": ["Bern"]}))


def test_nested_nulls_hide_what_lies_under_them() -> None:
    members = pa.StructArray.from_arrays(
        [pa.array(["x", "x"])], names=["Start"], mask=pa.array([False, True])
    )
    rows = pa.table({"trip": members})
    assert parse_predicate("trip.Start = 'x'", SCHEMA).matches(rows).to_pylist() == [True, False]
    assert parse_predicate("trip.Start IS NULL", SCHEMA).matches(rows).to_pylist() == [False, True]
    assert parse_predicate("trip IS NULL", SCHEMA).matches(rows).to_pylist() == [False, True]


def test_expressions_of_python_and_sql_are_the_same_predicate() -> None:
    built = parse_predicate((col("Fare") > 10) & (col("trip")["Start"] == "it's"), SCHEMA)
    written = parse_predicate("Fare > 10 AND trip.Start = 'it''s'", SCHEMA)
    assert built.tree == written.tree
    assert built.paths == written.paths
