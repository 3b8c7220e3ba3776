"""Every type of DuckDB comes out of an exchange as it went in, and hashes as before."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from lakefmt.engine.exchange import (
    Exchange,
    Gather,
    HashKey,
    HashPartitioning,
    ShuffleInput,
    read_shuffle,
    register_rows,
    rows_of_query,
    write_shuffle_file,
)
from lakefmt.engine.memory import kernel_connection
from lakefmt.errors import InvalidInputError, UnsupportedFeatureError

BEFORE_2 = int(duckdb.__version__.split(".")[0]) < 2

EXPRESSIONS = {
    "sum of integers": "sum(n) OVER ()",
    "least and greatest HUGEINT": "CASE n WHEN 0 THEN (-170141183460469231731687303715884105728)::HUGEINT "
    "WHEN 1 THEN 170141183460469231731687303715884105727::HUGEINT END",
    "UHUGEINT": "CASE n WHEN 0 THEN 340282366920938463463374607431768211455::UHUGEINT WHEN 1 THEN 0 END",
    "UUID": "uuid_of(n)",
    "ENUM": "(['b', 'a', NULL][n % 3 + 1])::ENUM('b', 'a', 'a ''quoted'' one')",
    "TIMETZ": "CASE n % 2 WHEN 0 THEN '12:00:00+05:30'::TIMETZ ELSE '23:59:59.999999-15:59'::TIMETZ END",
    "JSON": "('{\"a\": ' || n || '}')::JSON",
    "BIT": "repeat('10', n::INTEGER % 9 + 1)::BIT",
    "NULL": "NULL",
    "INTERVAL": "CASE n % 2 WHEN 0 THEN INTERVAL 14 MONTH ELSE INTERVAL '-3 days 4.5 seconds' END",
    "BOOLEAN": "n % 2 = 0",
    "TIME_NS": "'12:00:00.123456789'::TIME_NS",
    "TIMESTAMP_NS": "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS",
    "TIMESTAMP_S": "'2020-01-01'::TIMESTAMP_S",
    "TIMESTAMPTZ": "'2020-01-01 00:00:00+02'::TIMESTAMPTZ",
    "infinite dates": "CASE n % 2 WHEN 0 THEN 'infinity'::DATE ELSE '-infinity'::DATE END",
    "DECIMAL": "(n * 1.5)::DECIMAL(38, 5)",
    "struct": "{'a': n::HUGEINT, 'b': 'x'::ENUM('x', 'y'), 'c': '12:00:00+05'::TIMETZ, 'd': NULL}",
    "list": "[n::HUGEINT, NULL]",
    "list of JSON": "['{}'::JSON]",
    "array": "[n::HUGEINT, n + 1]::HUGEINT[2]",
    "map": "MAP {uuid_of(n): n::UHUGEINT}",
    "map to structs": "MAP {'a': {'b': [uuid_of(n)]}}",
    "union": "CASE n % 2 WHEN 0 THEN union_value(num := n::HUGEINT) END",
    "union of two": "CASE n % 2 WHEN 0 THEN n::UNION(num BIGINT, str VARCHAR) ELSE 'x'::UNION(num BIGINT, str VARCHAR) END",
    "empty list": "[]",
    "BLOB": "'\\x00\\xFF'::BLOB",
}
if duckdb.__version__.startswith("1.4."):
    del EXPRESSIONS["TIME_NS"]  # it gives that type to nobody
LARGE_INTEGER = (
    "BIGNUM" if duckdb.sql("SELECT 1 FROM duckdb_types() WHERE type_name = 'bignum'").fetchall() else "VARINT"
)
EXPRESSIONS[LARGE_INTEGER] = (
    f"('123456789012345678901234567890123456789012345678901234567890' || n)::{LARGE_INTEGER}"
)


def the_rows(connection):
    connection.execute(
        "CREATE OR REPLACE MACRO uuid_of(n) AS ('00000000-0000-0000-0000-00000000000' || n::VARCHAR)::UUID"
    )
    return "(SELECT range AS n FROM range(7))"


def through_an_exchange(connection, query, context_of):
    """Create `before` with the query's rows, and `after` with them when they have passed an exchange."""
    connection.execute(f"CREATE TEMP TABLE before AS {query}")
    rows = rows_of_query(connection, query)
    exchange = Exchange(rows.schema, HashPartitioning((HashKey("n"),), 3), rows.logical_types)
    file = write_shuffle_file(exchange, rows.batches, context_of(), inline_bytes=0)
    read = read_shuffle(ShuffleInput.of(exchange, [file], 0, 3), context_of(stage="reduce"))
    with register_rows(connection, "rows", exchange, read):
        connection.execute("CREATE TEMP TABLE after AS SELECT * FROM rows")


def types_of(connection, table):
    return [(name, str(kind)) for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()]


def assert_unchanged(connection, column):
    assert types_of(connection, "before") == types_of(connection, "after")
    for what in (f"{column}, n", f"hash({column}), n"):
        differences = connection.execute(
            f"(SELECT {what} FROM before EXCEPT ALL SELECT {what} FROM after) UNION ALL "
            f"(SELECT {what} FROM after EXCEPT ALL SELECT {what} FROM before)"
        ).fetchall()
        assert differences == []


@pytest.mark.parametrize("name", list(EXPRESSIONS))
def test_values_and_types_and_hashes_are_as_before(context_of, name):
    with kernel_connection(context_of()) as connection:
        through_an_exchange(
            connection, f"SELECT {EXPRESSIONS[name]} AS v, n FROM {the_rows(connection)}", context_of
        )
        assert_unchanged(connection, "v")


def test_all_types_that_duckdb_lists_are_as_before(context_of):
    with kernel_connection(context_of()) as connection:
        all_types = "(SELECT *, row_number() OVER () AS n FROM test_all_types())"
        through_an_exchange(connection, f"SELECT * FROM {all_types}", context_of)
        assert types_of(connection, "before") == types_of(connection, "after")
        assert len(types_of(connection, "after")) > 50
        for column, _ in types_of(connection, "before"):
            assert_unchanged(connection, f'"{column}"')


@pytest.mark.skipif(not BEFORE_2, reason="DuckDB 2.0 hands out VARIANT")
def test_what_duckdb_hands_to_nobody_is_refused(context_of):
    if not duckdb.sql("SELECT 1 FROM duckdb_types() WHERE type_name = 'variant'").fetchall():
        pytest.skip("this DuckDB has no VARIANT")
    with (
        kernel_connection(context_of()) as connection,
        pytest.raises(UnsupportedFeatureError, match="VARIANT"),
    ):
        rows_of_query(connection, "SELECT 1::VARIANT AS v")


def test_a_union_with_an_enum_in_it_is_refused(context_of):
    with kernel_connection(context_of()) as connection:
        rows = rows_of_query(connection, "SELECT union_value(e := 'x'::ENUM('x', 'y')) AS u")
        with pytest.raises(UnsupportedFeatureError, match="'u'"):
            Exchange(rows.schema, Gather(), rows.logical_types)


def test_rows_that_are_not_from_duckdb_have_no_types_to_restore(context_of):
    exchange = Exchange(pa.schema({"a": pa.int64()}), Gather())
    with (
        kernel_connection(context_of()) as connection,
        pytest.raises(InvalidInputError, match="no types"),
        register_rows(connection, "rows", exchange, []),
    ):
        pass
