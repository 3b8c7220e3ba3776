"""What a query asks of an object store: footers, and of the columns that it names the row groups that may matter."""

from __future__ import annotations

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.store import open_store
from lakefmt.testing.foreign_table import ForeignTable, column

ROWS = 40_000
GROUP_ROWS = 2_000
NAN = float("nan")


@pytest.fixture(scope="module")
def table(s3_server, tmp_path_factory):
    """Two files of twenty row groups, one with bounds that leave NaN out."""
    local = tmp_path_factory.mktemp("local") / "t"
    fields = [column("id", "long"), column("k", "long"), column("text", "string"), column("x", "double")]
    written = ForeignTable(local, fields, partition_columns=("part",))
    written.fields.append(column("part", "integer"))
    rows = pa.table(
        {
            "id": range(ROWS),
            "k": [number % 97 for number in range(ROWS)],
            "text": [f"{number * 7919 % 1_000_003:020d}" for number in range(ROWS)],
            "x": [NAN if number % 1_000 == 999 else number / 8 for number in range(ROWS)],
        }
    )
    for part in range(2):
        written.add(rows, partition_values={"part": str(part)}, row_group_size=GROUP_ROWS)
    uri, options = f"{s3_server.create_bucket()}/t", s3_server.storage_options()
    store = open_store(uri, options)
    for file in local.rglob("*.*"):
        store.put(str(file.relative_to(local)), file.read_bytes())
    return lakefmt.open(uri, storage_options=options)


def ask(server, table, text):
    """Return the rows, and how many requests and bytes they took."""
    query = lakefmt.sql(text, {"t": table})
    server.gate.forget()
    rows = query.to_arrow().to_pylist()
    requests = [each for each in server.gate.requests() if each.path.endswith(".parquet")]
    return rows, len(requests), sum(each.body_bytes for each in requests)


def test_row_groups_that_cannot_matter_are_not_fetched(s3_server, table):
    text = "SELECT part, id, text FROM t WHERE id BETWEEN 21000 AND 21001 AND part = 1"
    expected = [
        {"part": 1, "id": 21_000 + n, "text": f"{(21_000 + n) * 7919 % 1_000_003:020d}"} for n in (0, 1)
    ]
    ask(s3_server, table, text)  # footers are kept
    rows, requests, size = ask(s3_server, table, text)
    assert rows == expected
    assert requests <= 2  # neighbouring columns in one
    assert size < table.files()["size_bytes"][0].as_py() / 15


def test_columns_that_are_not_named_are_not_fetched(s3_server, table):
    ask(s3_server, table, "SELECT sum(k) FROM t")
    rows, requests, size = ask(s3_server, table, "SELECT sum(k) AS total FROM t")
    assert rows == [{"total": 2 * sum(number % 97 for number in range(ROWS))}]
    assert requests <= 40
    assert size < sum(table.files()["size_bytes"].to_pylist()) / 2


def test_rows_that_only_count_are_counted_by_what_the_log_has(s3_server, table):
    ask(s3_server, table, "SELECT count(*) AS n FROM t HAVING n > 0")
    rows, requests, _ = ask(s3_server, table, "SELECT count(*) AS n FROM t HAVING n > 0")
    assert rows == [{"n": 2 * ROWS}]
    assert requests == 0


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("x > 4999.5", 2 * (40 + 2)),
        ("x <= 10", 2 * 81),
        ("isnan(x)", 2 * 40),
        ("k = 96 AND id < 97", 2),
        ("id IS NULL", 0),
    ],
)
def test_rows_are_the_same_as_of_a_scan(table, condition, count):
    query = lakefmt.sql(f"SELECT id, x FROM t WHERE {condition}", {"t": table})
    assert query.to_arrow().num_rows == count
    assert table.scan(where=condition).count() == count
