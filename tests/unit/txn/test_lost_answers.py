"""A store that does not say what became of a commit: it is found in the log, once, whatever happened meanwhile."""

from __future__ import annotations

from dataclasses import replace

import deltalake
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CommitConflictError, StoreError, UnknownOutcomeError
from lakefmt.snapshot import load_snapshot
from lakefmt.store.local import LocalStore
from lakefmt.store.retry import RetryPolicy
from lakefmt.store.s3 import S3Store
from lakefmt.testing.servers import Fault
from lakefmt.txn import SYSTEM, Writer
from lakefmt.txn.commit_queue import commit_queue
from lakefmt.txn.operations.append import append
from lakefmt.txn.operations.create import create, plan_create
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.txn.operations.write_new import write_new
from lakefmt.txn.transaction import Transaction

ROWS = pa.table({"id": [1]})


class UnsureStore(LocalStore):
    """Local disk whose first answers to commits are lost; ``applied`` tells of each whether it was carried out."""

    def __init__(self, root, applied=()):
        super().__init__(str(root), fsync=False)
        self.applied = list(applied)
        self.unreadable = 0  # how many reads of the log fail after an answer was lost
        self.lost = False

    def put_if_absent(self, key, data):
        if not self.applied:
            return super().put_if_absent(key, data)
        self.lost = True
        if self.applied.pop(0):
            super().put_if_absent(key, data)
        raise UnknownOutcomeError("no answer", table=self.uri, path=key)

    def read(self, key):
        if self.lost and self.unreadable and "_delta_log" in key:
            self.unreadable -= 1
            raise StoreError("no answer", table=self.uri, path=key)
        return super().read(key)


class UnreachableAfterPut(LocalStore):
    """Local disk of which one look at the log fails, the first after a commit."""

    silent = False

    def put_if_absent(self, key, data):
        self.silent = super().put_if_absent(key, data)
        return self.silent

    def info(self, key):
        self._answer(key)
        return super().info(key)

    def read(self, key):
        self._answer(key)
        return super().read(key)

    def list(self, prefix, *args, **options):
        self._answer(prefix)
        return super().list(prefix, *args, **options)

    def _answer(self, key):
        if self.silent:
            self.silent = False
            raise StoreError("no answer", table=self.uri, path=key)


