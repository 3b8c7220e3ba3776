"""Logs of tables that were never written: a million data files that exist in the log only.

Planning reads no data file, so none is there. DuckDB makes the columns of the files, the same on every machine; they are
written as commits, as delta-rs's checkpoint of those, or as lakefmt's.

The files are those of trips (see ``generated_data``), a thousand a day: ``id`` and ``started_at`` grow with the files and a
file holds 1,000 of each; ``city``, ``fare``, ``distance`` and ``zone`` are without order, so their bounds leave nothing out.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from benchmarks.generated_data import trip_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "FILES_PER_DAY",
    "ROWS_PER_FILE",
    "write_linked_files",
    "write_many_commits",
    "write_next_commit",
    "write_replacement",
    "write_trip_file",
    "write_trips_log",
    "write_trips_log_with_typed_statistics",
    "write_wide_log",
]

FILES_PER_DAY = 1000
ROWS_PER_FILE = 1000

_COMMITS = 10
_FIRST_MS = 1_767_225_600_000  # 2026-01-01
_MS_PER_FILE = 86_400_000 // FILES_PER_DAY
_WIDE_COLUMNS = tuple(f"c{number:02}" for number in range(100))

_TRIP_TYPES = {
    "id": "long",
    "started_at": "timestamp",
    "city": "string",
    "fare": "double",
    "distance": "double",
    "zone": "integer",
}


def write_trips_log(path: Path, files: int) -> None:
    """Write a log whose only checkpoint is delta-rs's: one file, statistics as JSON text."""
    log = _create(path, _TRIP_TYPES, ["day"])
    _write_commits(log, _trip_files(0, files), files, commits=_COMMITS)
    _let_delta_rs_checkpoint(path)


def write_trips_log_with_typed_statistics(path: Path, files: int, policy: str = "classic") -> None:
    """Write the same log with lakefmt's own checkpoint, statistics both as text and typed, and nothing before it.

    Args:
        path: of the table.
        files: how many.
        policy: ``classic`` or ``v2``, which has the files in sidecars.
    """
    import lakefmt

    write_trips_log(path, files)
    log = path / "_delta_log"
    protocol, metadata = _first_actions(_TRIP_TYPES, ["day"])
    metadata["configuration"] = {
        "delta.checkpoint.writeStatsAsStruct": "true",
        "delta.checkpointPolicy": policy,
    }
    actions: list[dict[str, Any]] = [{"metaData": metadata}]
    if policy == "v2":
        features = ["v2Checkpoint"]
        protocol = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": features,
        }
        actions.append({"protocol": protocol})
    _write_commit(log, _COMMITS + 1, map(json.dumps, actions))
    table = lakefmt.open(path, storage_options={"fsync": False})
    table.checkpoint()
    table.close()
    (log / f"{_COMMITS:020}.checkpoint.parquet").unlink()
    _drop_commits_before(log, table.version)


def write_replacement(path: Path, version: int) -> None:
    """Add one file as ``version`` to a log of trips, and remove one that was there from the start."""
    (added,) = _add_lines(_trip_files(10_000_000 + version, 1), batch_rows=1)
    (first,) = _add_lines(_trip_files(version, 1), batch_rows=1)
    gone = json.loads(first[0])["add"]
    remove = {name: gone[name] for name in ("path", "partitionValues", "size")}
    remove |= {"deletionTimestamp": int(time.time() * 1000), "dataChange": True, "extendedFileMetadata": True}
    _write_commit(path / "_delta_log", version, [*added, json.dumps({"remove": remove})])


def write_wide_log(path: Path, files: int) -> None:
    """Write a log of ``files`` with JSON statistics on 100 columns, checkpointed by delta-rs; no partitions."""
    log = _create(path, dict.fromkeys(_WIDE_COLUMNS, "long"), [])
    _write_commits(log, _wide_files(files), files, commits=_COMMITS)
    _let_delta_rs_checkpoint(path)


