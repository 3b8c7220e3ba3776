"""Row tracking: ids are given once, whoever wins; files that only change their vector keep theirs."""

from __future__ import annotations

import uuid
from dataclasses import replace

import orjson
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.log import AddFile, Commit, DomainMetadata, Protocol, RemoveFile
from lakefmt.log.commit_file import decode_commit
from lakefmt.log.paths import commit_key
from lakefmt.log.row_tracking import RowTracking
from lakefmt.snapshot import load_snapshot
from lakefmt.store import open_store
from lakefmt.txn import SYSTEM, Changes, Writer
from lakefmt.txn.attempt import complete
from lakefmt.txn.commit import commit
from lakefmt.txn.operations.append import append
from lakefmt.txn.row_ids import number_rows
from lakefmt.txn.transaction import Transaction

ROWS = pa.table({"id": [1, 2, 3]})
ON = {"delta.enableRowTracking": True}
DOMAIN = "delta.rowTracking"
COLUMNS = [f"delta.rowTracking.materializedRow{name}ColumnName" for name in ("Id", "CommitVersion")]


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}/t")


@pytest.fixture
def table(store):
    return lakefmt.create(store.uri, ROWS.schema, properties=ON)


def commit_of(store, version):
    data = store.read(commit_key(version))
    return decode_commit(data, table=store.uri, version=version, path="")


def ids(commit):
    return [(add.base_row_id, add.default_row_commit_version) for add in commit.adds]


def mark(snapshot):
    return orjson.loads(snapshot.domains[DOMAIN].configuration)["rowIdHighWaterMark"]


def test_ids_are_given_once_whoever_wins(store, table):
    stale = load_snapshot(store)
    for _ in range(3):
        table.append(ROWS)
    append(Writer(store), stale, ROWS.slice(0, 2))
    table.refresh().append(ROWS)
    assert [ids(commit_of(store, version)) for version in range(1, 6)] == [
        [(0, 1)],
        [(3, 2)],
        [(6, 3)],
        [(9, 4)],
        [(11, 5)],
    ]
    assert mark(load_snapshot(store)) == 13


def test_a_new_table_says_where_ids_of_moved_rows_are_kept(table):
    protocol, properties = table.snapshot.protocol, table.properties
    assert {"rowTracking", "domainMetadata"} <= protocol.writer_features
    names = [value for name, value in properties.items() if name.startswith("delta.rowTracking.materialized")]
    assert len(set(names)) == 2
    assert not set(names) & set(table.schema.names)


def test_an_overwrite_removes_files_with_their_ids_and_gives_new_ones(store, table):
    table.append(ROWS)
    table.overwrite(ROWS)
    commit = commit_of(store, 2)
    assert [(each.base_row_id, each.default_row_commit_version) for each in commit.removes] == [(0, 1)]
    assert ids(commit) == [(3, 2)]


def test_a_file_whose_rows_are_deleted_keeps_its_ids(store, table):
    table.append(ROWS)
    path = table.snapshot.files.table["path"][0].as_py()
    deletion = Transaction(Writer(store), table.snapshot, "DELETE")
    deletion.stage_delete({path: [1]})
    other = Transaction(Writer(store), table.snapshot, "DELETE")
    other.stage_delete({path: [2]})
    table.append(ROWS)
    deletion.commit()
    after = other.commit()
    for version in (3, 4):
        assert ids(commit_of(store, version)) == [(0, 1)]
        removed = commit_of(store, version).removes[0]
        assert (removed.base_row_id, removed.default_row_commit_version) == (0, 1)
        assert commit_of(store, version).domains == ()
    assert mark(after) == 5
    assert lakefmt.open(store.uri).count() == 4


def test_ids_survive_a_checkpoint(tmp_path):
    import deltalake

    table = lakefmt.create(
        tmp_path / "t", ROWS.schema, properties=ON | {"delta.enableDeletionVectors": False}
    )
    table.append(ROWS)
    try:
        deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    except Exception as error:  # noqa: BLE001 - whether it writes such checkpoints is its business
        pytest.skip(f"delta-rs: {error}")
    opened = lakefmt.open(tmp_path / "t")
    opened.append(ROWS)
    assert ids(commit_of(opened._store, 2)) == [(3, 2)]


def with_feature(store, *features, **properties):
    """A table of another engine: it lists the features, and its properties are these."""
    lakefmt.create(store.uri, ROWS.schema)
    base = load_snapshot(store)
    names = frozenset({"domainMetadata", *features}) | (base.protocol.writer_features or frozenset())
    protocol = Protocol(base.protocol.min_reader_version, 7, base.protocol.reader_features, names)
    configuration = {**base.metadata.configuration, **properties}
    changes = Changes(
        "SET TBLPROPERTIES", protocol=protocol, metadata=replace(base.metadata, configuration=configuration)
    )
    return commit(Writer(store), base, changes)


def test_ids_are_given_as_soon_as_row_tracking_is_listed(store):
    with_feature(store, "rowTracking")
    lakefmt.open(store.uri).append(ROWS)
    assert ids(commit_of(store, 2)) == [(0, 2)]


