"""Row changes of real tables: all of them together are the table's rows, and recorded ones are as delta-rs reads them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

import lakefmt

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "delta"
INDEX = json.loads((CORPUS / "index.json").read_text()) if (CORPUS / "index.json").exists() else []

pytestmark = pytest.mark.skipif(not INDEX, reason=f"there is no corpus at {CORPUS.name} beside the checkout")

COMPLETE = [entry for entry in INDEX if entry["complete"]]
# delta-rs reads changes neither of mapped tables nor where paths are percent-encoded.
RECORDED = [
    "dat-0.0.3/cdf/delta",
    "delta-rs/cdc_ict_table",
    "delta-rs/cdf-table",
    "delta-rs/cdf-table-non-partitioned",
    "delta-rs/cdf-table-with-cdc-and-dvs",
    "delta-rs/simple_table_with_cdc",
]


@pytest.mark.parametrize("entry", COMPLETE, ids=lambda entry: entry["table"].removesuffix("/delta"))
def test_all_changes_together_are_the_rows_or_the_range_is_refused(entry):
    try:
        table = lakefmt.open(CORPUS / entry["table"])
        changes = table.changes().to_arrow()
    except (lakefmt.UnsupportedFeatureError, lakefmt.VersionNotFoundError) as error:
        pytest.skip(str(error).replace(str(CORPUS), ""))
    except lakefmt.CorruptTableError as error:
        assert "no schemaString" in error.message  # noqa: PT017 - of one first version, which no reader can read
        pytest.skip(error.message)
    net: Counter[str] = Counter()
    for row in changes.to_pylist():
        sign = 1 if row["_change_type"] in {"insert", "update_postimage"} else -1
        net[repr([row[name] for name in table.schema.names])] += sign
    rows = Counter(repr(list(row.values())) for row in table.to_arrow().to_pylist())
    assert {row: count for row, count in net.items() if count} == rows


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_changes_are_as_delta_rs_reads_them(name):
    if not (CORPUS / name).exists():
        pytest.skip("not in this copy of the corpus")
    found = lakefmt.open(CORPUS / name).changes().to_arrow()
    expected = pa.table(DeltaTable(CORPUS / name).load_cdf().read_all())
    assert sorted(found.column_names) == sorted(expected.column_names)
    # Its times are those that the commits' writers claim, not those of their files.
    names = [each for each in found.column_names if each != "_commit_timestamp"]
    assert texts(found.select(names)) == texts(expected.select(names).cast(found.select(names).schema))


def texts(table):
    return sorted(map(repr, table.to_pylist()))
