"""Whose footer a kept footer is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from lakefmt.engine.footers import forget_footers, load_footer
from lakefmt.store import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path


def put(store: Store) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [1, 2, 3]}), sink)
    store.put("file.parquet", sink.getvalue().to_pybytes())
    return sink.getvalue().size


def test_stores_off_local_disk_share_no_footers_though_their_uris_are_equal(tmp_path: Path) -> None:
    forget_footers()
    uri = f"memory://{tmp_path.name}-footers"
    one, other = open_store(uri), open_store(uri)
    size_bytes = put(one)
    footer = load_footer(one, "file.parquet", size_bytes)
    assert load_footer(one, "file.parquet", size_bytes) is footer
    assert load_footer(other, "file.parquet", size_bytes) is not footer


def test_stores_of_one_local_folder_share_footers(tmp_path: Path) -> None:
    forget_footers()
    one, other = open_store(tmp_path), open_store(tmp_path)
    size_bytes = put(one)
    assert load_footer(one, "file.parquet", size_bytes) is load_footer(other, "file.parquet", size_bytes)
