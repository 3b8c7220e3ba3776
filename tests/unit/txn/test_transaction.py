"""Transactions on real tables: rows that go by vectors, files that are rewritten, and what a lost race makes of both."""

import json
import threading
from dataclasses import replace

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import CommitConflictError, CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.expressions import parse_predicate
from lakefmt.log import AddFile, DeletionVectorDescriptor
from lakefmt.snapshot import load_snapshot
from lakefmt.testing.fault_store import FaultStore
from lakefmt.testing.rewriter import rewrite_table
from lakefmt.txn import Changes
from lakefmt.txn.commit import commit
from lakefmt.txn.operations.append import append_files, stage_rows
from lakefmt.txn.operations.overwrite import overwrite
from lakefmt.txn.statement import run_statement
from lakefmt.txn.transaction import Transaction
from lakefmt.txn.writer import Writer


def make(folder, *files, **options):
    """A table with these files of ids."""
    table = lakefmt.create(folder, {"id": "long"}, **options)
    for ids in files:
        table.append({"id": list(ids)})
    return table


def writer_of(table):
    return Writer(table._store, timeout_s=20)


def paths_of(snapshot):
    return snapshot.files.table["path"].to_pylist()


def ids_in(folder):
    return sorted(lakefmt.open(folder).to_arrow()["id"].to_pylist())


def delete(table, snapshot, positions):
    transaction = Transaction(writer_of(table), snapshot, "DELETE")
    transaction.stage_delete(positions)
    return transaction.commit()


def actions(table, version, kind):
    text = table._store.read(f"_delta_log/{version:020d}.json").decode()
    return [action[kind] for action in map(json.loads, text.splitlines()) if kind in action]


def files_in(folder):
    return sorted(
        str(each.relative_to(folder)) for each in folder.rglob("*") if "_delta_log" not in each.parts
    )


# --- rows that go ------------------------------------------------------------------------------------------------


def test_deleted_rows_are_gone_and_the_log_says_so_as_the_protocol_asks(tmp_path):
    table = make(tmp_path / "t", range(10))
    (path,) = paths_of(table.snapshot)
    after = delete(table, table.snapshot, {path: [1, 3]})
    assert ids_in(tmp_path / "t") == [0, 2, 4, 5, 6, 7, 8, 9]
    (removed,), (added,) = actions(table, after.version, "remove"), actions(table, after.version, "add")
    assert "deletionVector" not in removed
    assert (removed["path"], removed["dataChange"], added["path"], added["dataChange"]) == (
        path,
        True,
        path,
        True,
    )
    assert added["deletionVector"]["storageType"] == "i"  # so small that it needs no file
    assert added["deletionVector"]["cardinality"] == 2
    stats = json.loads(added["stats"])
    assert (stats["numRecords"], stats["tightBounds"], stats["maxValues"]) == (10, False, {"id": 9})
    again = delete(table, after, {path: [0]})
    (removed,) = actions(table, again.version, "remove")
    assert removed["deletionVector"] == added["deletionVector"]


def test_a_file_without_rows_left_is_removed(tmp_path):
    table = make(tmp_path / "t", range(3), range(3, 6))
    first, second = paths_of(table.snapshot)
    after = delete(table, table.snapshot, {first: [0, 2]})
    after = delete(table, after, {first: [1], second: [0]})
    assert ids_in(tmp_path / "t") == [4, 5]
    assert [add["path"] for add in actions(table, after.version, "add")] == [second]


def test_many_vectors_of_a_commit_share_one_file(tmp_path):
    table = make(tmp_path / "t", range(40_000), range(40_000, 80_000))
    rows = pa.array(range(0, 40_000, 7))
    positions = dict.fromkeys(paths_of(table.snapshot), rows)
    after = delete(table, table.snapshot, positions)
    vectors = [add["deletionVector"] for add in actions(table, after.version, "add")]
    assert {vector["storageType"] for vector in vectors} == {"u"}
    assert len({vector["pathOrInlineDv"] for vector in vectors}) == 1
    assert vectors[0]["offset"] == 1 < vectors[1]["offset"]
    assert lakefmt.open(tmp_path / "t").count() == 80_000 - 2 * len(range(0, 40_000, 7))


