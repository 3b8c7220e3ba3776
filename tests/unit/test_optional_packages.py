"""What is said where pandas or polars is called for and not installed."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

import lakefmt


@pytest.fixture
def table(tmp_path):
    table = lakefmt.create(tmp_path / "t", {"id": "long"})
    table.append({"id": [1, 2]})
    return table


def results(table, function=lambda batch: batch):
    return [
        table,
        table.scan(),
        lakefmt.sql("FROM t", {"t": table}),
        table.scan().map_batches(function, {"id": pa.int64()}),
        table.changes(from_version=0),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_missing_package_is_named_with_the_way_out(monkeypatch, table, package, number):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(lakefmt.MissingPackageError, match=f"pip install {package}") as caught:
        getattr(results(table)[number], f"to_{package}")()
    assert isinstance(caught.value, ImportError)


def test_nothing_runs_before_the_package_is_asked_for(monkeypatch, table):
    ran = []

    def note(batch):
        ran.append(batch)
        return batch

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(lakefmt.MissingPackageError):
        results(table, note)[3].to_pandas()
    assert not ran
