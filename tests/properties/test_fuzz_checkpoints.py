"""Checkpoints of strangers: any columns of any types, any bytes; reading ends in rows or in a typed error."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lakefmt
from benchmarks.synthetic_logs import write_trips_log
from lakefmt.errors import CorruptTableError
from lakefmt.testing.mutations import mutate_bytes, mutate_lines, mutate_table

fuzz = settings.get_profile("fuzz")
draws = st.randoms(use_true_random=False)


def checkpoints(tables):
    """Return (table, file) of every Parquet file of a checkpoint."""
    patterns = ("_delta_log/*.checkpoint*.parquet", "_delta_log/_sidecars/*.parquet")
    return [(table, file) for table in tables for pattern in patterns for file in sorted(table.glob(pattern))]


@fuzz
@given(draw=draws)
def test_checkpoints_of_other_shapes_end_in_rows_or_typed_errors(
    seed_tables, damaged, read_in_every_way, draw
):
    table, file = draw.choice(checkpoints(seed_tables))
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(mutate_table(pq.read_table(file), draw), sink)
    except (pa.ArrowException, UnicodeError):
        assume(False)  # no Parquet file is like that
    read_in_every_way(damaged(table, file, sink.getvalue().to_pybytes(), alone=draw.random() < 0.8))


@fuzz
@given(draw=draws)
def test_damaged_bytes_of_a_checkpoint_end_in_rows_or_typed_errors(
    seed_tables, damaged, read_in_every_way, draw
):
    table, file = draw.choice(checkpoints(seed_tables))
    read_in_every_way(damaged(table, file, mutate_bytes(file.read_bytes(), draw), alone=draw.random() < 0.8))


def bad_texts(texts):
    return pa.array([None if text is None else b"\xff" for text in texts.to_pylist()]).view(pa.string())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("path", bad_texts),
        ("stats", bad_texts),
        ("partitionValues", lambda column: pa.array([1] * len(column))),
        ("partitionValues", lambda column: pa.array([["day"]] * len(column))),
        ("tags", lambda column: pa.array([1] * len(column))),
        ("deletionVector", lambda column: pa.array(["x"] * len(column))),
        ("deletionVector", lambda column: pa.array([{"pathOrInlineDv": "x"}] * len(column))),
    ],
)
def test_adds_of_other_types_are_a_corrupt_checkpoint(seed_tables, damaged, read_in_every_way, name, change):
    table = seed_tables[0]
    (file,) = table.glob("_delta_log/*.checkpoint.parquet")
    checkpoint = pq.read_table(file)
    adds = checkpoint["add"].combine_chunks()
    fields = dict(zip(adds.type.names, adds.flatten(), strict=True))
    fields[name] = change(fields[name])
    strange = pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=adds.is_null())
    sink = pa.BufferOutputStream()
    place = checkpoint.schema.get_field_index("add")
    pq.write_table(checkpoint.set_column(place, "add", strange), sink)
    folder = damaged(table, file, sink.getvalue().to_pybytes(), alone=True)
    read_in_every_way(folder)
    with pytest.raises(CorruptTableError):
        lakefmt.open(folder).scan(where="id = 1 AND day = DATE '1970-01-02'").to_arrow()
    if name == "stats":  # which all rows can be read without
        assert lakefmt.open(folder).to_arrow().num_rows == lakefmt.open(table).count()
        return
    with pytest.raises(CorruptTableError):
        lakefmt.open(folder).to_arrow()


def test_statistics_that_break_off_while_they_are_streamed_are_a_corrupt_checkpoint(tmp_path):
    write_trips_log(tmp_path / "table", 70_000)
    (file,) = (tmp_path / "table").glob("_delta_log/*.checkpoint.parquet")
    leaves = pq.ParquetFile(file).metadata.row_group(0)
    stats = next(
        leaf for leaf in map(leaves.column, range(leaves.num_columns)) if leaf.path_in_schema == "add.stats"
    )
    data = bytearray(file.read_bytes())
    middle = stats.data_page_offset + stats.total_compressed_size // 2
    data[middle : middle + 2_000_000] = bytes(2_000_000)
    file.write_bytes(data)
    with pytest.raises(CorruptTableError):
        lakefmt.open(tmp_path / "table").scan(where="id = 7").files()


@fuzz
@given(draw=draws)
def test_damaged_json_checkpoints_end_in_rows_or_typed_errors(seed_tables, damaged, read_in_every_way, draw):
    found = [(table, file) for table in seed_tables for file in table.glob("_delta_log/*.checkpoint.*.json")]
    if not found:
        pytest.skip("needs the JSON checkpoints of the corpus beside the checkout")
    table, file = draw.choice(sorted(found))
    read_in_every_way(damaged(table, file, mutate_lines(file.read_bytes(), draw), alone=draw.random() < 0.8))
