"""Real tables of four projects: each opens with exactly its files and rows, or is refused by the right error.

``index.json`` says what an independent replay of each log found; where the project published the rows themselves,
they are compared value for value, at the newest version and at each other that it published.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conformance.corpus import BROKEN, BY_NAME, CORPUS, EMPTY, NOT_COMPARED, REFUSED, WRONG_STATISTICS

import lakefmt

pytestmark = pytest.mark.skipif(
    not BY_NAME, reason=f"there is no corpus at {CORPUS.name} beside the checkout"
)

COMPLETE = [name for name, entry in BY_NAME.items() if entry["complete"]]
READABLE = [name for name in COMPLETE if name not in REFUSED]
LOG_ONLY = [name for name, entry in BY_NAME.items() if not entry["complete"] and name not in BROKEN]
PUBLISHED = [name for name in COMPLETE if BY_NAME[name].get("expected") and name not in NOT_COMPARED]
FILTERED = (bool, int, float, str, bytes, dt.date, Decimal)  # a datetime is a date
MANY_ROWS = 2_000
MANY_COLUMNS = 15


def open_table(name, **options):
    return lakefmt.open(CORPUS / BY_NAME[name]["table"], **options)


def published_rows(folder):
    """The rows in a folder, or None where none were published."""
    files = sorted(str(path) for path in folder.rglob("*.parquet"))
    return ds.dataset(files).to_table() if files else None


def published_versions():
    """Each table and version whose rows were published beside those of the newest."""
    for name in READABLE:
        if BY_NAME[name].get("expected"):
            for folder in sorted((CORPUS / BY_NAME[name]["expected"]).parent.glob("v*")):
                if re.fullmatch(r"v\d+", folder.name):
                    yield name, int(folder.name[1:])


@pytest.mark.parametrize("name", READABLE)
def test_table_has_exactly_its_files_and_rows(name):
    entry = BY_NAME[name]
    table = open_table(name)
    found = (table.version, table.files().num_rows, table.to_arrow().num_rows, table.count())
    assert found == (entry["version"], entry["files"], entry["rows"], entry["rows"])
    assert list(table.partition_columns) == entry["partition_columns"]


@pytest.mark.parametrize("name", [name for name in READABLE if "rowTracking" in BY_NAME[name]["features"]])
def test_rows_have_the_ids_that_follow_from_their_files(name):
    table = open_table(name)
    files = table.snapshot.files.table
    expected = []
    for path, first, version in zip(
        *(files[column].to_pylist() for column in ("path", "base_row_id", "default_row_commit_version")),
        strict=True,
    ):
        num_rows = pq.read_metadata(CORPUS / BY_NAME[name]["table"] / path).num_rows
        expected += [(first + row, version) for row in range(num_rows)]
    rows = table.scan(columns=["_row_id", "_row_commit_version"]).to_arrow()
    assert sorted(zip(*rows.to_pydict().values(), strict=True)) == sorted(expected)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name in READABLE])
def test_rows_are_the_published_ones(name, assert_same_rows):
    expected = published_rows(CORPUS / BY_NAME[name]["expected"])
    if expected is None:
        pytest.skip("no rows were published")
    assert_published(open_table(name).to_arrow(), expected, assert_same_rows)


@pytest.mark.parametrize(("name", "version"), list(published_versions()))
def test_rows_of_a_version_are_the_published_ones(name, version, assert_same_rows):
    expected = published_rows((CORPUS / BY_NAME[name]["expected"]).parent / f"v{version}")
    found = open_table(name, version=version).to_arrow()
    if expected is None:
        assert found.num_rows == 0
    else:
        assert_published(found, expected, assert_same_rows)


@pytest.mark.parametrize("name", [name for name in READABLE if name not in WRONG_STATISTICS])
def test_filters_keep_the_rows_that_match(name):
    """What partition values, statistics and row groups prune by must not cost a row."""
    table = open_table(name)
    rows = table.to_arrow()
    for field in [*rows.schema][:MANY_COLUMNS]:
        column = lakefmt.col(field.name)
        nulls = rows[field.name].null_count
        assert table.count(column.is_null()) == nulls, field.name
        if rows.num_rows > MANY_ROWS:
            continue
        values = rows[field.name].to_pylist()
        for value in some(values):
            wanted = sum(other == value for other in values)
            assert table.count(column == value) == wanted, f"{field.name} == {value!r}"


@pytest.mark.parametrize("name", READABLE)
def test_any_columns_and_any_number_of_rows_can_be_asked_for(name):
    table = open_table(name)
    rows = table.to_arrow()
    for column in rows.column_names[:3] + rows.column_names[-1:]:
        assert pc.count(table.scan(columns=[column]).to_arrow()[column]) == pc.count(rows[column])
    assert table.head(3).num_rows == min(3, rows.num_rows)
    assert sum(batch.num_rows for batch in table.to_batches()) == rows.num_rows


@pytest.mark.parametrize("name", list(REFUSED))
def test_table_beyond_this_release_is_refused_by_name(name):
    assert BY_NAME[name]["complete"]
    with pytest.raises(lakefmt.UnsupportedFeatureError, match=REFUSED[name]) as caught:
        open_table(name).to_arrow()
    assert str(CORPUS / BY_NAME[name]["table"]) in str(caught.value)


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_is_no_table_is_a_typed_error_that_says_why(name):
    kind, words = BROKEN[name]
    with pytest.raises(getattr(lakefmt, kind), match=words) as caught:
        open_table(name)
    assert type(caught.value) is getattr(lakefmt, kind)
    assert str(CORPUS / BY_NAME[name]["table"]) in str(caught.value)


def test_folder_without_a_log_is_no_table(tmp_path):
    (tmp_path / "no-delta-log-folder").mkdir()
    with pytest.raises(lakefmt.TableNotFoundError):
        lakefmt.open(tmp_path / "no-delta-log-folder")


@pytest.mark.parametrize("name", LOG_ONLY)
def test_log_without_its_data_files_is_read_and_the_files_are_missed_by_name(name):
    entry = BY_NAME[name]
    table = open_table(name)
    assert (table.version, table.files().num_rows) == (
        entry["version"],
        0 if name in EMPTY else entry["files"],
    )
    if name in EMPTY:
        assert table.to_arrow().num_rows == 0
        return
    with pytest.raises(lakefmt.CorruptTableError, match="missing") as caught:
        table.to_arrow()
    assert caught.value.path


def test_table_of_a_catalog_is_read_with_the_catalog():
    """The golden table of delta-kernel-rs for catalogs: two commits are staged and not published."""
    name = "kernel-rs/delta-kernel-unity-catalog/tests/data/catalog_managed_0"
    staged = sorted((CORPUS / name / "_delta_log" / "_staged_commits").iterdir())
    commits = [lakefmt.RatifiedCommit(int(file.name[:20]), file.name) for file in staged]

    class Catalog:
        def ratified_commits(self, table_uri):
            return lakefmt.RatifiedCommits(latest_version=2, commits=commits)

    table = open_table(name, catalog=Catalog())
    assert (table.version, table.files().num_rows) == (2, 2)
    assert table.count() == table.to_arrow().num_rows > 0


def assert_published(found, expected, assert_same_rows):
    assert sorted(found.column_names) == sorted(expected.column_names)
    assert_same_rows(found, expected.cast(unified(expected.schema, found.schema)))


def unified(expected, found):
    """The schema of published rows with the table's timestamps: they come as INT96, which is nanoseconds of no zone."""
    return pa.schema(
        [found.field(each.name) if pa.types.is_timestamp(each.type) else each for each in expected]
    )


def some(values):
    """A few values of a column that SQL compares as Python does."""
    plain = [v for v in values if isinstance(v, FILTERED) and not (isinstance(v, float) and math.isnan(v))]
    return {repr(value): value for value in plain[:2] + plain[-1:]}.values()
