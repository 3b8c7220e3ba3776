"""After every kind of write the same rows come back from every reader of the format, value for value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from interop.kinds_of_write import CASES, Case

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Written:
    """A table somebody made: where, and the rows that must be in it."""

    uri: str
    rows: pa.Table


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A function that carries out a case once for all its readers."""
    done: dict[tuple[str, bool], Written] = {}

    def write(case: Case, *, deletion_vectors: bool = True) -> Written:
        if (case.name, deletion_vectors) not in done:
            uri = str(tmp_path_factory.mktemp("interop") / case.folder)
            rows = case.write(uri, {} if deletion_vectors else {"delta.enableDeletionVectors": "false"})
            done[case.name, deletion_vectors] = Written(uri, rows)
        return done[case.name, deletion_vectors]

    return write


def skip_limits_of(reader, case):
    if reason := case.not_read_by.get(reader.name):
        pytest.skip(reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_rows_come_back(case, reader, written, assert_same_rows):
    skip_limits_of(reader, case)
    table = written(case)
    assert_same_rows(reader.read(table.uri), table.rows)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_rows_come_back_without_deletion_vectors(case, plain_reader, written, assert_same_rows):
    skip_limits_of(plain_reader, case)
    table = written(case, deletion_vectors=False)
    assert_same_rows(plain_reader.read(table.uri), table.rows)