def test_files_of_a_checkpoint_keep_their_statistics(tmp_path):
    deltalake = pytest.importorskip("deltalake")
    table = make(tmp_path / "t", range(10), range(10, 20))
    deltalake.DeltaTable(tmp_path / "t").create_checkpoint()
    fresh = lakefmt.open(tmp_path / "t")
    path = next(
        p for p in paths_of(fresh.snapshot) if fresh.files().filter(pa.compute.field("log_path") == p)
    )
    after = delete(table, lakefmt.open(tmp_path / "t").snapshot, {path: [0]})
    (added,) = actions(table, after.version, "add")
    assert json.loads(added["stats"])["maxValues"]["id"] in {9, 19}


def test_statistics_that_are_missing_are_counted_in_the_file(tmp_path):
    table = make(tmp_path / "t", range(10))
    transaction = Transaction(writer_of(table), table.snapshot)
    (add,) = table.snapshot.files.to_adds()
    transaction.add(replace(add, stats=None, data_change=False))
    bare = transaction.commit()
    after = delete(table, bare, {add.path: [4]})
    (added,) = actions(table, after.version, "add")
    assert json.loads(added["stats"]) == {"numRecords": 10, "tightBounds": False}


def test_numbers_in_statistics_stay_the_texts_they_were(tmp_path):
    table = make(tmp_path / "t", range(10))
    (add,) = table.snapshot.files.to_adds()
    stats = '{"numRecords":10,"minValues":{"id":-12345678901234567890.123456789},"maxValues":{"id":1e400}}'
    transaction = Transaction(writer_of(table), table.snapshot)
    transaction.add(replace(add, stats=stats, data_change=False))
    after = delete(table, transaction.commit(), {add.path: [4]})
    (added,) = actions(table, after.version, "add")
    assert added["stats"] == stats[:-1] + ',"tightBounds":false}'


@pytest.mark.parametrize(
    ("positions", "match"),
    [
        ({"PATH": [10]}, "no row 10 in a file of 10 rows"),
        ({"PATH": [-1]}, "whole numbers from 0 on"),
        ({"PATH": [1.5]}, "whole numbers from 0 on"),
        ({"PATH": ["1"]}, "whole numbers from 0 on"),
        ({"PATH": pa.array([1.5])}, "whole numbers from 0 on"),
        ({"PATH": pa.array([-1])}, "whole numbers from 0 on"),
        ({"PATH": pa.array([1, None])}, "whole numbers from 0 on"),
        ({"PATH": [1 << 63]}, "no position of a row"),
        ({"PATH": [3]}, "deleted already"),
        ({"nowhere": [3]}, "no data file of this version"),
    ],
)
def test_positions_that_make_no_sense_are_refused(tmp_path, positions, match):
    table = make(tmp_path / "t", range(10))
    (path,) = paths_of(table.snapshot)
    after = delete(table, table.snapshot, {path: [3]})
    with pytest.raises(InvalidInputError, match=match):
        delete(table, after, {path if name == "PATH" else name: rows for name, rows in positions.items()})


def test_positions_may_be_staged_bit_by_bit_but_once(tmp_path):
    table = make(tmp_path / "t", range(10))
    (path,) = paths_of(table.snapshot)
    transaction = Transaction(writer_of(table), table.snapshot)
    transaction.stage_delete({path: [1]})
    transaction.stage_delete({path: [2], "nowhere": []})
    with pytest.raises(InvalidInputError, match="deleted already"):
        transaction.stage_delete({path: [2]})
    with pytest.raises(InvalidInputError, match="changes the file already"):
        transaction.remove(table.snapshot.files)
    assert transaction.commit().version == table.version + 1
    assert ids_in(tmp_path / "t") == [0, *range(3, 10)]


@pytest.mark.parametrize("properties", [{"delta.enableDeletionVectors": False}])
def test_tables_without_vectors_are_given_none(tmp_path, properties):
    table = make(tmp_path / "t", range(10), properties=properties)
    with pytest.raises(UnsupportedFeatureError, match="enableDeletionVectors"):
        delete(table, table.snapshot, {paths_of(table.snapshot)[0]: [1]})


def test_append_only_tables_keep_their_rows_but_may_move_them(tmp_path):
    table = make(tmp_path / "t", range(3), range(3, 6), properties={"delta.appendOnly": True})
    with pytest.raises(InvalidInputError, match="append-only"):
        delete(table, table.snapshot, {paths_of(table.snapshot)[0]: [1]})
    rewrite_table(writer_of(table), table.snapshot)
    assert ids_in(tmp_path / "t") == list(range(6))


