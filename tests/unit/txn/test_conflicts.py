"""The rules by which two commits can both stand, case by case; no store is involved.

What is expected is what the reference implementation does (``ConflictChecker.scala``, ``TransactionHelper.scala``),
unless a comment says why it is not: it judges files as wholes, and counts moved rows as new ones.
"""

from dataclasses import replace

import pytest

from lakefmt.expressions import ALL_ROWS, parse_predicate
from lakefmt.isolation import IsolationLevel
from lakefmt.log import (
    AddFile,
    Commit,
    CommitInfo,
    DeletionVectorDescriptor,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    TransactionId,
)
from lakefmt.manifest import FileList
from lakefmt.manifest.deletion_vectors import DeletedRows
from lakefmt.schema import Schema, format_schema
from lakefmt.snapshot import Snapshot
from lakefmt.snapshot.replay import TableState
from lakefmt.store import open_store
from lakefmt.txn import Changes, Conflict, Read, Rebase, VectorsNeeded, check_conflicts
from lakefmt.txn.conflicts import choose_isolation
from lakefmt.txn.row_changes import FileRows, Rewrite, RowDelete
from lakefmt.txn.row_map import RowsInOrder

SCHEMA = Schema.from_arrow({"id": "long", "part": "string"})
BLIND = CommitInfo(is_blind_append=True)
FEATURES = frozenset({"deletionVectors", "v2Checkpoint"})
METADATA = Metadata("id", format_schema(SCHEMA), ("part",), {"delta.appendOnly": "false"})
STATE = TableState(Protocol(3, 7, FEATURES, FEATURES), METADATA, {}, {})
NUM_ROWS = 10
IN_A = parse_predicate("part = 'a'", SCHEMA)
SERIALIZABLE, WRITE_SERIALIZABLE = IsolationLevel.SERIALIZABLE, IsolationLevel.WRITE_SERIALIZABLE


@pytest.fixture
def snapshot():
    store = open_store("memory://conflicts")
    return Snapshot(store, STATE, version=3, written_ms=0, base=None, commits=())


def vector(rows):
    """A descriptor that tells which rows it deletes, so that tests can say them again."""
    return DeletionVectorDescriptor("i", ",".join(map(str, rows)), 4, len(rows)) if rows else None


def rows_of(descriptor):
    return DeletedRows.of(map(int, descriptor.path_or_inline.split(",")))


def add(path, part, rows=(), *, data_change=True, low=None):
    bounds = "" if low is None else f', "minValues": {{"id": {low}}}, "maxValues": {{"id": {low + 9}}}'
    stats = f'{{"numRecords": {NUM_ROWS}{bounds}}}'
    return AddFile(
        path, {"part": part}, 1, 1, data_change=data_change, stats=stats, deletion_vector=vector(rows)
    )


def remove(path, rows=(), *, data_change=True):
    return RemoveFile(path, 1, data_change=data_change, deletion_vector=vector(rows))


def file_rows(path, part, rows=()):
    return FileRows(add(path, part, rows), NUM_ROWS, DeletedRows.of(rows))


def judge(ours, winners, snapshot, isolation=WRITE_SERIALIZABLE):
    """Judge, with whatever vectors are asked for."""
    vectors, found = {}, None
    while isinstance(found := check_conflicts(ours, winners, snapshot, isolation, vectors), VectorsNeeded):
        for file, num_rows in found.files:
            assert num_rows == NUM_ROWS
            assert (file.path, file.deletion_vector.unique_id) not in vectors
            vectors[file.path, file.deletion_vector.unique_id] = rows_of(file.deletion_vector)
    return found


OLD, OTHER = file_rows("old", "a"), file_rows("other", "a")
READ_FILES = FileList.from_adds([OLD.file, OTHER.file], ("part",))
WHOLE_TABLE = Read(ALL_ROWS, READ_FILES)


