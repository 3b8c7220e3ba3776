"""Whatever is written comes back, and every reader of it returns the same rows."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakefmt.engine import ReadSpec, ReadTask, WriteSpec, read, read_table, write_files
from lakefmt.expressions import parse_predicate
from lakefmt.schema import Schema
from lakefmt.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = itertools.count()
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("n", pa.int32()),
        ("x", pa.float64()),
        ("s", pa.struct([("y", pa.float32())])),
        ("t", pa.string()),
        ("p", pa.string()),
        ("q", pa.float64()),
    ]
)
FLOATS = st.sampled_from([None, 0.0, -0.0, 1.0, -1.5, 5.0, math.inf, -math.inf, math.nan])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | st.integers(-3, 3),
            "x": FLOATS,
            "s": st.none() | st.fixed_dictionaries({"y": FLOATS}),
            "t": st.sampled_from([None, "", "a", "ab", "b", "ä", "\U0001f600"]),
            "p": st.sampled_from([None, "", "a", "b/c"]),
            "q": FLOATS,
        }
    ),
    max_size=40,
)
PREDICATES = st.sampled_from(
    [
        "n > 0",
        "n = 2 or n is null",
        "not (x > 1)",
        "x > 1",
        "x = 'NaN'::DOUBLE",
        "x <> 5",
        "s.y >= 1",
        "s is null",
        "t like 'a%'",
        "t in ('', 'b') and n < 2",
        "p = 'a'",
        "p is null and x < 2",
        "q > 0 and n >= 0",
        "q is not distinct from x",
        "length(t) + n > 1",
    ]
)


def same(value: Any) -> Any:
    """Make rows comparable: NaN equals itself here, zeros are one, an empty partition value is null."""
    if isinstance(value, dict):
        return tuple(same(member) for member in value.values())
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value


def canonical(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted((same(row | {"p": row["p"] or None}) for row in rows), key=lambda row: row[0])


@given(
    rows=ROWS,
    where=PREDICATES,
    row_group_rows=st.integers(1, 8),
    batch_rows=st.integers(1, 9),
    cut=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_written_are_the_rows_read_by_every_reader(
    tmp_path: Path, rows: list[dict[str, Any]], where: str, row_group_rows: int, batch_rows: int, *, cut: bool
) -> None:
    rows = [{name: (row | {"row": number})[name] for name in SCHEMA.names} for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    store = open_store(tmp_path / "ours", {"fsync": False})
    partition_columns = ("p", "q") if cut else ()
    spec = WriteSpec(
        SCHEMA,
        lambda _values, _number: f"{next(NUMBERS)}.parquet",
        partition_columns=partition_columns,
        row_group_rows=row_group_rows,
        target_file_bytes=2_000,
    )
    files = write_files(table.to_batches(max_chunksize=batch_rows), spec, store)
    ours = [ReadTask(f.key, f.size_bytes, f.partition_values, float_bounds_hold=True) for f in files]
    whole = read_table(store, ours, ReadSpec(SCHEMA, SCHEMA, partition_columns=partition_columns))
    if cut:
        assert canonical(whole.to_pylist()) == canonical(rows)
    else:
        assert [same(row) for row in whole.to_pylist()] == [same(row) for row in rows]

    predicate = parse_predicate(where, Schema.from_arrow(SCHEMA))
    expected = canonical(whole.filter(predicate.matches(whole)).to_pylist())
    foreign = []
    if rows and not cut:
        key = f"foreign-{next(NUMBERS)}.parquet"
        pq.write_table(table, tmp_path / "ours" / key, row_group_size=row_group_rows)
        foreign = [ReadTask(key, (tmp_path / "ours" / key).stat().st_size)]
    for duckdb_rows in (0, 1 << 60):
        for tasks in (ours, foreign) if foreign else (ours,):
            with patch.object(read, "_DUCKDB_ROWS", duckdb_rows):
                wanted = ReadSpec(SCHEMA, SCHEMA, predicate=predicate, partition_columns=partition_columns)
                assert canonical(read_table(store, tasks, wanted).to_pylist()) == expected
    store.delete([task.key for task in (*ours, *foreign)])
