"""Replay of random histories, over any choice of checkpoints, log compactions and commits, equals a simple model."""

import json
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakefmt.snapshot import advance_snapshot, load_snapshot
from lakefmt.store import open_store

PROTOCOL = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"]}
PROTOCOL["writerFeatures"] = ["deletionVectors", "domainMetadata"]
SCHEMA = '{"type":"struct","fields":[{"name":"x","type":"long","nullable":true,"metadata":{}}]}'

VECTOR = pa.struct(
    [
        ("storageType", pa.string()),
        ("pathOrInlineDv", pa.string()),
        ("offset", pa.int32()),
        ("sizeInBytes", pa.int32()),
        ("cardinality", pa.int64()),
    ]
)
TEXTS = pa.map_(pa.string(), pa.string())
CHECKPOINT = pa.schema(
    [
        (
            "protocol",
            pa.struct(
                [
                    ("minReaderVersion", pa.int32()),
                    ("minWriterVersion", pa.int32()),
                    ("readerFeatures", pa.list_(pa.string())),
                    ("writerFeatures", pa.list_(pa.string())),
                ]
            ),
        ),
        (
            "metaData",
            pa.struct(
                [
                    ("id", pa.string()),
                    ("schemaString", pa.string()),
                    ("partitionColumns", pa.list_(pa.string())),
                    ("configuration", TEXTS),
                ]
            ),
        ),
        ("txn", pa.struct([("appId", pa.string()), ("version", pa.int64())])),
        (
            "domainMetadata",
            pa.struct([("domain", pa.string()), ("configuration", pa.string()), ("removed", pa.bool_())]),
        ),
        (
            "add",
            pa.struct(
                [
                    ("path", pa.string()),
                    ("partitionValues", TEXTS),
                    ("size", pa.int64()),
                    ("modificationTime", pa.int64()),
                    ("dataChange", pa.bool_()),
                    ("deletionVector", VECTOR),
                ]
            ),
        ),
        ("remove", pa.struct([("path", pa.string()), ("deletionVector", VECTOR)])),
    ]
)


class Model:
    """The state of a table as the protocol's text has it: dictionaries by primary key."""

    def __init__(self):
        self.id = None
        self.files, self.tombstones, self.txns, self.domains = {}, {}, {}, {}

    def apply(self, actions):
        for action in sorted(actions, key=lambda a: "add" in a):
            ((kind, value),) = action.items()
            match kind:
                case "metaData":
                    self.id = value["id"]
                case "add":
                    self.files[key(value)] = value
                    self.tombstones.pop(key(value), None)
                case "remove":
                    self.files.pop(key(value), None)
                    self.tombstones[key(value)] = value
                case "txn":
                    self.txns[value["appId"]] = value
                case "domainMetadata":
                    self.domains[value["domain"]] = value

    def actions(self, *, tombstones_of_domains):
        """The state as actions: of a checkpoint, or of a log compaction, which keeps removed domains."""
        if self.id is not None:
            yield {"metaData": metadata(self.id)}
        for kind, values in (("txn", self.txns), ("add", self.files), ("remove", self.tombstones)):
            yield from ({kind: value} for value in values.values())
        for value in self.domains.values():
            if tombstones_of_domains or not value["removed"]:
                yield {"domainMetadata": value}

    def state(self):
        return (
            self.id,
            sorted((path, vector, value["size"]) for (path, vector), value in self.files.items()),
            {app: value["version"] for app, value in self.txns.items()},
            {name: v["configuration"] for name, v in self.domains.items() if not v["removed"]},
        )


def key(value):
    vector = value.get("deletionVector")
    return value["path"], "" if vector is None else vector["pathOrInlineDv"]


def state_of(snapshot):
    rows = snapshot.files.table.select(["path", "size_bytes", "deletion_vector"]).to_pylist()
    return (
        snapshot.metadata.id,
        sorted(
            (
                r["path"],
                "" if r["deletion_vector"] is None else r["deletion_vector"]["path_or_inline"],
                r["size_bytes"],
            )
            for r in rows
        ),
        {app: txn.version for app, txn in snapshot.transactions.items()},
        {name: domain.configuration for name, domain in snapshot.domains.items()},
    )


def metadata(name):
    return {"id": name, "schemaString": SCHEMA, "partitionColumns": [], "configuration": {}}


def vector(name):
    if name is None:
        return None
    return {
        "storageType": "i",
        "pathOrInlineDv": name,
        "offset": None,
        "sizeInBytes": 1,
        "cardinality": 1,
    }


