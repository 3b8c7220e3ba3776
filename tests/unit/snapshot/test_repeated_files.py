"""Logs in which a data file stands in a version twice, or under two spellings of its path."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.testing.deletion_vectors import delete_positions
from lakefmt.testing.foreign_table import ForeignTable, column

ROWS = pa.table({"id": [1, 2, 3]})


def commit_of(folder, version):
    return folder / "_delta_log" / f"{version:020d}.json"


def actions_of(folder, version):
    return [json.loads(line) for line in commit_of(folder, version).read_text().splitlines()]


def write_commit(folder, version, *actions):
    commit_of(folder, version).write_text("".join(json.dumps(action) + "\n" for action in actions))


def ids(folder):
    return sorted(lakefmt.open(folder).to_arrow()["id"].to_pylist())


def every_read(folder):
    """Return the reads that meet every file of a table."""
    table = lakefmt.open(folder)
    return [
        table.to_arrow,
        table.count,
        table.files,
        lambda: table.scan(where="id = 2").to_arrow(),
        table.head,
    ]


@pytest.fixture
def deleted_from(tmp_path):
    """A file whose second row was deleted by a vector, but never removed as it was before."""
    folder = tmp_path / "t"
    table = lakefmt.write(folder, ROWS)
    delete_positions(folder, {table.files()["log_path"][0].as_py(): [1]})
    last = lakefmt.open(folder).version
    write_commit(folder, last, *[a for a in actions_of(folder, last) if "remove" not in a])
    return folder


def test_a_file_added_again_with_a_vector_and_never_removed_is_refused(deleted_from):
    for read in every_read(deleted_from):
        with pytest.raises(CorruptTableError, match="with another deletion vector") as caught:
            read()
        assert caught.value.version == 2
        assert caught.value.path == lakefmt.open(deleted_from, version=1).files()["log_path"][0].as_py()
    assert lakefmt.open(deleted_from, version=1).count() == 3


def test_the_same_over_a_checkpoint_is_refused(deleted_from, checkpoint):
    checkpoint(deleted_from, 1, [a["add"] for a in actions_of(deleted_from, 1) if "add" in a])
    for read in every_read(deleted_from):
        with pytest.raises(CorruptTableError, match="with another deletion vector"):
            read()


def test_a_handle_that_advances_over_such_a_commit_refuses_too(deleted_from):
    second = commit_of(deleted_from, 2)
    kept = second.read_bytes()
    second.unlink()
    table = lakefmt.open(deleted_from)
    assert table.files().num_rows == 1
    second.write_bytes(kept)
    table.refresh()
    with pytest.raises(CorruptTableError, match="with another deletion vector"):
        table.files()


@pytest.fixture
def checkpoint():
    """Writes a checkpoint of some adds over the protocol and metadata of versions 0 and 1."""

    def write(folder, version, adds, *, keep_commits=False):
        first = [action for v in range(version + 1) for action in actions_of(folder, v)]
        rows = [{"protocol": next(a["protocol"] for a in first if "protocol" in a)}]
        metadata = next(a["metaData"] for a in first if "metaData" in a)
        rows.append({"metaData": {**metadata, "configuration": list(metadata["configuration"].items())}})
        rows += [{"add": {**add, "partitionValues": list(add["partitionValues"].items())}} for add in adds]
        for row in rows:
            row.get("metaData", {}).pop("format", None)
        texts = pa.map_(pa.string(), pa.string())
        kinds = {
            name: pa.array([row.get(name) for row in rows]).type for name in ("protocol", "metaData", "add")
        }
        for name, member in (("metaData", "configuration"), ("add", "partitionValues")):
            if name in kinds and pa.types.is_struct(kinds[name]):
                fields = [f if f.name != member else pa.field(member, texts) for f in kinds[name].fields]
                kinds[name] = pa.struct(fields)
        columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
        pq.write_table(pa.table(columns), folder / "_delta_log" / f"{version:020d}.checkpoint.parquet")
        if not keep_commits:
            for v in range(version + 1):
                commit_of(folder, v).unlink()

    return write


@pytest.fixture
def one_file(tmp_path):
    ForeignTable(tmp_path / "t", [column("id", "long")]).add(ROWS)
    return tmp_path / "t"


def test_a_checkpoint_that_lists_one_file_twice_alike_has_it_once(one_file, checkpoint):
    (add,) = [a["add"] for a in actions_of(one_file, 0) if "add" in a]
    checkpoint(one_file, 0, [add, add])
    assert ids(one_file) == [1, 2, 3]
    assert lakefmt.open(one_file).files().num_rows == 1
    assert lakefmt.open(one_file).count() == 3
    assert lakefmt.open(one_file).scan(where="id > 1").count() == 2


def test_a_checkpoint_that_lists_one_path_as_two_files_is_refused(one_file, checkpoint):
    (add,) = [a["add"] for a in actions_of(one_file, 0) if "add" in a]
    checkpoint(one_file, 0, [add, {**add, "size": add["size"] + 1}])
    for read in every_read(one_file):
        with pytest.raises(CorruptTableError, match=r"lists 'part-0\.parquet' more than once") as caught:
            read()
        assert caught.value.version == 0


def test_commits_stand_for_a_checkpoint_that_lists_one_path_as_two_files(one_file, checkpoint):
    (add,) = [a["add"] for a in actions_of(one_file, 0) if "add" in a]
    checkpoint(one_file, 0, [add, {**add, "size": add["size"] + 1}], keep_commits=True)
    assert ids(one_file) == [1, 2, 3]


@pytest.mark.parametrize(
    ("added", "removed"),
    [
        ("a b.parquet", "a%20b.parquet"),
        ("a%20b.parquet", "a b.parquet"),
        ("%61%20b.parquet", "a%20b.parquet"),
    ],
)
def test_a_remove_finds_its_file_however_either_is_spelled(tmp_path, checkpoint, added, removed):
    folder = tmp_path / "t"
    folder.mkdir()
    for name in ("a b.parquet", "other.parquet"):
        pq.write_table(ROWS, folder / name)
    table = ForeignTable(folder, [column("id", "long")]).add_file("a b.parquet").add_file("other.parquet")
    table.adds[0]["path"] = added
    table.write_log()
    assert ids(folder) == [1, 1, 2, 2, 3, 3]
    write_commit(folder, 1, {"remove": {"path": removed, "deletionTimestamp": 0, "dataChange": True}})
    assert ids(folder) == [1, 2, 3]
    checkpoint(folder, 0, table.adds)
    assert ids(folder) == [1, 2, 3]
    assert lakefmt.open(folder).scan(where="id = 1").count() == 1


def test_absolute_paths_are_one_file_however_they_are_spelled(tmp_path, checkpoint):
    folder = tmp_path / "t"
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    pq.write_table(ROWS, elsewhere / "x.parquet")
    table = ForeignTable(folder, [column("id", "long")]).add(ROWS)
    spelled = str(elsewhere / "x.parquet").replace(" ", "%20")
    size = (elsewhere / "x.parquet").stat().st_size
    add = {"partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
    table.adds.append({"path": spelled, **add})
    table.write_log()
    write_commit(folder, 1, {"add": {"path": f"file:{spelled}", **add}})
    assert ids(folder) == [1, 1, 2, 2, 3, 3]
    write_commit(
        folder, 2, {"remove": {"path": f"file://{spelled}", "deletionTimestamp": 0, "dataChange": True}}
    )
    assert ids(folder) == [1, 2, 3]
    checkpoint(folder, 0, table.adds)
    assert ids(folder) == [1, 2, 3]
