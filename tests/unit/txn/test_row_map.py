"""Where rows of rewritten files went, held against rows that are moved one by one."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakefmt.errors import InvalidInputError
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.txn import row_map
from lakefmt.txn.row_map import ROW_MAP_SCHEMA, MappedRows, RowsInOrder, write_row_map


@st.composite
def rewrites(draw):
    """Rows of inputs with those deleted, rows of outputs, and rows that are looked for in each input."""
    counts = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    deleted = [draw(st.sets(st.integers(0, n - 1))) if n else set() for n in counts]
    live = [sorted(set(range(n)) - gone) for n, gone in zip(counts, deleted, strict=True)]
    wanted = [draw(st.sets(st.sampled_from(rows))) if rows else set() for rows in live]
    cuts = sorted(draw(st.lists(st.integers(0, sum(map(len, live))), max_size=3)))
    ends = [*cuts, sum(map(len, live))]
    outputs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    return counts, deleted, outputs, wanted


def one_by_one(counts, deleted, outputs):
    """For each input, where each of its rows is."""
    places = iter([(number, place) for number, n in enumerate(outputs) for place in range(n)])
    return [
        {row: next(places) for row in range(n) if row not in gone}
        for n, gone in zip(counts, deleted, strict=True)
    ]


def found_by(mapped, place, rows):
    return sorted(
        (output, position)
        for output, positions in mapped.outputs_of(place, DeletedRows.of(rows))
        for position in positions.to_pylist()
    )


@given(rewrites(), st.integers(1, 5))
@example(([3, 4], [{1}, set()], [2, 0, 4], [{0, 2}, {3}]), 1)
def test_rows_in_order(rewrite, window):
    counts, deleted, outputs, wanted = rewrite
    mapped = RowsInOrder(
        tuple((n, DeletedRows.of(gone)) for n, gone in zip(counts, deleted, strict=True)), tuple(outputs)
    )
    expected = one_by_one(counts, deleted, outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_map, "_WINDOW_ROWS", window)
        for place, rows in enumerate(wanted):
            assert found_by(mapped, place, rows) == sorted(expected[place][row] for row in rows)


@given(rewrites(), st.integers(1, 5), st.randoms())
def test_rows_in_any_order(tmp_path_factory, rewrite, window, chance):
    counts, deleted, outputs, wanted = rewrite
    expected = one_by_one(counts, deleted, outputs)
    shuffled = [place for rows in expected for place in rows.values()]
    chance.shuffle(shuffled)
    places = iter(shuffled)
    expected = [{row: next(places) for row in rows} for rows in expected]
    rows = [expected[number].get(row, (None, None)) for number, n in enumerate(counts) for row in range(n)]
    columns = pa.table({"output": [o for o, _ in rows], "position": [p for _, p in rows]}, ROW_MAP_SCHEMA)
    path = tmp_path_factory.mktemp("map") / "map.arrow"
    write_row_map(path, columns.to_batches(max_chunksize=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_map, "_WINDOW_ROWS", window)
        for mapped in (MappedRows.of(columns, counts), MappedRows.open(path, counts)):
            for place, looked_for in enumerate(wanted):
                assert found_by(mapped, place, looked_for) == sorted(
                    expected[place][row] for row in looked_for
                )


def test_outputs_that_do_not_hold_all_rows_are_refused():
    with pytest.raises(InvalidInputError, match="hold 2 rows, its outputs 3"):
        RowsInOrder(((3, DeletedRows.of([1])),), (3,))


def test_a_map_of_other_files_is_refused():
    columns = pa.table({"output": [0], "position": [0]}, ROW_MAP_SCHEMA)
    with pytest.raises(InvalidInputError, match="has 1 rows, the files it is of have 2"):
        MappedRows.of(columns, [2])


def test_a_map_that_says_a_row_was_deleted_which_was_not_is_refused():
    columns = pa.table({"output": [0, None], "position": [0, None]}, ROW_MAP_SCHEMA)
    with pytest.raises(InvalidInputError, match="was there"):
        found_by(MappedRows.of(columns, [2]), 0, {1})
