"""Damaged data files under DuckDB's reader: the file is named and the predicate is not blamed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.engine import ReadSpec, ReadTask, read_table
from lakefmt.engine import read as read_module
from lakefmt.engine.footers import forget_footers, load_footer
from lakefmt.errors import CorruptTableError, InvalidInputError, LakefmtError
from lakefmt.expressions import parse_predicate
from lakefmt.schema import Schema
from lakefmt.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = pa.table(
    {
        "id": range(20_000),
        "city": [f"city-{i % 900}-{i * 7919 % 20_000}" for i in range(20_000)],
        "fare": [i / 3 for i in range(20_000)],
    }
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    forget_footers()
    monkeypatch.setattr(read_module, "_DUCKDB_ROWS", 1)
    return open_store(tmp_path / "table", {"fsync": False})


def put(
    store: Store, key: str, compression: str, damage: Callable[[bytearray], None] | None = None
) -> ReadTask:
    sink = pa.BufferOutputStream()
    pq.write_table(ROWS, sink, compression=compression, row_group_size=5_000)  # type: ignore[arg-type] # stubs: literal
    data = bytearray(sink.getvalue().to_pybytes())
    if damage is not None:
        damage(data)
    store.put(key, bytes(data))
    return ReadTask(key, len(data))


def overwritten(seed: int) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        dice = random.Random(seed)
        start = dice.randrange(4, len(data) - 20_000)
        data[start : start + 64] = dice.randbytes(64)

    return damage


def read(store: Store, tasks: list[ReadTask], where: str) -> pa.Table:
    spec = ReadSpec(
        ROWS.schema, ROWS.schema, predicate=parse_predicate(where, Schema.from_arrow(ROWS.schema))
    )
    return read_table(store, tasks, spec)


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_a_damaged_page_is_reported_as_damage_of_its_file(store: Store, compression: str) -> None:
    sound = put(store, "sound.parquet", compression)
    reported = 0
    for seed in range(12):
        bad = put(store, f"bad-{seed}.parquet", compression, overwritten(seed))
        try:
            read(store, [sound, bad], "id % 2 < 5 AND length(city) > 0")
        except LakefmtError as error:
            assert isinstance(error, CorruptTableError)  # noqa: PT017 - damage may also hit values alone
            assert error.path == bad.key  # noqa: PT017
            reported += 1
    assert reported


def test_text_that_is_not_utf8_is_reported_as_damage_of_its_file(store: Store) -> None:
    def damage(data: bytearray) -> None:
        at = data.index(b"city-17-")
        data[at : at + 4] = b"\xff\xfe\xff\xfe"

    tasks = [put(store, "sound.parquet", "none"), put(store, "bad.parquet", "none", damage)]
    with pytest.raises(CorruptTableError) as caught:
        read(store, tasks, "id % 2 < 5 AND length(city) > 0")
    assert caught.value.path == "bad.parquet"


def test_a_predicate_that_fails_on_a_value_of_sound_files_is_still_blamed(store: Store) -> None:
    tasks = [put(store, "a.parquet", "snappy"), put(store, "b.parquet", "snappy")]
    with pytest.raises(InvalidInputError, match="predicate fails on a value"):
        read(store, tasks, "CAST(city AS INTEGER) = 1")


def test_column_name_that_is_no_text_is_a_typed_error(store: Store) -> None:
    def damage(data: bytearray) -> None:
        at = data.rindex(b"PAR1")
        while (at := data.rfind(b"city", 0, at)) >= 0:
            data[at : at + 1] = b"\x80"

    task = put(store, "a.parquet", "none", damage)
    with pytest.raises(CorruptTableError, match=r"a\.parquet"):
        load_footer(store, task.key, task.size_bytes)