def write_many_commits(path: Path, commits: int) -> None:
    """Write a log of ``commits`` versions after the table's creation, one file each, and no checkpoint."""
    log = _create(path, _TRIP_TYPES, ["day"])
    _write_commits(log, _trip_files(0, commits), commits, commits=commits)


def write_next_commit(path: Path, version: int) -> None:
    """Add one file as ``version`` to a log of trips."""
    (lines,) = _add_lines(_trip_files(10_000_000 + version, 1), batch_rows=1)
    _write_commit(path / "_delta_log", version, lines)


def write_trip_file(path: Path, file: int) -> None:
    """Write the data file that the log of trips has as its ``file``-th, with the rows that its bounds are of."""
    import pyarrow.parquet as pq

    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT path FROM ({_trip_files(file, 1)})").fetchone()
    assert found is not None
    target = path / found[0]
    target.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_batches(trip_batches(file * ROWS_PER_FILE, ROWS_PER_FILE)), target)


def write_linked_files(path: Path, files: int) -> None:
    """Write a table of ``files`` files that are all the same 1,000 trips: one file under many names."""
    import pyarrow.parquet as pq

    log = _create(path, _TRIP_TYPES, [])
    first = path / "part-00000.parquet"
    pq.write_table(pa.Table.from_batches(trip_batches(0, ROWS_PER_FILE)), first)
    names = [first.name, *(f"part-{number:05}.parquet" for number in range(1, files))]
    for name in names[1:]:
        (path / name).hardlink_to(first)
    add = {
        "partitionValues": {},
        "size": first.stat().st_size,
        "modificationTime": _FIRST_MS,
        "dataChange": True,
        "stats": json.dumps({"numRecords": ROWS_PER_FILE}),
    }
    _write_commit(log, 1, [json.dumps({"add": {"path": name, **add}}) for name in names])


def _create(path: Path, types: dict[str, str], partition_columns: Sequence[str]) -> Path:
    log = path / "_delta_log"
    log.mkdir(parents=True)
    protocol, metadata = _first_actions(types, partition_columns)
    _write_commit(log, 0, [json.dumps({"protocol": protocol}), json.dumps({"metaData": metadata})])
    return log


def _first_actions(
    types: dict[str, str], partition_columns: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    names = types | dict.fromkeys(partition_columns, "date")
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in names.items()]
    return (
        {"minReaderVersion": 1, "minWriterVersion": 2},
        {
            "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": list(partition_columns),
            "configuration": {},
            "createdTime": _FIRST_MS,
        },
    )


