"""The rules by which two commits can both stand, case by case; no store is involved."""

import pytest

from lakefmt.expressions import ALL_ROWS, parse_predicate
from lakefmt.log import (
    AddFile,
    Commit,
    CommitInfo,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    TransactionId,
)
from lakefmt.schema import Schema, format_schema
from lakefmt.snapshot import Snapshot
from lakefmt.snapshot.replay import TableState
from lakefmt.store import open_store
from lakefmt.txn import Changes, check_conflicts

SCHEMA = Schema.from_arrow({"id": "long", "part": "string"})
BLIND = CommitInfo(is_blind_append=True)


@pytest.fixture
def snapshot():
    metadata = Metadata("id", format_schema(SCHEMA), ("part",))
    state = TableState(Protocol(1, 2), metadata, {}, {})
    return Snapshot(
        open_store("memory://conflicts"),
        state,
        version=3,
        written_ms=0,
        base=None,
        commits=(),
    )


def add(path, part, *, data_change=True):
    return AddFile(path, {"part": part}, 1, 1, data_change=data_change)


def remove(path):
    return RemoveFile(path, 1)


APPEND = Changes("WRITE", adds=(add("mine", "a"),))
REPLACE_ALL = Changes("WRITE", adds=(add("mine", "a"),), removes=(remove("old"),), read_predicate=ALL_ROWS)
REPLACE_A = Changes(
    "WRITE",
    adds=(add("mine", "a"),),
    removes=(remove("old"),),
    read_predicate=parse_predicate("part = 'a'", SCHEMA),
)


@pytest.mark.parametrize(
    ("ours", "winner", "kind"),
    [
        (APPEND, Commit(adds=(add("x", "a"),)), None),
        (APPEND, Commit(removes=(remove("old"),)), None),
        (APPEND, Commit(metadata=Metadata("id", "{}")), "metadata"),
        (APPEND, Commit(protocol=Protocol(3, 7)), "protocol"),
        (REPLACE_ALL, Commit(info=BLIND, adds=(add("x", "a"),)), None),
        (REPLACE_ALL, Commit(adds=(add("x", "a"),)), "added"),
        (REPLACE_ALL, Commit(adds=(add("x", "a", data_change=False),)), None),
        (REPLACE_ALL, Commit(removes=(remove("old"),)), "removed"),
        (REPLACE_ALL, Commit(removes=(remove("other"),)), None),
        (REPLACE_A, Commit(adds=(add("x", "b"),)), None),
        (REPLACE_A, Commit(adds=(add("x", None),)), None),
        (REPLACE_A, Commit(adds=(add("x", "a"),)), "added"),
    ],
)
def test_who_may_stand_beside_whom(snapshot, ours, winner, kind):
    found = check_conflicts(ours, [(4, winner)], snapshot)
    assert (found and found.kind) == kind


def test_progress_of_the_same_application_is_a_conflict(snapshot):
    ours = Changes("WRITE", adds=(add("mine", "a"),), transactions=(TransactionId("job", 2),))
    assert (
        check_conflicts(ours, [(4, Commit(transactions=(TransactionId("job", 2),)))], snapshot).kind
        == "transaction"
    )
    assert check_conflicts(ours, [(4, Commit(transactions=(TransactionId("other", 2),)))], snapshot) is None


def test_the_same_domain_is_a_conflict(snapshot):
    ours = Changes("WRITE", domains=(DomainMetadata("d", "x"),))
    assert (
        check_conflicts(ours, [(4, Commit(domains=(DomainMetadata("d", "y"),)))], snapshot).kind == "metadata"
    )


def test_first_winner_in_the_way_is_named(snapshot):
    winners = [(4, Commit(adds=(add("x", "b"),))), (5, Commit(removes=(remove("old"),)))]
    found = check_conflicts(REPLACE_A, winners, snapshot)
    assert (found.version, found.kind, found.path) == (5, "removed", "old")
