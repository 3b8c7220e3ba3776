"""Transactions of several writers in any order, against a table that is a set of rows in memory.

Writers begin, each on the version it sees, and commit later, in another order. What the model demands is exact: a
commit stands unless it truly overlaps with another one, and then exactly the rows it meant come and go.
"""

import io
import uuid
from dataclasses import dataclass, field
from itertools import count

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lakefmt
from lakefmt.errors import CommitConflictError
from lakefmt.scan.locate import locate
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn.operations.append import append
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.txn.staging import load_file_rows
from lakefmt.txn.transaction import Transaction
from lakefmt.txn.writer import Writer

# What somebody begins: how many rows an append or overwrite brings, which of the rows that it sees a delete takes, how
# a rewrite lays rows out. And which of those who have begun, counted from the oldest, commits.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("overwrite"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.sets(st.integers(0, 11), min_size=1, max_size=4)),
        st.tuples(st.just("rewrite"), st.sampled_from(["in order", "sorted", "in two files"])),
        st.tuples(st.just("commit"), st.integers(0, 3)),
        st.tuples(st.just("commit"), st.integers(0, 3)),
    ),
    max_size=14,
)


@dataclass
class Begun:
    """What a writer has begun, and what it saw."""

    kind: str
    base: object
    rows: dict
    adds: list = field(default_factory=list)
    removes: frozenset = frozenset()
    options: dict = field(default_factory=dict)


class World:
    """A table, who writes to it, and what it must hold."""

    def __init__(self, *, vectors):
        uri = f"memory://{uuid.uuid4().hex}/t"
        self.table = lakefmt.create(uri, {"id": "long"}, properties={"delta.enableDeletionVectors": vectors})
        self.store = self.table._store
        self.writer = Writer(self.store, timeout_s=30)
        self.rows = frozenset()
        self.numbers = count()
        self.begun = []
        self.committed = []  # (version, what) of all that stands

    def places(self, snapshot):
        """Where each row of a version is: path and position."""
        paths = snapshot.files.table["path"].to_pylist()
        found = {}
        for each in load_file_rows(self.store, snapshot, paths):
            ids = pq.read_table(io.BytesIO(self.store.read(locate(self.store, each.file.path))))[
                "id"
            ].to_pylist()
            for position, row in enumerate(ids):
                if position not in each.deleted.bitmap:
                    assert row not in found
                    found[row] = (each.file.path, position)
        return found

    def begin(self, kind, what):
        base = self.table.refresh().snapshot
        rows = self.places(base)
        assert set(rows) == self.rows
        begun = Begun(kind, base, rows)
        match kind:
            case "append":
                begun.adds = [next(self.numbers) for _ in range(what)]
            case "overwrite":
                begun.adds, begun.removes = [next(self.numbers) for _ in range(what)], frozenset(rows)
            case "delete":
                chosen = sorted(rows)
                begun.removes = (
                    frozenset(chosen[place % len(chosen)] for place in what) if chosen else frozenset()
                )
            case "rewrite":
                begun.options = {
                    "in order": {},
                    "sorted": {"sort_by": "id"},
                    "in two files": {"num_outputs": 2},
                }[what]
        self.begun.append(begun)

    def commit(self, place):
        if not self.begun:
            return
        begun = self.begun.pop(place % len(self.begun))
        now = self.places(self.table.refresh().snapshot)
        before = self.table.version
        back = []
        try:
            after = getattr(self, f"_{begun.kind}")(begun, back)
        except CommitConflictError:
            after = None
        if after is None:
            assert self.must_conflict(begun, now) or self.may_conflict(begun)
        else:
            assert not self.must_conflict(begun, now)
            self.rows = (self.rows - begun.removes) | set(begun.adds)
            if after.version > before:
                # An overwrite that brings no rows only takes some away.
                emptied = begun.kind == "overwrite" and not begun.adds
                self.committed.append((after.version, "delete" if emptied else begun.kind))
        found = self.places(self.table.refresh().snapshot)
        assert set(found) == self.rows
        assert sorted(self.table.to_arrow()["id"].to_pylist()) == sorted(self.rows)
        assert self.table.count() == len(self.rows)
        if back:
            # Nothing is handed back while vectors can carry what others did, unless nothing was left of it.
            vectors = self.table.snapshot.properties.enable_deletion_vectors
            assert not vectors or not {path for path, _ in begun.rows.values()} & {p for p, _ in now.values()}

    def must_conflict(self, begun, now):
        """Whether what it takes away has gone, or been moved where it does not know."""
        match begun.kind:
            case "delete":
                return any(now.get(row) != begun.rows[row] for row in begun.removes)
            case "overwrite":
                others = [kind for version, kind in self.committed if version > begun.base.version]
                gone, brings = bool(begun.removes - now.keys()), bool(begun.adds or begun.removes)
                return brings and (gone or "overwrite" in others)
        return False

    def may_conflict(self, begun):
        """Whether an overwrite met a rewrite of rows that it had never seen among those that it had."""
        others = [kind for version, kind in self.committed if version > begun.base.version]
        return begun.kind == "overwrite" and "rewrite" in others and "append" in others

    def _append(self, begun, _):
        return append(self.writer, begun.base, {"id": begun.adds})[0]

    def _overwrite(self, begun, _):
        return overwrite(self.writer, begun.base, {"id": begun.adds})[0]

    def _delete(self, begun, _):
        positions = {}
        for row in begun.removes:
            path, position = begun.rows[row]
            positions.setdefault(path, []).append(position)
        transaction = Transaction(self.writer, begun.base, "DELETE")
        transaction.stage_delete(positions)
        return transaction.commit()

    def _rewrite(self, begun, back):
        return rewrite_table(self.writer, begun.base, hand_back=back.append, **begun.options)


@given(STEPS)
@settings(max_examples=60, deadline=None)
@example(
    [("append", 4), ("commit", 0), ("rewrite", "sorted"), ("delete", {0, 3}), ("commit", 1), ("commit", 0)]
)
@example([("append", 2), ("commit", 0), ("delete", {0}), ("delete", {1}), ("commit", 0), ("commit", 0)])
@example(
    [("append", 2), ("commit", 0), ("rewrite", "in order"), ("overwrite", 1), ("commit", 0), ("commit", 0)]
)
@example(
    [
        ("append", 2),
        ("commit", 0),
        ("rewrite", "sorted"),
        ("rewrite", "in order"),
        ("commit", 0),
        ("commit", 0),
    ]
)
def test_commits_stand_unless_they_truly_overlap(steps):
    world = World(vectors=True)
    for kind, what in steps:
        world.commit(what) if kind == "commit" else world.begin(kind, what)
    while world.begun:
        world.commit(0)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_without_vectors_rewrites_are_handed_back_and_no_row_is_lost(steps):
    world = World(vectors=False)
    for kind, what in steps:
        if kind == "commit":
            world.commit(what)
        elif kind != "delete":
            world.begin(kind, what)
    while world.begun:
        world.commit(0)


def test_the_model_can_fail():
    world = World(vectors=True)
    world.begin("append", 2)
    world.commit(0)
    world.rows = frozenset()
    with pytest.raises(AssertionError):
        world.begin("append", 1)
