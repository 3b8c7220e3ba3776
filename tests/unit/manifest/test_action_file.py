"""One file of a checkpoint: what its footer promises is what its pages hold."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import CorruptTableError
from lakefmt.manifest.checkpoint.action_file import ActionFile
from lakefmt.store.local import LocalStore

PATH = ("add", "path")


@pytest.fixture
def short(tmp_path):
    """A file whose footer counts a row more than its pages hold; a reader of Parquet sees nothing wrong with that."""
    pq.write_table(pa.table({"add": [{"path": f"f{n}"} for n in range(5)]}), tmp_path / "c.parquet")
    file = ActionFile(LocalStore(str(tmp_path)), "c.parquet", (tmp_path / "c.parquet").stat().st_size, 3)
    file.row_counts[0] += 1
    return file


@pytest.mark.parametrize(
    "read",
    [
        lambda file: file.read([PATH], [0]),
        lambda file: file.read_struct(PATH, [0]),
        lambda file: file.stream(PATH, [0], 2).read_all(),
        lambda file: list(file.stream_struct("add", ["path"], [0], 2)),
        lambda file: file.read_until([PATH], 0, 6, 2),
    ],
    ids=["read", "read_struct", "stream", "stream_struct", "read_until"],
)
def test_file_with_fewer_rows_than_its_footer_counts_is_corrupt(short, read):
    # As a stream the error has passed Arrow's own machinery, which keeps its text.
    with pytest.raises((CorruptTableError, pa.ArrowException), match="5 rows where its footer counts 6"):
        read(short)
    short.row_counts[0] -= 1
    read(short)
