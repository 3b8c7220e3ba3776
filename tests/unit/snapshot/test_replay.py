from hypothesis import given
from hypothesis import strategies as st

from lakefmt.log import AddFile, Commit, DomainMetadata, Metadata, Protocol, RemoveFile, TransactionId
from lakefmt.log import DeletionVectorDescriptor as Vector
from lakefmt.manifest import FileList
from lakefmt.snapshot.replay import TableState, reconcile, replay_state

EMPTY = FileList.empty([])


def add(path, vector=None, size=1):
    return AddFile(path, {}, size, 0, deletion_vector=vector)


def remove(path, vector=None):
    return RemoveFile(path, 0, deletion_vector=vector)


def live(files):
    return sorted(files.table["path"].to_pylist())


def test_latest_action_of_a_path_wins():
    commits = [
        Commit(adds=(add("a"), add("b"))),
        Commit(removes=(remove("a"),)),
        Commit(adds=(add("a", size=5),)),
    ]
    files = reconcile(commits, ()).apply(EMPTY)
    assert live(files) == ["a", "b"]
    assert sorted(files.table["size_bytes"].to_pylist()) == [1, 5]


def test_removes_reach_into_the_checkpoint():
    base = FileList.from_adds([add("a"), add("b")], [])
    assert live(reconcile([Commit(removes=(remove("a"),))], ()).apply(base)) == ["b"]


def test_a_file_moves_from_one_vector_to_another_in_one_commit():
    first, second = Vector("u", "x", 1, 1, 1), Vector("u", "y", 1, 2, 1)
    base = FileList.from_adds([add("a", first)], [])
    files = reconcile([Commit(adds=(add("a", second),), removes=(remove("a", first),))], ()).apply(base)
    assert files.table["deletion_vector"].to_pylist()[0]["path_or_inline"] == "y"
    assert files.num_files == 1


def test_added_again_replaces_the_entry_of_the_checkpoint():
    base = FileList.from_adds([add("a", size=1)], [])
    files = reconcile([Commit(adds=(add("a", size=7),))], ()).apply(base)
    assert files.table["size_bytes"].to_pylist() == [7]


def test_latest_protocol_metadata_transaction_and_domain_win():
    empty = TableState(None, None, {}, {})
    first = Commit(
        protocol=Protocol(1, 2),
        metadata=Metadata("1", "{}"),
        transactions=(TransactionId("app", 1),),
        domains=(DomainMetadata("d", "x"), DomainMetadata("e", "x")),
    )
    second = Commit(
        metadata=Metadata("2", "{}"),
        transactions=(TransactionId("app", 2),),
        domains=(DomainMetadata("d", "", removed=True),),
    )
    state = replay_state(empty, [first, second])
    assert state.protocol == Protocol(1, 2)
    assert state.metadata.id == "2"
    assert state.transactions["app"].version == 2
    assert list(state.domains) == ["e"]


ACTIONS = st.lists(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), max_size=3), max_size=8)


@given(ACTIONS, st.integers(0, 8))
def test_replay_from_any_middle_equals_replay_from_the_start(history, cut):
    commits = []
    for step in history:
        seen = {path: is_add for is_add, path in step}  # one action a path and commit, as the protocol asks
        commits.append(
            Commit(
                adds=tuple(add(p) for p, is_add in seen.items() if is_add),
                removes=tuple(remove(p) for p, is_add in seen.items() if not is_add),
            )
        )
    model = set()
    for commit in commits:
        model -= {r.path for r in commit.removes}
        model |= {a.path for a in commit.adds}
    middle = reconcile(commits[:cut], ()).apply(EMPTY)
    assert live(reconcile(commits[cut:], ()).apply(middle)) == sorted(model)
    assert live(reconcile(commits, ()).apply(EMPTY)) == sorted(model)