def file_actions(path, live, wanted, gone, size):
    """What one commit does to one path: make ``wanted`` of it, and remove what may not even be there.

    As the protocol asks, a file that goes from one vector to another is removed under the first.
    """
    removed = {vector_name for vector_name in (live, gone) if vector_name not in ("none", wanted)}
    actions = [{"remove": {"path": path, "deletionVector": vector(name or None)}} for name in sorted(removed)]
    if wanted != "none":
        actions.append(
            {
                "add": {
                    "path": path,
                    "partitionValues": {},
                    "size": size,
                    "modificationTime": 1,
                    "dataChange": True,
                    "deletionVector": vector(wanted or None),
                }
            }
        )
    return actions


FILES = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(
        st.sampled_from(["none", "", "v", "w"]), st.sampled_from(["none", "", "v", "w"]), st.integers(1, 99)
    ),
    max_size=3,
)
COMMITS = st.lists(
    st.tuples(
        FILES,
        st.dictionaries(st.sampled_from("pq"), st.integers(0, 9), max_size=1),
        st.dictionaries(st.sampled_from("de"), st.booleans(), max_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=9,
)
RANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=4)
CHECKPOINTS = st.dictionaries(st.integers(0, 9), st.integers(1, 3), max_size=3)


def write_json(path, actions):
    # A log compaction may come to nothing at all; a line that says nothing keeps it a file of actions.
    path.write_text("\n".join(json.dumps(a) for a in [*actions, {"later": {}}]))


def write_checkpoint(log, version, actions, parts):
    rows = [{"protocol": PROTOCOL}, *actions]
    for row in rows:
        for kind in ("metaData", "add"):
            for name in ("configuration", "partitionValues"):
                if name in row.get(kind, {}):
                    row[kind] = row[kind] | {name: list(row[kind][name].items())}
    for part in range(parts):
        name = ".checkpoint.parquet" if parts == 1 else f".checkpoint.{part + 1:010d}.{parts:010d}.parquet"
        table = pa.Table.from_pylist(rows[part::parts], schema=CHECKPOINT)
        pq.write_table(table, log / f"{version:020d}{name}")


@settings(max_examples=40, deadline=None)
@given(COMMITS, RANGES, CHECKPOINTS)
@example([({"a": ("", "none", 1)}, {}, {"d": False}, False)] * 2, [(0, 1)], {0: 2})
@example(
    [
        ({"a": ("v", "none", 1)}, {}, {"d": False}, False),
        ({"a": ("w", "", 2)}, {"p": 1}, {"d": True}, False),
        ({"a": ("none", "none", 3)}, {}, {}, True),
    ],
    [(1, 2)],
    {0: 1},
)
def test_replay_over_any_checkpoints_and_compactions_equals_the_model(history, ranges, checkpoints):
    commits = []
    live = dict.fromkeys("abcd", "none")
    for version, (files, txns, domains, renamed) in enumerate(history):
        actions = [{"protocol": PROTOCOL}] if version == 0 else []
        if version == 0 or renamed:
            actions.append({"metaData": metadata(f"m{version}")})
        for path, change in files.items():
            actions += file_actions(path, live[path], *change)
            live[path] = change[0]
        actions += [{"txn": {"appId": app, "version": v}} for app, v in txns.items()]
        actions += [
            {"domainMetadata": {"domain": name, "configuration": str(version), "removed": removed}}
            for name, removed in domains.items()
        ]
        commits.append(actions)
    last = len(commits) - 1

    def replay(first, end):
        model = Model()
        for actions in commits[first : end + 1]:
            model.apply([a for a in actions if "protocol" not in a])
        return model

    folder = Path(tempfile.mkdtemp())
    try:
        log = folder / "_delta_log"
        log.mkdir()
        for version, actions in enumerate(commits):
            write_json(log / f"{version:020d}.json", actions)
        for first, length in ranges:
            end = min(first + length, last)
            if first < end:
                actions = list(replay(first, end).actions(tombstones_of_domains=True))
                actions += [{"protocol": PROTOCOL}] if first == 0 else []
                write_json(log / f"{first:020d}.{end:020d}.compacted.json", actions)
        for version, parts in checkpoints.items():
            if version <= last:
                actions = replay(0, version).actions(tombstones_of_domains=False)
                write_checkpoint(log, version, list(actions), parts)
        store = open_store(folder)
        for version in range(last + 1):
            expected = replay(0, version).state()
            assert state_of(load_snapshot(store, version)) == expected
            assert state_of(advance_snapshot(store, load_snapshot(store, version))) == replay(0, last).state()
    finally:
        shutil.rmtree(folder)