def _write_commits(log: Path, files_sql: str, files: int, *, commits: int) -> None:
    """Write the files in equal parts as versions 1 to ``commits``."""
    for version, lines in enumerate(_add_lines(files_sql, max(files // commits, 1)), start=1):
        _write_commit(log, version, lines)


def _write_commit(log: Path, version: int, lines: Iterable[str]) -> None:
    info = {"timestamp": _FIRST_MS + version * 60_000, "operation": "WRITE", "engineInfo": "synthetic"}
    text = "\n".join([json.dumps({"commitInfo": info}), *lines])
    (log / f"{version:020}.json").write_text(f"{text}\n")


def _add_lines(files_sql: str, batch_rows: int) -> Iterator[list[str]]:
    """Yield the files as the lines of ``add`` actions, ``batch_rows`` at a time."""
    line = """printf(
        '{"add":{"path":"%s","partitionValues":%s,"size":%d,"modificationTime":%d,"dataChange":true,"stats":%s}}',
        path, partition_json, size, modified_ms, to_json(stats)::VARCHAR)"""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.sql(f"SELECT {line} FROM ({files_sql})").to_arrow_table()
    lines = rows.column(0)
    for first in range(0, len(lines), batch_rows):
        yield lines.slice(first, batch_rows).to_pylist()


def _trip_files(first: int, files: int) -> str:
    """Return a query of ``files`` files of trips in order, numbered from ``first``: see ``_as_files`` for the columns."""
    bounds = f"""
        SELECT
            range AS file,
            DATE '2026-01-01' + (range // {FILES_PER_DAY})::INTEGER AS day,
            range * {ROWS_PER_FILE} AS id_min,
            id_min + {ROWS_PER_FILE - 1} AS id_max,
            make_timestamptz(({_FIRST_MS} + range * {_MS_PER_FILE}) * 1000) AS started_at_min,
            started_at_min + INTERVAL {_MS_PER_FILE - 1} MILLISECONDS AS started_at_max,
            printf('city %03d', (hash(range) % 20)::BIGINT) AS city_min,
            printf('city %03d', 980 + (hash(range + 1) % 20)::BIGINT) AS city_max,
            round((hash(range + 2) % 100) / 100, 2) AS fare_min,
            round(90 + (hash(range + 3) % 9000) / 100, 2) AS fare_max,
            (hash(range + 4) % 1_000_000) / 1e9 AS distance_min,
            1 - (hash(range + 5) % 1_000_000) / 1e9 AS distance_max,
            0::INTEGER AS zone_min,
            99::INTEGER AS zone_max,
        FROM range({first}, {first + files})"""
    return _as_files(bounds, _TRIP_TYPES, partition="day")


def _wide_files(files: int) -> str:
    """Return a query of ``files`` files of 100 columns; the first grows with the files, the others have no order."""
    columns = [
        f"{f'range * {ROWS_PER_FILE}' if number == 0 else f'(hash(range + {number}) % 10_000)::BIGINT'} AS {name}_min, "
        f"{name}_min + {ROWS_PER_FILE - 1} AS {name}_max"
        for number, name in enumerate(_WIDE_COLUMNS)
    ]
    bounds = f"SELECT range AS file, {', '.join(columns)} FROM range({files})"
    return _as_files(bounds, dict.fromkeys(_WIDE_COLUMNS, "long"), partition=None)


def _as_files(bounds: str, types: dict[str, str], *, partition: str | None) -> str:
    """Return a query of files: ``bounds`` and path, size, modified_ms, partition_json, stats (JSON text)."""
    folder = f"'{partition}=' || {partition} || '/'" if partition else "''"
    partition_json = f"""printf('{{"{partition}":"%s"}}', {partition}::VARCHAR)""" if partition else "'{}'"
    return f"""
        SELECT
            *,
            {folder} || printf('part-%05d-', file % 100_000) || md5(file::VARCHAR)::UUID || '-c000.parquet' AS path,
            30_000_000 + (hash(file) % 1_000_000)::BIGINT AS size,
            {_FIRST_MS} + file AS modified_ms,
            {partition_json} AS partition_json,
            to_json({_statistics(types, as_text=True)})::VARCHAR AS stats
        FROM ({bounds})"""


def _statistics(types: dict[str, str], *, as_text: bool) -> str:
    """Return the SQL of a file's statistics as a struct; timestamps as the text of "Per-file Statistics" or as they are."""

    def bound(name: str, side: str) -> str:
        value = f"{name}_{side}"
        if as_text and types[name] == "timestamp":
            value = f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        return f"{name} := {value}"

    return f"""struct_pack(
        numRecords := {ROWS_PER_FILE}::BIGINT,
        minValues := struct_pack({", ".join(bound(name, "min") for name in types)}),
        maxValues := struct_pack({", ".join(bound(name, "max") for name in types)}),
        nullCount := struct_pack({", ".join(f"{name} := 0::BIGINT" for name in types)}))"""


def _let_delta_rs_checkpoint(path: Path) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    table.create_checkpoint()
    _drop_commits_before(path / "_delta_log", table.version())


def _drop_commits_before(log: Path, version: int) -> None:
    """Delete the commits that the checkpoint of ``version`` stands for; its own stays, as clean-up leaves it."""
    for commit in log.glob("*.json"):
        if commit.stem.isdigit() and int(commit.stem) < version:
            commit.unlink()
