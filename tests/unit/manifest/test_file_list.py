import pickle

import pyarrow as pa
import pytest

from lakefmt.log import AddFile, DeletionVectorDescriptor
from lakefmt.manifest import FileList
from lakefmt.schema import Schema

VECTOR = DeletionVectorDescriptor("u", "abc", 40, 6, 4)


def add(path, vector=None, **values):
    return AddFile(
        path,
        values,
        10,
        20,
        stats="{}",
        tags={"k": "v"},
        deletion_vector=vector,
        base_row_id=7,
        default_row_commit_version=3,
        clustering_provider="liquid",
    )


def paths(files):
    return files.table["path"].to_pylist()


def test_adds_become_columns():
    files = FileList.from_adds([add("a", p="1"), add("b", VECTOR, p=None)], ["p"])
    assert files.table.to_pylist() == [
        {
            "path": "a",
            "size_bytes": 10,
            "modified_ms": 20,
            "partition_values": {"p": "1"},
            "stats": "{}",
            "tags": [("k", "v")],
            "deletion_vector": None,
            "num_records": None,
            "base_row_id": 7,
            "default_row_commit_version": 3,
            "clustering_provider": "liquid",
        },
        {
            "path": "b",
            "size_bytes": 10,
            "modified_ms": 20,
            "partition_values": {"p": None},
            "stats": "{}",
            "tags": [("k", "v")],
            "deletion_vector": {
                "storage_type": "u",
                "path_or_inline": "abc",
                "offset": 4,
                "size_bytes": 40,
                "cardinality": 6,
            },
            "num_records": None,
            "base_row_id": 7,
            "default_row_commit_version": 3,
            "clustering_provider": "liquid",
        },
    ]
    assert files.has_deletion_vectors
    assert files.size_bytes == 20


def test_empty_list_has_no_files():
    files = FileList.empty([])
    assert (files.num_files, files.size_bytes, files.has_deletion_vectors) == (0, 0, False)


def test_unpartitioned_lists_filter_and_concatenate():
    files = FileList.from_adds([add("a"), add("b")], [])
    both = files.filter(pa.array([False, True])).concat(FileList.from_adds([add("c")], []))
    assert paths(both) == ["b", "c"]


def test_logical_files_are_dropped_by_path_and_vector():
    files = FileList.from_adds([add("a"), add("b", VECTOR), add("c")], [])
    assert paths(files.without([("a", None), ("b", None)])) == ["b", "c"]
    assert paths(files.without([("b", "uabc@4")])) == ["a", "c"]
    assert paths(files.without([("b", "uabc@5")])) == ["a", "b", "c"]


@pytest.mark.parametrize("columns", [[], ["p", "q"]])
def test_removes_carry_what_a_reader_of_tombstones_needs(columns):
    values = dict.fromkeys(columns, "1")
    files = FileList.from_adds([add("a", VECTOR, **values)], columns)
    (remove,) = files.to_removes(99)
    assert (remove.path, remove.deleted_ms, remove.size_bytes) == ("a", 99, 10)
    assert remove.partition_values == values
    assert remove.deletion_vector == VECTOR


def test_statistics_once_parsed_stay_with_the_list_and_with_no_copy_of_it():
    bounds = '{"numRecords": 3, "minValues": {"a": 1}, "maxValues": {"a": 2}}'
    files = FileList.from_adds([AddFile(name, {}, 1, 1, stats=bounds) for name in "pqrst"], [])
    schema, same = Schema.from_arrow({"a": "long"}), Schema.from_arrow({"a": "long"})
    assert not files.keeps_statistics(schema, [("a",)], wanted=1)
    assert files.keeps_statistics(schema, [("a",)], wanted=2)
    first = files.statistics(schema, [("a",)])
    assert files.statistics(schema, [("a",)]) is first
    # Columns that compare equal may have been of other types once.
    assert files.statistics(same, [("a",)]) is not first
    assert files.keeps_statistics(schema, [("a",)], wanted=1)
    assert files.filter(pa.array([True] * 5)) is files
    assert files.filter(pa.array([True] * 4 + [None])).num_files == 4
    assert not pickle.loads(pickle.dumps(files)).keeps_statistics(schema, [("a",)], wanted=1)