def test_a_vector_without_a_count_of_rows_is_a_corrupt_table(tmp_path):
    table = make(tmp_path / "t", range(10))
    after = delete(table, table.snapshot, {paths_of(table.snapshot)[0]: [1]})
    transaction = Transaction(writer_of(table), after)
    transaction.add(replace(after.files.to_adds()[0], stats=None, data_change=False))
    broken = transaction.commit()
    with pytest.raises(CorruptTableError, match="numRecords"):
        delete(table, broken, {paths_of(broken)[0]: [2]})


# --- races ---------------------------------------------------------------------------------------------------------


def test_two_deletes_of_one_file_both_stand(tmp_path):
    table = make(tmp_path / "t", range(10))
    base = table.snapshot
    (path,) = paths_of(base)
    delete(table, base, {path: [1]})
    delete(table, base, {path: [2, 3]})
    after = delete(table, base, {path: [9]})
    assert ids_in(tmp_path / "t") == [0, 4, 5, 6, 7, 8]
    (removed,) = actions(table, after.version, "remove")
    assert removed["deletionVector"]["cardinality"] == 3


def test_two_deletes_that_leave_no_row_together_remove_the_file(tmp_path):
    table = make(tmp_path / "t", range(4))
    base = table.snapshot
    (path,) = paths_of(base)
    delete(table, base, {path: [0, 1]})
    after = delete(table, base, {path: [2, 3]})
    assert after.files.num_files == 0
    assert actions(table, after.version, "add") == []


def test_the_same_row_deleted_twice_is_a_conflict_that_says_so(tmp_path):
    table = make(tmp_path / "t", range(10))
    base = table.snapshot
    (path,) = paths_of(base)
    won = delete(table, base, {path: [1, 2]})
    with pytest.raises(CommitConflictError, match="deleted 1 row that this one deletes") as caught:
        delete(table, base, {path: [2, 3]})
    error = caught.value
    assert (error.kind, error.version, error.path, error.retry_helps) == ("rows", won.version, path, True)
    assert "DELETE by lakefmt/" in error.message
    assert ids_in(tmp_path / "t") == [0, *range(3, 10)]


def test_vectors_of_attempts_that_failed_are_deleted(tmp_path):
    table = make(tmp_path / "t", range(100_000))
    base = table.snapshot
    (path,) = paths_of(base)
    delete(table, base, {path: range(0, 100_000, 3)})
    one_vector = files_in(tmp_path / "t")
    assert len(one_vector) == 2
    with pytest.raises(CommitConflictError):
        delete(table, base, {path: range(0, 100_000, 7)})
    assert files_in(tmp_path / "t") == one_vector
    delete(table, base, {path: range(1, 100_000, 3)})  # a vector of its own, thrown away for that of both
    assert len(files_in(tmp_path / "t")) == 3
    assert lakefmt.open(tmp_path / "t").count() == 33_333


def test_two_threads_delete_disjoint_rows_of_one_file_for_fifty_rounds(tmp_path):
    rounds = 50
    table = make(tmp_path / "t", range(4 * rounds))
    (path,) = paths_of(table.snapshot)
    barrier, errors = threading.Barrier(2), []

    def work(half):
        try:
            for number in range(rounds):
                barrier.wait()
                snapshot = lakefmt.open(tmp_path / "t").snapshot
                barrier.wait()  # both have seen the same version
                place = 2 * (2 * number + half)
                delete(table, snapshot, {path: [place, place + 1]} if number % 2 else {path: [place]})
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(half,)) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert lakefmt.open(tmp_path / "t").version == 1 + 2 * rounds
    assert ids_in(tmp_path / "t") == [1 + 4 * n + 2 * half for n in range(0, rounds, 2) for half in (0, 1)]


@pytest.mark.parametrize("sort_by", [None, "id"])
@pytest.mark.parametrize("spill", [False, True])
def test_compaction_and_deletes_never_fight(tmp_path, sort_by, spill):
    folder = tmp_path / "t"
    table = make(folder, [5, 3, 9, 1], [4, 8, 0, 2], [7, 6])
    base = table.snapshot
    first, second, third = paths_of(base)
    seen = delete(table, base, {first: [1]})  # 3

    def meanwhile():
        after = delete(table, seen, {first: [0, 3], second: [2]})  # 5, 1, 0
        delete(table, after, {third: [0, 1]})  # the whole file
        table.refresh().append({"id": [10]})

    spill_to = tmp_path if spill else None
    after = rewrite_table(
        writer_of(table), seen, sort_by=sort_by, num_outputs=3, between=meanwhile, spill_to=spill_to
    )
    assert ids_in(folder) == [2, 4, 8, 9, 10]
    adds = actions(table, after.version, "add")
    assert not any(add["dataChange"] for add in adds)
    removes = actions(table, after.version, "remove")
    assert {remove["path"] for remove in removes} == {first, second}  # the third was gone already
    assert not any(remove["dataChange"] for remove in removes)