def rewrite(*, keeps_vectors):
    inputs = (OLD, OTHER)
    row_map = RowsInOrder(tuple((each.num_rows, each.deleted) for each in inputs), (15, 5))
    outputs = (
        FileRows(add("new-1", "a", data_change=False), 15, DeletedRows.none()),
        FileRows(add("new-2", "a", data_change=False), 5, DeletedRows.none()),
    )
    return Changes(
        "OPTIMIZE",
        adds=tuple(each.file for each in outputs),
        removes=(remove("old", data_change=False), remove("other", data_change=False)),
        rewrites=(Rewrite(inputs, outputs, row_map, keeps_vectors),),
    )


OURS = {
    "append": Changes("WRITE", adds=(add("mine", "a"),)),
    # INSERT INTO t SELECT ... FROM t
    "append what was read": Changes("WRITE", adds=(add("mine", "a"),), reads=(WHOLE_TABLE,)),
    "overwrite all": Changes("WRITE", (), {}, (add("mine", "a"),), (remove("old"),), (Read(ALL_ROWS),)),
    "overwrite part a": Changes("WRITE", (), {}, (add("mine", "a"),), (remove("old"),), (Read(IN_A),)),
    "delete id < 3": Changes(
        "DELETE",
        adds=(add("old", "a", (1, 2)),),
        removes=(remove("old"),),
        reads=(Read(parse_predicate("id < 3", SCHEMA)),),
        row_deletes=(RowDelete(OLD, DeletedRows.of((1, 2))),),
    ),
    "merge": Changes(
        "MERGE",
        adds=(add("old", "a", (1, 2)), add("mine", "a")),
        removes=(remove("old"),),
        reads=(WHOLE_TABLE,),
        row_deletes=(RowDelete(OLD, DeletedRows.of((1, 2))),),
    ),
    "compact": rewrite(keeps_vectors=True),
    "compact without vectors": rewrite(keeps_vectors=False),
    "set properties": Changes("SET TBLPROPERTIES", metadata=replace(METADATA, configuration={"x": "y"})),
}
THEIRS = {
    "blind append to a": Commit(info=BLIND, adds=(add("x", "a"),)),
    "blind append to b": Commit(info=BLIND, adds=(add("x", "b"),)),
    "append of ids from 100 to a": Commit(adds=(add("x", "a", low=100),)),
    "append to a": Commit(adds=(add("x", "a"),)),
    "append to b": Commit(adds=(add("x", "b"),)),
    "remove ours": Commit(removes=(remove("old"),)),
    "remove what we read": Commit(removes=(remove("other"),)),
    "remove another": Commit(removes=(remove("far"),)),
    "delete other rows of ours": Commit(adds=(add("old", "a", (7,)),), removes=(remove("old"),)),
    "delete our rows": Commit(adds=(add("old", "a", (2, 7)),), removes=(remove("old"),)),
    "compact ours": Commit(
        adds=(add("x", "a", data_change=False),), removes=(remove("old", data_change=False),)
    ),
    "compact another": Commit(
        adds=(add("x", "a", data_change=False),), removes=(remove("far", data_change=False),)
    ),
    "statistics of ours": Commit(adds=(replace(add("old", "a", low=0), data_change=False),)),
    "nothing": Commit(info=CommitInfo()),
}
KINDS = {".": None, "A": "added", "R": "removed", "O": "rows", "M": "rearranged", "d": "dropped"}
# For each of theirs, in order, under WriteSerializable and then under Serializable where that differs.
MATRIX = {
    # Reads nothing, removes nothing: "blind appends do not read the table".
    "append": (". . . . . . . . . . . . . .", None),
    # WriteSerializable lets blind appends be; whatever else was added or taken away, it should have read.
    # ("compact": the reference conflicts, whose rows were moved is not asked.)
    "append what was read": (". . A A A R R . R R . . . .", "A A A A A R R . R R . . . ."),
    "overwrite all": (". . A A A R . . R R M . . .", "A A A A A R . . R R M . . ."),
    "overwrite part a": (". . A A . R . . R R M . . .", "A . A A . R . . R R M . . ."),
    # Rows of statistics and partitions that cannot match are let be; so are other rows of the same file. (The
    # reference: ConcurrentAppendException for the former, ConcurrentDeleteDeleteException for the latter.)
    "delete id < 3": (". . . A A R . . . O M . . .", "A A . A A R . . . O M . . ."),
    "merge": (". . A A A R R . R R M . . .", "A A A A A R R . R R M . . ."),
    # Snapshot isolation: what was added is not looked at. What was taken away is carried over. (The reference: all
    # commits that remove a file which this one removes are in its way.)
    "compact": (". . . . . . . . . . . . . .", None),
    "compact without vectors": (". . . . . d d . d d d . . .", None),
    # Metadata and blind appends: "WriteSerializable if !metadataChanged".
    "set properties": (". . . . . . . . . . . . . .", None),
}
CASES = [
    pytest.param(ours, theirs, level, KINDS[kind], id=f"{ours} - {theirs} - {level.value}")
    for ours, (weaker, stricter) in MATRIX.items()
    for level, row in ((WRITE_SERIALIZABLE, weaker), (SERIALIZABLE, stricter or weaker))
    for theirs, kind in zip(THEIRS, row.split(), strict=True)
]