class Commits:
    """A table, and a writer in doubt; ``meanwhile`` happens in its first pause."""

    def __init__(self, folder, applied, meanwhile=lambda: None, timeout_s=300.0):
        self.folder = folder
        lakefmt.create(folder, ROWS.schema)
        lakefmt.open(folder).append(ROWS)
        self.store = UnsureStore(folder, applied)
        self.base = load_snapshot(self.store)
        steps = [meanwhile]

        def sleep(_):
            if steps:
                steps.pop()()

        self.writer = Writer(self.store, replace(SYSTEM, sleep=sleep), timeout_s=timeout_s)

    def append(self):
        return append(self.writer, self.base, ROWS)[1].version

    def count(self):
        return lakefmt.open(self.folder).count()

    def ids(self):
        return [entry.info.txn_id for entry in lakefmt.open(self.folder).history()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "t"


@pytest.mark.parametrize("applied", [[True], [False], [False, False, True], [True, False], [False] * 20])
def test_a_commit_in_doubt_is_made_once(folder, applied):
    commits = Commits(folder, applied)
    assert commits.append() == 2
    assert commits.count() == 2
    assert len(set(commits.ids())) == 3


def test_a_commit_in_doubt_is_found_below_those_that_came_on_top(folder):
    commits = Commits(folder, [True], lambda: [lakefmt.open(folder).append(ROWS) for _ in range(3)])
    assert commits.append() == 2
    assert commits.count() == 5


def test_a_commit_in_doubt_whose_version_another_took_becomes_the_next(folder):
    commits = Commits(folder, [False], lambda: [lakefmt.open(folder).append(ROWS) for _ in range(3)])
    assert commits.append() == 5
    assert commits.count() == 5


def clean(folder, last):
    deltalake.DeltaTable(folder).create_checkpoint()
    for version in range(last):
        (folder / "_delta_log" / f"{version:020d}.json").unlink()


def test_a_commit_in_doubt_is_found_by_its_files_when_the_log_was_cleaned(folder):
    def meanwhile():
        for _ in range(3):
            deltalake.write_deltalake(folder, ROWS, mode="append")
        clean(folder, 5)

    commits = Commits(folder, [True], meanwhile)
    commits.append()
    assert commits.count() == 5


def test_a_commit_in_doubt_is_found_by_its_id_when_the_log_before_it_was_cleaned(folder):
    def meanwhile():
        deltalake.write_deltalake(folder, ROWS, mode="append")
        clean(folder, 2)

    commits = Commits(folder, [True], meanwhile)
    commits.append()
    assert commits.count() == 3


def test_a_commit_in_doubt_of_which_no_trace_is_left_is_an_unknown_outcome(folder):
    def meanwhile():
        deltalake.write_deltalake(folder, ROWS, mode="overwrite")
        clean(folder, 3)

    commits = Commits(folder, [True], meanwhile)
    with pytest.raises(UnknownOutcomeError):
        commits.append()
    assert commits.count() == 1


def test_a_log_that_cannot_be_read_for_a_while_leaves_the_doubt_until_it_can(folder):
    commits = Commits(folder, [True])
    commits.store.unreadable = 5
    assert commits.append() == 2
    assert commits.count() == 2


def test_a_doubt_that_outlasts_the_time_is_told_and_its_files_stay(folder):
    commits = Commits(folder, [True, False], timeout_s=0)
    with pytest.raises(UnknownOutcomeError, match="no answer"):
        commits.append()
    assert commits.count() == 2  # it had been applied: its file must be there


def test_garbage_in_the_log_while_in_doubt_does_not_delete_the_files(folder):
    def meanwhile():
        (folder / "_delta_log" / f"{3:020d}.json").write_bytes(b"garbage")

    commits = Commits(folder, [True], meanwhile)
    with pytest.raises(UnknownOutcomeError):
        commits.append()
    (folder / "_delta_log" / f"{3:020d}.json").unlink()
    assert lakefmt.open(folder).to_arrow().num_rows == 2


def test_a_conflict_after_a_doubt_that_is_resolved_leaves_no_files(folder):
    commits = Commits(folder, [False], lambda: lakefmt.open(folder).overwrite(ROWS))
    files = set(folder.glob("*.parquet"))
    with pytest.raises(CommitConflictError):
        overwrite(commits.writer, commits.base, ROWS)
    assert len(set(folder.glob("*.parquet")) - files) == 1
    assert commits.count() == 1


def test_deleted_rows_in_doubt_are_not_found_by_a_file_that_was_there_before(folder):
    lakefmt.create(folder, ROWS.schema, properties={"delta.enableDeletionVectors": "true"})
    lakefmt.open(folder).append({"id": [1, 2, 3]})

    def meanwhile():
        for _ in range(2):
            lakefmt.open(folder).append(ROWS)
        lakefmt.open(folder).checkpoint()
        for version in range(3):
            (folder / "_delta_log" / f"{version:020d}.json").unlink()
        commit_queue(store).forget()  # all of that was done by another process

    steps = [meanwhile]
    store = UnsureStore(folder, [False])
    writer = Writer(store, replace(SYSTEM, sleep=lambda _: steps.pop()() if steps else None))
    deletion = Transaction(writer, load_snapshot(store), "DELETE")
    deletion.stage_delete({path: [0] for path in deletion.snapshot.files.table["path"].to_pylist()})
    with pytest.raises(UnknownOutcomeError):
        deletion.commit()
    assert lakefmt.open(folder).count() == 5  # nothing was deleted, and nobody says so


def test_a_commit_that_was_made_stands_where_the_look_after_it_fails(folder):
    lakefmt.create(folder, ROWS.schema, properties={"delta.logRetentionDuration": "interval 1 hour"})
    store = UnreachableAfterPut(str(folder), fsync=False)
    after, result = append(Writer(store, replace(SYSTEM, sleep=lambda _: None)), load_snapshot(store), ROWS)
    assert (after.version, result.version) == (1, 1)
    assert lakefmt.open(folder).count() == 1


def test_a_commit_that_others_built_upon_is_not_made_again_because_the_one_before_it_was_cleaned(folder):
    # What other cleaners do to a table that had been idle: only what is old goes, up to their checkpoint.
    lakefmt.create(folder, ROWS.schema)
    lakefmt.open(folder).append(ROWS)
    clock = [0.0]

    class Pausing(LocalStore):
        def put_if_absent(self, key, data):
            won = super().put_if_absent(key, data)
            if not clock[0]:
                clock[0] = 3600.0
                for _ in range(2):
                    deltalake.write_deltalake(folder, ROWS, mode="append")
                clean(folder, 2)
            return won

    store = Pausing(str(folder), fsync=False)
    writer = Writer(
        store, replace(SYSTEM, monotonic_s=lambda: clock[0], sleep=lambda _: None), timeout_s=None
    )
    append(writer, load_snapshot(store), ROWS)
    assert lakefmt.open(folder).count() == 4  # not five
    assert (folder / "_delta_log" / f"{2:020d}.json").exists()


def test_a_first_version_in_doubt_is_not_said_to_be_refused(folder):
    class Refusing(UnsureStore):
        def put_if_absent(self, key, data):
            if self.lost:
                raise StoreError("denied", table=self.uri, path=key)
            return super().put_if_absent(key, data)

    writer = Writer(Refusing(folder, [True]), replace(SYSTEM, sleep=lambda _: None))
    with pytest.raises(UnknownOutcomeError):
        create(writer, plan_create(ROWS.schema, SYSTEM, table=str(folder)))
    assert lakefmt.open(folder).version == 0


def test_a_table_that_cannot_be_created_leaves_no_data_behind(folder):
    class Refusing(LocalStore):
        def put_if_absent(self, key, data):
            raise StoreError("denied", table=self.uri, path=key)

    plan = plan_create(ROWS.schema, SYSTEM, table=str(folder))
    with pytest.raises(StoreError, match="denied"):
        write_new(
            Writer(Refusing(str(folder), fsync=False)),
            plan,
            ROWS,
            join_existing=False,
            replace_existing=False,
            truncate_ns=False,
        )
    assert list(folder.rglob("*.parquet")) == []


@pytest.mark.parametrize("applied", [[True], [False], [False, True]])
def test_a_first_version_in_doubt_is_created_once(folder, applied, monkeypatch):
    store = UnsureStore(folder, applied)
    monkeypatch.setattr("lakefmt.opening.open_store", lambda *_: store)
    assert lakefmt.create(folder, ROWS.schema).version == 0


@pytest.fixture
def impatient_s3(s3_bucket, s3_options):
    """A table whose store gives up at the first answer that it does not understand."""
    uri = f"{s3_bucket}/t"
    lakefmt.create(uri, ROWS.schema, storage_options=s3_options).append(ROWS)
    options = s3_options | {"config_kwargs": {"read_timeout": 0.5}}
    return S3Store(uri, options, retry=RetryPolicy(attempts=2, first_delay_s=0.01))


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("PUT", "_delta_log", 503, applied=True), Fault("GET", "_delta_log/0", 503, times=2)],
        [Fault("PUT", "_delta_log", 500, times=6)],
        [
            Fault("PUT", "_delta_log", 429, code="SlowDown", applied=True),
            Fault("GET", "_delta_log", 503, times=5),
        ],
        [Fault("PUT", "_delta_log", 412, applied=True), Fault("GET", "_delta_log/0", 500, times=3)],
        [Fault("PUT", "_delta_log", 0, delay_s=1.0), Fault("GET", "_delta_log/0", 503, times=2)],
        [Fault("PUT", "_delta_log", 0, delay_s=0.8, late=True), Fault("GET", "_delta_log/0", 503, times=2)],
    ],
    ids=["lost", "not applied", "throttled", "taken by ourselves", "timed out", "applied after the time-out"],
)
def test_a_commit_in_doubt_on_s3_is_made_once(impatient_s3, s3_server, s3_options, faults):
    base = load_snapshot(impatient_s3)
    s3_server.gate.fail(*faults)
    try:
        after, result = append(Writer(impatient_s3), base, ROWS)
    finally:
        s3_server.gate.forget()
    assert after.version == result.version == 2
    newest = lakefmt.open(impatient_s3.uri, storage_options=s3_options)
    assert (newest.version, newest.count()) == (2, 2)