def test_of_two_compactions_of_the_same_files_nothing_comes_twice(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    seen, back = table.snapshot, []
    rewrite_table(writer_of(table), seen)
    newest = rewrite_table(writer_of(table), seen, num_outputs=2, hand_back=back.append)
    assert newest.version == seen.version + 1  # nothing was left to commit
    assert len(back) == 1
    assert ids_in(tmp_path / "t") == list(range(10))
    assert len(files_in(tmp_path / "t")) == 3  # the outputs of the second are deleted


def test_without_vectors_only_the_groups_that_were_touched_are_handed_back(tmp_path):
    folder = tmp_path / "t"
    table = lakefmt.create(
        folder,
        {"id": "long", "part": "string"},
        partition_by="part",
        properties={"delta.enableDeletionVectors": False},
    )
    for part in ("a", "b", "a", "b"):
        table.append({"id": [1, 2], "part": [part, part]})
    back = []
    after = rewrite_table(
        writer_of(table),
        table.snapshot,
        between=lambda: lakefmt.open(folder).overwrite({"id": [3], "part": ["a"]}, where="part = 'a'"),
        hand_back=back.append,
    )
    assert [[each.file.partition_values for each in group.inputs] for group in back] == [[{"part": "a"}] * 2]
    assert after.files.num_files == 2
    rows = lakefmt.open(folder).to_arrow().to_pylist()
    assert sorted((row["part"], row["id"]) for row in rows) == [("a", 3), *[("b", 1)] * 2, *[("b", 2)] * 2]
    on_disk = {str(each.relative_to(folder)) for each in folder.rglob("part=*/*.parquet")}
    assert not {output.file.path.replace("%3D", "=") for output in back[0].outputs} & on_disk


def test_positions_staged_by_hand_conflict_with_a_compaction(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    base = table.snapshot
    rewrite_table(writer_of(table), base)
    with pytest.raises(CommitConflictError, match="moved the rows") as caught:
        delete(table, base, {paths_of(base)[0]: [1]})
    assert (caught.value.kind, caught.value.retry_helps) == ("rearranged", True)


def test_a_statement_that_lost_to_a_compaction_runs_again_on_its_outputs(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    base, seen = table.snapshot, []

    def statement(snapshot):
        seen.append(snapshot.version)
        transaction = Transaction(writer_of(table), snapshot, "DELETE")
        predicate = parse_predicate("id = 7", snapshot.schema)
        (path,) = transaction.read(predicate, only_written=True).table["path"].to_pylist()
        rows = lakefmt.open(tmp_path / "t", version=snapshot.version).scan().to_arrow()
        place = rows["id"].to_pylist().index(7)
        transaction.stage_delete({path: [place if snapshot.files.num_files == 1 else place - 5]})
        if len(seen) == 1:
            rewrite_table(writer_of(table), base)
        return transaction

    after = run_statement(writer_of(table), base, statement)
    assert seen == [base.version, base.version + 1]
    assert after.version == base.version + 2
    assert ids_in(tmp_path / "t") == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_a_statement_with_nothing_to_do_commits_nothing(tmp_path):
    table = make(tmp_path / "t", range(5))
    assert run_statement(writer_of(table), table.snapshot, lambda _: None) is table.snapshot
    assert Transaction(writer_of(table), table.snapshot).commit() is table.snapshot


def test_a_statement_gives_up_when_its_time_is_over(tmp_path):
    table = make(tmp_path / "t", *[range(1000 * n, 1000 * n + 1000) for n in range(2)])
    runs = []

    def unlucky(snapshot):
        runs.append(snapshot.version)
        transaction = Transaction(writer_of(table), snapshot, "DELETE")
        path = paths_of(snapshot)[0]
        transaction.stage_delete({path: [len(runs)]})
        delete(table, snapshot, {path: [len(runs)]})  # somebody else, each time a moment before
        return transaction

    with pytest.raises(CommitConflictError) as caught:
        run_statement(replace(writer_of(table), timeout_s=0.1), table.snapshot, unlucky)
    assert caught.value.kind == "rows"
    assert runs == list(range(runs[0], runs[0] + len(runs)))


def test_a_statement_about_another_version_than_it_was_given_is_refused(tmp_path):
    table = make(tmp_path / "t", range(5))
    base = table.snapshot
    table.append({"id": [7]})
    with pytest.raises(InvalidInputError, match="on the snapshot that it is given"):
        run_statement(writer_of(table), table.snapshot, lambda _: Transaction(writer_of(table), base))


def test_what_a_statement_read_beyond_what_it_writes_counts(tmp_path):
    table = make(tmp_path / "t", range(10), range(10, 20))
    base = table.snapshot
    first, second = paths_of(base)
    delete(table, base, {second: [0]})
    transaction = Transaction(writer_of(table), base, "MERGE")
    transaction.read()
    transaction.stage_delete({first: [0]})
    with pytest.raises(CommitConflictError, match="that this one read") as caught:
        transaction.commit()
    assert (caught.value.kind, caught.value.path) == ("removed", second)


@pytest.mark.parametrize(("level", "stands"), [("Serializable", False), ("WriteSerializable", True)])
def test_serializable_tables_count_what_was_appended_blindly(tmp_path, level, stands):
    table = make(tmp_path / "t", range(10), properties={"delta.isolationLevel": level})
    base = table.snapshot
    table.append({"id": [11]})

    def delete_where(text, place):
        transaction = Transaction(writer_of(table), base, "DELETE")
        transaction.read(parse_predicate(text, base.schema), only_written=True)
        transaction.stage_delete({paths_of(base)[0]: [place]})
        transaction.commit()

    delete_where("id = 1", 1)  # statistics tell that the new row does not match
    if stands:
        delete_where("id < 20", 2)
        return
    with pytest.raises(CommitConflictError, match=r"\(where id < 20\)") as caught:
        delete_where("id < 20", 2)
    assert caught.value.kind == "added"


def test_an_overwrite_goes_on_from_a_compaction_without_writing_its_rows_again(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    stale = lakefmt.open(tmp_path / "t")
    rewrite_table(writer_of(table), table.snapshot)
    result = stale.overwrite({"id": [1]})
    assert (result.version, ids_in(tmp_path / "t")) == (4, [1])


def test_an_overwrite_does_not_take_rows_that_it_never_saw(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    stale = lakefmt.open(tmp_path / "t")
    table.append({"id": [77]})
    rewrite_table(writer_of(table), table.snapshot)
    with pytest.raises(CommitConflictError) as caught:
        stale.overwrite({"id": [1]})
    assert caught.value.kind == "rearranged"
    assert ids_in(tmp_path / "t") == [*range(10), 77]


def test_an_overwrite_that_lost_twice_does_not_take_rows_that_it_never_saw(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 10))
    races = [
        lambda: table.append({"id": [77]}),
        lambda: rewrite_table(writer_of(table), table.refresh().snapshot),
    ]

    def lose(call):
        if call.method == "put_if_absent" and races:
            races.pop(0)()

    store = FaultStore(table._store, before=lose)
    with pytest.raises(CommitConflictError) as caught:
        overwrite(Writer(store), load_snapshot(store), pa.table({"id": [1]}))
    assert caught.value.kind == "rearranged"
    assert ids_in(tmp_path / "t") == [*range(10), 77]


def test_a_conflict_names_who_won_for_whom(tmp_path):
    table = make(tmp_path / "t", range(5))
    stale = lakefmt.open(tmp_path / "t")
    changes = Transaction(writer_of(table), table.snapshot, "RESTORE")
    changes.remove(table.snapshot.files)
    plan = changes.plan()
    won = commit(writer_of(table), table.snapshot, replace(plan, more_info={"userName": "ada"}))
    with pytest.raises(CommitConflictError, match=r"version 2 \(RESTORE by lakefmt/.* for ada\)"):
        stale.overwrite({"id": [1]})
    assert won.version == 2


def test_files_added_by_hand_and_domains_need_their_feature(tmp_path):
    table = make(tmp_path / "t", range(5))
    transaction = Transaction(writer_of(table), table.snapshot)
    with pytest.raises(UnsupportedFeatureError, match="domainMetadata"):
        transaction.set_domain("mine", "{}")
    transaction.set_transaction("job", 3)
    transaction.set_transaction("job", 4)
    assert transaction.commit().transactions["job"].version == 4


def test_a_rewrite_that_certainly_failed_leaves_no_outputs(tmp_path):
    table = make(tmp_path / "t", range(5), range(5, 9))
    before = files_in(tmp_path / "t")

    def change_properties():
        metadata = table.snapshot.metadata
        configuration = {**metadata.configuration, "delta.appendOnly": "true"}
        changes = Changes("SET TBLPROPERTIES", metadata=replace(metadata, configuration=configuration))
        commit(writer_of(table), load_snapshot(table._store), changes)

    with pytest.raises(CommitConflictError, match="appendOnly"):
        rewrite_table(writer_of(table), table.snapshot, between=change_properties)
    assert files_in(tmp_path / "t") == before


def test_a_transaction_is_committed_once(tmp_path):
    table = make(tmp_path / "t")
    transaction = Transaction(writer_of(table), table.snapshot)
    transaction.add_written(stage_rows(writer_of(table), table.snapshot, {"id": [1, 2]}, truncate_ns=False))
    transaction.commit()
    with pytest.raises(InvalidInputError, match="has been committed"):
        transaction.commit()
    assert ids_in(tmp_path / "t") == [1, 2]


def test_files_that_are_committed_twice_are_there_once_and_stay(tmp_path):
    table = make(tmp_path / "t")
    writer = writer_of(table)
    files = stage_rows(writer, table.snapshot, {"id": [1, 2]}, truncate_ns=False)
    append_files(writer, table.snapshot, files)
    with pytest.raises(CommitConflictError, match="added a file that this one adds") as caught:
        append_files(writer, table.snapshot, files)
    assert not caught.value.retry_helps
    assert ids_in(tmp_path / "t") == [1, 2]


def test_a_file_of_the_table_is_not_added_to_it_again(tmp_path):
    # It would be counted twice by the checksum file.
    table = make(tmp_path / "t", range(5))
    transaction = Transaction(writer_of(table), table.snapshot)
    transaction.add(*table.snapshot.files.to_adds())
    with pytest.raises(InvalidInputError, match="is part of the table already"):
        transaction.commit()
    table.append({"id": [5]})
    transaction = Transaction(writer_of(table), table.snapshot)
    first, second = table.snapshot.files.to_adds()
    transaction.add(replace(first, data_change=False))
    transaction.remove(table.snapshot.files.filter(pa.array([False, True])))
    with pytest.raises(InvalidInputError, match="is part of the table already"):
        transaction.commit()
    table.overwrite({"id": [6]})
    transaction = Transaction(writer_of(table), table.snapshot)
    transaction.add(first, second)  # as a restore does
    transaction.commit()
    assert ids_in(tmp_path / "t") == list(range(7))


def test_rewrites_are_checked_before_anything_is_committed(tmp_path):
    table = make(tmp_path / "t", range(5))
    (path,) = paths_of(table.snapshot)
    transaction = Transaction(writer_of(table), table.snapshot)
    with pytest.raises(InvalidInputError, match="numRecords"):
        transaction.stage_rewrite([path], [AddFile("new", {}, 1, 1)])
    transaction = Transaction(writer_of(table), table.snapshot)
    with pytest.raises(InvalidInputError, match="hold 5 rows, its outputs 4"):
        transaction.stage_rewrite([path], [AddFile("new", {}, 1, 1, stats='{"numRecords":4}')])


def test_a_file_that_was_restored_to_another_vector_is_read_as_it_is_now(tmp_path):
    # RESTORE brings back rows that our delete had never seen: both stand, each row once.
    table = make(tmp_path / "t", range(10))
    base = delete(table, table.snapshot, {paths_of(table.snapshot)[0]: [1, 2]})
    (path,) = paths_of(base)
    restore = Transaction(writer_of(table), base, "RESTORE")
    restore.remove(base.files)
    plan = restore.plan()
    (add,) = base.files.to_adds()
    commit(writer_of(table), base, replace(plan, adds=(replace(add, deletion_vector=None),)))
    delete(table, base, {path: [5]})
    assert ids_in(tmp_path / "t") == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert DeletionVectorDescriptor("i", "", 0, 0).offset is None