@pytest.mark.parametrize(("ours", "theirs", "level", "kind"), CASES)
def test_who_may_stand_beside_whom(snapshot, ours, theirs, level, kind):
    found = judge(OURS[ours], [(4, THEIRS[theirs])], snapshot, level)
    if kind in {None, "dropped"}:
        assert isinstance(found, Rebase)
        assert len(found.dropped) == (kind == "dropped")
    else:
        assert isinstance(found, Conflict)
        assert (found.kind, found.version) == (kind, 4)


def test_metadata_changes_read_what_is_appended_under_write_serializable(snapshot):
    ours = replace(OURS["set properties"], reads=(Read(ALL_ROWS),))
    assert judge(ours, [(4, THEIRS["blind append to a"])], snapshot).kind == "added"


@pytest.mark.parametrize(
    ("ours", "level"),
    [
        ("append", WRITE_SERIALIZABLE),
        ("delete id < 3", WRITE_SERIALIZABLE),
        ("compact", IsolationLevel.SNAPSHOT_ISOLATION),
        ("set properties", WRITE_SERIALIZABLE),
    ],
)
def test_only_commits_that_move_rows_are_judged_more_mildly(ours, level):
    assert choose_isolation(OURS[ours], WRITE_SERIALIZABLE) == level


def test_rows_that_were_read_are_followed_to_where_they_were_moved(snapshot):
    winners = [
        (4, Commit(adds=(add("far", "a"),), info=BLIND)),
        (5, Commit(adds=(add("x", "a", data_change=False),), removes=(remove("other", data_change=False),))),
        (6, Commit(adds=(add("y", "a", data_change=False),), removes=(remove("x", data_change=False),))),
        (7, Commit(removes=(remove("far"),))),
    ]
    rebased = judge(OURS["append what was read"], winners, snapshot)
    assert isinstance(rebased, Rebase)
    winners.append((8, Commit(adds=(add("y", "a", (1,)),), removes=(remove("y"),))))
    found = judge(OURS["append what was read"], winners, snapshot)
    assert (found.kind, found.version, found.path) == ("removed", 8, "y")
    assert judge(rebased.changes, winners[-1:], snapshot) == found  # in the next race, too


# --- rows ----------------------------------------------------------------------------------------------------------------


def test_a_delete_goes_on_from_the_winners_vector(snapshot):
    winners = [(4, THEIRS["delete other rows of ours"])]
    found = judge(OURS["delete id < 3"], winners, snapshot)
    assert found.moved
    assert found.changes.adds == found.changes.removes == ()
    (delete,) = found.changes.row_deletes
    assert delete.before.file == winners[0][1].adds[0]
    assert list(delete.after.deleted.bitmap) == [1, 2, 7]


def test_a_delete_that_nobody_touched_keeps_its_actions(snapshot):
    found = judge(OURS["delete id < 3"], [(4, THEIRS["compact another"])], snapshot)
    assert not found.moved
    assert found.changes is OURS["delete id < 3"]


