"""What is replayed from any checkpoint that lakefmt writes equals what is replayed from the commits.

Files with all that is said of them, tombstones, transactions and domains; from checkpoints of checkpoints, by handles
that have followed all along and by new ones, with sidecars of a few files so that all of their rules come to work.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakefmt.manifest.checkpoint import live_adds, row_order, sidecars
from lakefmt.manifest.checkpoint.live_adds import tombstones
from lakefmt.manifest.checkpoint.write import CheckpointKind
from lakefmt.snapshot import advance_snapshot, load_snapshot
from lakefmt.snapshot.checkpoint import checkpoint_snapshot
from lakefmt.store.local import LocalStore

FEATURES = ["deletionVectors", "v2Checkpoint"]
PROTOCOL = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": FEATURES,
    "writerFeatures": FEATURES,
}
COLUMNS = {
    "part": "string",
    "n": "long",
    "x": "double",
    "at": "timestamp",
    "amount": "decimal(18,2)",
    "text": "string",
    "raw": "binary",
}
NEVER_MS = 0

NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)
VALUES = {
    "n": NUMBERS,
    "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "at": st.none() | st.sampled_from(["2026-01-01T00:00:00.123Z", "1969-12-31T23:59:59.999Z", "nonsense"]),
    "amount": st.none() | st.integers(-(10**12), 10**12).map(lambda cents: cents / 100),
    "text": st.none() | st.text(max_size=40),
}
BOUNDS = st.fixed_dictionaries({}, optional=VALUES)
STATISTICS = st.one_of(
    st.none(),
    st.sampled_from(["{", "5", "null", "", '{"numRecords":"many"}', '{"numRecords":3,"minValues":[]}']),
    st.fixed_dictionaries(
        {"numRecords": st.integers(0, 9)},
        optional={
            "minValues": BOUNDS,
            "maxValues": BOUNDS,
            "nullCount": st.dictionaries(st.sampled_from([*COLUMNS]), st.integers(0, 9), max_size=3),
            "tightBounds": st.booleans(),
        },
    ).map(json.dumps),
)
PATHS = st.sampled_from([f"f{number}" for number in range(9)] + ["a%20b", "d=x/f"])
VECTORS = st.sampled_from([None, "u1", "u2"])
ADDS = st.tuples(PATHS, VECTORS, st.sampled_from(["a", "b", "", None, "é"]), STATISTICS, st.integers(0, 3))
TEXTS = st.sampled_from("xyz")
COMMITS = st.tuples(
    st.lists(ADDS, max_size=4, unique_by=lambda add: add[0]),
    st.lists(PATHS, max_size=2, unique=True),
    st.lists(st.tuples(TEXTS, st.integers(0, 9)), max_size=2, unique_by=lambda txn: txn[0]),
    st.lists(st.tuples(TEXTS, st.booleans()), max_size=1),
    st.sampled_from([None, None, *CheckpointKind]),  # a checkpoint follows
    st.booleans(),  # by a handle that followed
)
FLAG = st.sampled_from(["true", "false"])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    [
        ([("f0", None, "a", None, 0)], [], [], [], CheckpointKind.V2, True),
        ([("f0", "u1", "a", None, 0)], ["f0"], [], [], CheckpointKind.V2, True),
        ([("f0", None, "b", None, 1)], ["f0"], [], [], CheckpointKind.V2, False),
    ],
    "true",
    "true",
)
@given(st.lists(COMMITS, min_size=1, max_size=10), FLAG, FLAG)
def test_every_checkpoint_stands_for_the_commits(few_files, commits, as_json, as_struct):
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "_delta_log"
        log.mkdir()
        store = LocalStore(folder, fsync=False)
        write_commit(log, 0, [{"protocol": PROTOCOL}, {"metaData": metadata(as_json, as_struct)}])
        following, live = load_snapshot(store), {}
        ids = map(str, map(UUID, map("{:032x}".format, itertools.count(1))))
        written = 0
        for version, commit in enumerate(commits, 1):
            *_, kind, follows = commit
            write_commit(log, version, list(actions(live, commit, version)))
            following = advance_snapshot(store, following)
            if kind is not None:
                snapshot = following if follows else load_snapshot(store)
                checkpoint_snapshot(store, snapshot, now_ms=NEVER_MS, new_id=lambda: next(ids), kind=kind)
                written = version
        expected = state(from_commits(folder, written), typed=as_struct, texts=as_json)
        for number in range(written):
            (log / f"{number:020}.json").unlink()
        found = load_snapshot(store, version=written)
        assert found.checkpoint_version == (written or -1)
        assert state(found, typed=as_struct, texts=as_json) == expected
        last = len(commits)
        if last > written:
            assert (
                state(following, typed=as_struct, texts=as_json)[0]
                == state(load_snapshot(store), typed=as_struct, texts=as_json)[0]
            )


@pytest.fixture
def few_files(monkeypatch):
    monkeypatch.setattr(sidecars, "SIDECAR_FILES", 3)
    monkeypatch.setattr(live_adds, "_BATCH_ROWS", 2)
    monkeypatch.setattr(row_order, "_HELD_ROWS", 5)


def write_commit(log, version, rows):
    (log / f"{version:020}.json").write_text(
        "\n".join(map(json.dumps, [{"commitInfo": {"operation": "W"}}, *rows]))
    )


def metadata(as_json, as_struct):
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in COLUMNS.items()
    ]
    return {
        "id": "t",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": ["part"],
        "configuration": {
            "delta.checkpoint.writeStatsAsJson": as_json,
            "delta.checkpoint.writeStatsAsStruct": as_struct,
        },
    }


def actions(live, commit, version):
    """The actions of a legal commit: a file that is added with another vector is removed with the one it had."""
    adds, removes, txns, domains, *_ = commit
    for path in {*removes, *(add[0] for add in adds)} & {*live}:
        yield {
            "remove": {"path": path, "deletionTimestamp": version + 10**12, "dataChange": True}
            | live.pop(path)
        }
    for path, vector, part, stats, more in adds:
        descriptor = {} if vector is None else {"deletionVector": descriptor_of(vector)}
        live[path] = descriptor
        extra = [
            {},
            {"tags": {"lakefmt.floatBounds": "nan-free", "k": None}},
            {"baseRowId": version, "defaultRowCommitVersion": version},
            {"clusteringProvider": "liquid", "tags": {}},
        ][more]
        known = {} if stats is None else {"stats": stats}
        yield {
            "add": {
                "path": path,
                "partitionValues": {"part": part},
                "size": version,
                "modificationTime": version,
                "dataChange": True,
            }
            | descriptor
            | known
            | extra
        }
    yield from ({"txn": {"appId": app, "version": number, "lastUpdated": version}} for app, number in txns)
    for name, removed in domains:
        yield {"domainMetadata": {"domain": name, "configuration": str(version), "removed": removed}}


def descriptor_of(vector):
    kind, number = vector
    offset = {} if number == "1" else {"offset": 4}
    return {
        "storageType": kind,
        "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
        "sizeInBytes": 40,
        "cardinality": 2,
    } | offset


def from_commits(folder, version):
    """The version replayed from its commits alone."""
    with tempfile.TemporaryDirectory() as other:
        log = Path(other) / "_delta_log"
        log.mkdir()
        for commit in range(version + 1):
            name = f"{commit:020}.json"
            (log / name).write_bytes((Path(folder) / "_delta_log" / name).read_bytes())
        snapshot = load_snapshot(LocalStore(other, fsync=False))
        assert snapshot.counted_files is not None
        return snapshot


def state(snapshot, *, typed, texts):
    """All that a checkpoint keeps of a version; bounds only if it keeps statistics typed alone."""
    files = snapshot.counted_files
    known = typed == "true" or texts == "true"
    rows = []
    for row, count in zip(files.table.to_pylist(), files.num_records().to_pylist(), strict=True):
        row |= {"tags": sorted(row["tags"] or [], key=repr), "num_records": count if known else None}
        del row["stats"]
        row["partition_values"] = {"part": row["partition_values"]["part"]}
        rows.append(row)
    removed = tombstones(snapshot.checkpoint_content(), NEVER_MS - 1).table
    return (
        sorted(rows, key=repr),
        sorted(removed.to_pylist(), key=repr),
        dict(snapshot.transactions),
        dict(snapshot.domains),
        snapshot.protocol,
        snapshot.metadata,
    )


@settings(deadline=None)
@given(st.lists(STATISTICS, min_size=1, max_size=8))
@example(['{"numRecords":1,"minValues":{"amount":0.29},"maxValues":{"amount":0.29}}'])
def test_typed_statistics_bound_what_the_texts_bound(texts):
    from lakefmt.manifest.statistics import StatisticsReader
    from lakefmt.manifest.typed_statistics import TypedStatistics, format_statistics
    from lakefmt.schema import Schema

    schema = Schema.from_arrow(COLUMNS)
    typed = TypedStatistics(schema, ["part"], {}, with_vectors=True)
    parsed = typed.parse(pa.array(texts, pa.string()))
    parsed.validate(full=True)
    before = StatisticsReader(pa.array(texts, pa.string()), schema)
    after = StatisticsReader(format_statistics(parsed), schema)
    for name in COLUMNS:
        old, new = before.bounds((name,)), after.bounds((name,))
        for wide, narrow, sign in ((new.minimum, old.minimum, -1), (new.maximum, old.maximum, 1)):
            for outer, inner in zip(wide.to_pylist(), narrow.to_pylist(), strict=True):
                # What is known of less is known of nothing; what is known of more bounds as much.
                assert outer is None or inner is None or (outer > inner) - (outer < inner) in (0, sign)
