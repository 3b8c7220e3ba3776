"""Queries over real tables of other writers give the rows that scans give, whoever reads the files."""

from __future__ import annotations

from collections import Counter

import pytest
from conformance.corpus import BY_NAME, CORPUS, REFUSED, WRONG_STATISTICS

import lakefmt

pytestmark = pytest.mark.skipif(
    not BY_NAME, reason=f"there is no corpus at {CORPUS.name} beside the checkout"
)

READABLE = [name for name, entry in BY_NAME.items() if entry["complete"] and name not in REFUSED]
MANY_ROWS = 20_000


@pytest.mark.parametrize("name", READABLE)
def test_query_gives_the_rows_of_the_scan(name):
    table = lakefmt.open(CORPUS / BY_NAME[name]["table"])
    scanned = table.to_arrow()
    found = lakefmt.sql("FROM t", {"t": table}).to_arrow()
    assert found.column_names == scanned.column_names
    assert found.num_rows == scanned.num_rows
    if scanned.num_rows <= MANY_ROWS:
        assert Counter(map(repr, found.to_pylist())) == Counter(map(repr, scanned.to_pylist()))
    for column in [] if name in WRONG_STATISTICS else scanned.column_names[:3]:
        quoted = '"' + column.replace('"', '""') + '"'
        query = lakefmt.sql(
            f"SELECT count(*) AS n, count({quoted}) AS v FROM t WHERE {quoted} IS NULL", {"t": table}
        )
        nulls = scanned[scanned.column_names.index(column)].null_count
        assert query.to_arrow().to_pylist() == [{"n": nulls, "v": 0}]
    assert lakefmt.sql("SELECT count(*) AS n FROM t", {"t": table}).to_arrow()["n"].to_pylist() == [
        scanned.num_rows
    ]