def test_the_last_of_several_winners_counts(snapshot):
    winners = [
        (4, Commit(adds=(add("old", "a", (7,)),), removes=(remove("old"),))),
        (5, Commit(adds=(add("old", "a", (7, 9)),), removes=(remove("old", (7,)),))),
    ]
    found = judge(OURS["delete id < 3"], winners, snapshot)
    assert list(found.changes.row_deletes[0].after.deleted.bitmap) == [1, 2, 7, 9]


def test_rows_that_came_back_are_new_rows(snapshot):
    # RESTORE gives a file an older vector: a statement that read the file had not seen the rows.
    winner = Commit(adds=(add("far", "a", (1,)),), removes=(remove("far", (3, 4)),))
    assert judge(OURS["overwrite all"], [(4, winner)], snapshot).kind == "added"
    winner = Commit(adds=(add("far", "a"),), removes=(remove("far", (3, 4)),))
    assert judge(OURS["overwrite all"], [(4, winner)], snapshot).kind == "added"
    winner = Commit(adds=(add("far", "a", (3, 4, 5)),), removes=(remove("far", (3, 4)),))
    assert isinstance(judge(OURS["overwrite all"], [(4, winner)], snapshot), Rebase)


def test_compaction_carries_rows_that_were_deleted_meanwhile(snapshot):
    winners = [
        (4, Commit(adds=(add("old", "a", (7,)),), removes=(remove("old"),))),
        (5, Commit(adds=(add("other", "a", (0, 4, 5, 9)),), removes=(remove("other"),))),
    ]
    found = judge(OURS["compact"], winners, snapshot)
    (moved,) = found.changes.rewrites
    assert [list(each.deleted.bitmap) for each in moved.outputs] == [[7, 10, 14], [0, 4]]
    assert [each.file.deletion_vector for each in moved.inputs] == [
        w.adds[0].deletion_vector for _, w in winners
    ]
    assert not moved.gone


def test_compaction_goes_without_a_file_that_is_gone(snapshot):
    found = judge(OURS["compact"], [(4, Commit(removes=(remove("other"),)))], snapshot)
    (moved,) = found.changes.rewrites
    assert moved.gone == {"other"}
    assert [each.deleted.cardinality for each in moved.outputs] == [5, 5]
    both = Commit(removes=(remove("old"), remove("other")))
    assert judge(OURS["compact"], [(4, both)], snapshot).changes.is_empty


def test_compaction_is_given_up_where_rows_came_back(snapshot):
    winners = [
        (4, Commit(removes=(remove("other"),))),
        (5, Commit(adds=(add("other", "a"),))),
    ]
    assert len(judge(OURS["compact"], winners, snapshot).dropped) == 0  # it is as it was
    winners = [(4, Commit(adds=(add("old", "a"),), removes=(remove("old", (3,)),)))]
    inputs = (file_rows("old", "a", (3,)), OTHER)
    row_map = RowsInOrder(tuple((each.num_rows, each.deleted) for each in inputs), (19,))
    outputs = (FileRows(add("new", "a"), 19, DeletedRows.none()),)
    ours = Changes("OPTIMIZE", rewrites=(Rewrite(inputs, outputs, row_map, keeps_vectors=True),))
    assert len(judge(ours, winners, snapshot).dropped) == 1


# --- what is not rows ----------------------------------------------------------------------------------------------------


def with_properties(**properties):
    named = {f"delta.{name}": value for name, value in properties.items()}
    return Commit(metadata=replace(METADATA, configuration={**METADATA.configuration, **named}))


