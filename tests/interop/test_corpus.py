"""Real tables of other writers, beside the checkout: each reads to the rows its project published, or is refused.

``index.json`` says what an independent replay of each log found; where the project published the rows themselves,
they are compared value for value.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import lakefmt

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "delta"
INDEX = json.loads((CORPUS / "index.json").read_text()) if (CORPUS / "index.json").exists() else []

# What this release refuses; the list gets shorter, and a table that leaves it must read right.
UNSUPPORTED_FEATURES = {
    "catalogManaged",
    "catalogOwned",
    "catalogOwned-preview",
    "geospatial",
    "variantShredding-preview",
    "variantType",
    "variantType-preview",
}
NO_VALUES = {
    "kernel-rs-golden/data-reader-partition-values/delta": "the published expectation is wrong for one timestamp",
}

pytestmark = pytest.mark.skipif(not INDEX, reason=f"there is no corpus at {CORPUS.name} beside the checkout")

COMPLETE = [entry for entry in INDEX if entry["complete"]]
INCOMPLETE = [entry for entry in INDEX if not entry["complete"]]
WITH_VALUES = [entry for entry in COMPLETE if entry.get("expected") and entry["table"] not in NO_VALUES]


def name_of(entry):
    return entry["table"].removesuffix("/delta")


def is_beyond_this_release(entry):
    """Whether the index says that the table has something that this release may refuse."""
    protocol = entry["protocol"]
    return bool(set(entry["features"]) & UNSUPPORTED_FEATURES) or protocol["minReaderVersion"] > 3


@pytest.mark.parametrize("entry", COMPLETE, ids=name_of)
def test_table_reads_to_the_counted_rows_or_is_refused(entry):
    if is_beyond_this_release(entry):
        with pytest.raises(lakefmt.UnsupportedFeatureError):
            lakefmt.open(CORPUS / entry["table"]).to_arrow()
        return
    table = lakefmt.open(CORPUS / entry["table"])
    found = (table.version, table.files().num_rows, table.to_arrow().num_rows, table.count())
    assert found == (entry["version"], entry["files"], entry["rows"], entry["rows"])
    assert sum(table.files()["deleted_rows"].to_pylist()) == entry["deleted_rows"]


@pytest.mark.parametrize("entry", WITH_VALUES, ids=name_of)
def test_table_reads_to_the_published_values(entry, assert_same_rows):
    table = lakefmt_table(entry)
    folder = CORPUS / entry["expected"]
    files = sorted(str(path) for path in folder.rglob("*.parquet"))
    if not files:
        pytest.skip("no rows were published")
    expected = ds.dataset(files).to_table()
    found = table.to_arrow()
    columns = [field for field in expected.schema if field.name in found.schema.names]
    assert len(columns) == len(expected.schema) == len(found.schema)
    assert_same_rows(found, expected.cast(unified(expected.schema, found.schema)))


@pytest.mark.parametrize("entry", INCOMPLETE, ids=name_of)
def test_table_without_its_files_is_a_typed_error(entry):
    with pytest.raises(
        (lakefmt.CorruptTableError, lakefmt.UnsupportedFeatureError, lakefmt.TableNotFoundError)
    ) as caught:
        lakefmt.open(CORPUS / entry["table"]).to_arrow()
    assert str(CORPUS / entry["table"]) in str(caught.value)


def lakefmt_table(entry):
    try:
        return lakefmt.open(CORPUS / entry["table"])
    except lakefmt.UnsupportedFeatureError as error:
        pytest.skip(error.message)


def unified(expected, found):
    """The schema of published rows with the table's timestamps: they come as INT96, which is nanoseconds of no zone."""
    fields = [
        found.field(field.name) if pa.types.is_timestamp(field.type) else field
        for field in expected
        if field.name in found.names
    ]
    return pa.schema(fields)