def test_row_tracking_is_switched_on_once_all_files_have_ids_and_not_before(store):
    lakefmt.create(store.uri, ROWS.schema).append(ROWS)
    base = load_snapshot(store)
    features = base.protocol.writer_features | {"rowTracking", "domainMetadata"}
    protocol = replace(base.protocol, writer_features=features)
    names = dict(zip(COLUMNS, ("kept ids", "kept versions"), strict=True))
    configuration = {**base.metadata.configuration, **names, "delta.enableRowTracking": "true"}
    enabled = Changes("SET", protocol=protocol, metadata=replace(base.metadata, configuration=configuration))
    with pytest.raises(InvalidInputError, match="have no ids"):
        commit(Writer(store), base, enabled)
    after = commit(Writer(store), base, replace(enabled, adds=tuple(base.files.to_adds(data_change=False))))
    rows = lakefmt.open(store.uri).scan(columns=["id", "_row_id", "_row_commit_version"]).to_arrow()
    assert rows.to_pydict() == {"id": [1, 2, 3], "_row_id": [0, 1, 2], "_row_commit_version": [2, 2, 2]}
    assert after.row_tracking.row_id_column == "kept ids"


def test_no_ids_while_suspended(store):
    with_feature(store, "rowTracking", **{"delta.rowTrackingSuspended": "true"})
    lakefmt.open(store.uri).append(ROWS)
    assert ids(commit_of(store, 2)) == [(None, None)]


def test_no_ids_without_the_feature(store):
    lakefmt.create(store.uri, ROWS.schema).append(ROWS)
    assert ids(commit_of(store, 1)) == [(None, None)]


def numbered(snapshot, **commit):
    return number_rows(Commit(**commit), snapshot, snapshot.protocol, snapshot.metadata)


def test_what_cannot_be_numbered_is_refused(store, table):
    snapshot = table.snapshot
    with pytest.raises(InvalidInputError, match="numRecords"):
        numbered(snapshot, adds=(AddFile("a", {}, 1, 1),))
    with pytest.raises(InvalidInputError, match="kept by writers themselves"):
        numbered(snapshot, domains=(DomainMetadata(DOMAIN, "{}"),))
    moved = AddFile("b", {}, 1, 1, data_change=False, stats='{"numRecords":3}')
    with pytest.raises(UnsupportedFeatureError, match="move"):
        numbered(snapshot, adds=(moved,), removes=(RemoveFile("a", 1, data_change=False),))


NO_MARKS = [
    "",
    "{}",
    "[]",
    *(f'{{"rowIdHighWaterMark":{text}}}' for text in ('"7"', "-5", "9223372036854775807")),
]


@pytest.mark.parametrize("text", NO_MARKS)
def test_a_mark_that_makes_no_sense_is_a_corrupt_table(store, text):
    with_feature(store, "rowTracking")
    base = load_snapshot(store)
    base.state.domains[DOMAIN] = DomainMetadata(DOMAIN, text)
    changes = Changes("WRITE", adds=(AddFile("a", {}, 1, 1, stats='{"numRecords":3}'),))
    with pytest.raises(CorruptTableError, match=DOMAIN):
        complete(changes, base, SYSTEM.now_ms(), "id")


def test_ids_are_not_given_again_where_the_log_does_not_say_how_many_were(store, table):
    table.append(ROWS)
    base = load_snapshot(store)
    del base.state.domains[DOMAIN]
    changes = Changes("WRITE", adds=(AddFile("a", {}, 1, 1, stats='{"numRecords":3}'),))
    with pytest.raises(CorruptTableError, match=f"no domain {DOMAIN}"):
        complete(changes, base, SYSTEM.now_ms(), "id")


@pytest.mark.parametrize("names", [("", "kept versions"), ("kept", "Kept")])
def test_ids_that_have_no_column_of_their_own_are_a_corrupt_table(store, names):
    snapshot = with_feature(
        store,
        "rowTracking",
        **dict(zip(COLUMNS, ("kept ids", "kept versions"), strict=True)),
        **{"delta.enableRowTracking": "true"},
    )
    configuration = {**snapshot.metadata.configuration, **dict(zip(COLUMNS, names, strict=True))}
    contradicting = replace(snapshot.metadata, configuration=configuration)
    assert RowTracking.of(snapshot.protocol, snapshot.metadata, table="t", version=1) is not None
    with pytest.raises(CorruptTableError, match="in one column"):
        RowTracking.of(snapshot.protocol, contradicting, table="t", version=1)


def test_ids_of_moved_rows_are_never_taken_from_a_column_of_the_table(store):
    names = dict(zip(COLUMNS, ("kept ids", "ID"), strict=True))
    snapshot = with_feature(store, "rowTracking", **names, **{"delta.enableRowTracking": "true"})
    with pytest.raises(CorruptTableError, match="the column 'ID' of the table"):
        _ = snapshot.row_tracking
    with pytest.raises(CorruptTableError, match="the column 'ID' of the table"):
        lakefmt.open(store.uri).scan(columns=["_row_id"])


@pytest.mark.parametrize("columns", [["z"], [["z"]]])
def test_files_of_a_clustered_table_have_statistics_of_its_clustering_columns(store, columns):
    schema = pa.schema([(f"c{number}", pa.int64()) for number in range(40)] + [("z", pa.int64())])
    lakefmt.create(store.uri, schema)
    base = load_snapshot(store)
    features = frozenset({"clustering", "domainMetadata"}) | base.protocol.writer_features
    protocol = replace(base.protocol, writer_features=features)
    domain = DomainMetadata("delta.clustering", orjson.dumps({"clusteringColumns": columns}).decode())
    commit(Writer(store), base, Changes("CLUSTER BY", protocol=protocol, domains=(domain,)))
    lakefmt.open(store.uri).append(pa.table([[number] for number in range(41)], schema=schema))
    added = commit_of(store, 2).adds[0]
    statistics = orjson.loads(added.stats)
    assert statistics["maxValues"]["z"] == 40
    assert "c39" not in statistics["maxValues"]
    assert added.clustering_provider is None