@pytest.mark.parametrize(
    ("winner", "kind"),
    [
        (Commit(metadata=replace(METADATA, schema_string="{}")), "metadata"),
        (Commit(metadata=replace(METADATA, partition_columns=())), "metadata"),
        (Commit(metadata=replace(METADATA, id="another table")), "metadata"),
        (Commit(metadata=replace(METADATA, configuration={})), "metadata"),
        (with_properties(appendOnly="true"), "metadata"),
        (with_properties(isolationLevel="Serializable"), "metadata"),
        # As the reference's metadataConfigurationChangeAllowList, if the feature is supported.
        (with_properties(enableDeletionVectors="true"), None),
        (with_properties(enableDeletionVectors="false"), "metadata"),
        (with_properties(checkpointPolicy="v2"), None),
        (with_properties(enableInCommitTimestamps="true"), "metadata"),
        # Not in the reference's list; nothing that a commit does follows them.
        (with_properties(checkpointInterval="5", logRetentionDuration="interval 1 day"), None),
        (Commit(metadata=replace(METADATA, name="a better name", description="told at last")), None),
        (Commit(protocol=STATE.protocol), None),
        # TableFeature.failConcurrentTransactionsAtUpgrade
        (Commit(protocol=Protocol(3, 7, FEATURES, FEATURES | {"domainMetadata"})), None),
        (Commit(protocol=Protocol(3, 7, FEATURES, FEATURES | {"domainMetadata", "rowTracking"})), None),
        (Commit(protocol=Protocol(3, 7, FEATURES, FEATURES | {"checkConstraints"})), "protocol"),
        (Commit(protocol=Protocol(3, 7, FEATURES, FEATURES | {"somethingNew"})), "protocol"),
        # TableFeature.isProtocolRemovingFeatures
        (Commit(protocol=Protocol(3, 7, frozenset(), frozenset())), "protocol"),
    ],
)
def test_metadata_and_protocol(snapshot, winner, kind):
    found = judge(OURS["append"], [(4, winner)], snapshot)
    assert getattr(found, "kind", None) == kind
    if winner.metadata is not None:
        assert judge(OURS["set properties"], [(4, winner)], snapshot).kind == "metadata"
    else:
        ours = replace(OURS["append"], protocol=STATE.protocol)
        assert judge(ours, [(4, winner)], snapshot).kind == "protocol"


def test_every_winner_is_judged_by_the_table_before_it(snapshot):
    winners = [(4, Commit(metadata=replace(METADATA, name="b"))), (5, with_properties(appendOnly="true"))]
    assert judge(OURS["append"], winners, snapshot).version == 5


@pytest.mark.parametrize(
    ("winner", "kind"),
    [
        (TransactionId("job", 2), "transaction"),
        (TransactionId("job", 3), "transaction"),
        # The reference conflicts with whoever records progress of the same application.
        (TransactionId("job", 1), None),
        (TransactionId("another", 2), None),
    ],
)
def test_progress_of_the_same_application(snapshot, winner, kind):
    ours = replace(OURS["append"], transactions=(TransactionId("job", 2),))
    found = judge(ours, [(4, Commit(transactions=(winner,)))], snapshot)
    assert getattr(found, "kind", None) == kind
    if kind is not None:
        assert not found.retry_helps


def test_metadata_domains(snapshot):
    ours = replace(
        OURS["append"], domains=(DomainMetadata("d", "x"), DomainMetadata("delta.rowTracking", "1"))
    )
    assert judge(ours, [(4, Commit(domains=(DomainMetadata("d", "y"),)))], snapshot).kind == "domain"
    # Disjoint domains, and the one that the reference rebases (RowTrackingMetadataDomain), stand.
    for domain in ("e", "delta.rowTracking"):
        winner = Commit(domains=(DomainMetadata(domain, "2"),))
        assert isinstance(judge(ours, [(4, winner)], snapshot), Rebase)


def test_first_winner_in_the_way_is_named(snapshot):
    winners = [(4, Commit(adds=(add("x", "b"),))), (5, Commit(removes=(remove("old"),)))]
    found = judge(OURS["overwrite part a"], winners, snapshot)
    assert (found.version, found.kind, found.path) == (5, "removed", "old")


def test_a_file_cannot_be_added_twice(snapshot):
    winner = Commit(adds=(add("mine", "b"),), info=BLIND)
    assert judge(OURS["append"], [(4, winner)], snapshot).kind == "added"
