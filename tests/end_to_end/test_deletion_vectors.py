"""Tables with deleted rows: right under every form of reading, refused where a vector is not to be trusted."""

from __future__ import annotations

import json
import pickle
import uuid
import zlib
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import lakefmt
from lakefmt.engine.footers import forget_footers
from lakefmt.expressions import parse_predicate
from lakefmt.log import AddFile, Commit, encode_commit
from lakefmt.log.paths import commit_key
from lakefmt.manifest.z85 import encode_z85
from lakefmt.scan.plan import plan_scan
from lakefmt.scan.read import plan_tasks
from lakefmt.store import open_store
from lakefmt.testing.deletion_vectors import delete_positions

ROWS = 1_000
# By the file's number; the second is all but gone, the third is left as it is.
DELETED = {0: range(0, ROWS, 3), 1: range(7, ROWS), 3: [0, 999], 4: range(ROWS)}
LEFT = [
    number * ROWS + place
    for number in range(5)
    for place in range(ROWS)
    if place not in DELETED.get(number, ())
]


def make_table(
    uri: Any, options: dict[str, Any] | None = None, *, files: int = 5, count: bool = True
) -> list[str]:
    """Make a table of files of 1,000 rows in small row groups, and return their paths."""
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.int64()), ("city", pa.string()), ("fare", pa.float64())])
    lakefmt.create(uri, schema, storage_options=options)
    store = open_store(uri, options or {})
    adds = []
    for number in range(files):
        ids = range(number * ROWS, (number + 1) * ROWS)
        rows = pa.table([ids, [f"city-{i % 7}" for i in ids], [i / 4 for i in ids]], schema=schema)
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, row_group_size=130)
        data = sink.getvalue().to_pybytes()
        path = f"part-{number}.parquet"
        store.put(path, data)
        bounds = {"minValues": {"id": ids[0]}, "maxValues": {"id": ids[-1]}, "nullCount": {"id": 0}}
        stats = json.dumps({"numRecords": ROWS} | bounds) if count else json.dumps(bounds)
        adds.append(AddFile(path, {}, len(data), 0, stats=stats))
    store.put(commit_key(1), encode_commit(Commit(adds=tuple(adds))))
    return [add.path for add in adds]


@pytest.fixture(params=["i memory", "u local", "p local", "u/a8 s3", "p s3"])
def table(request: pytest.FixtureRequest, tmp_path: Any) -> lakefmt.Table:
    """Five files, four of them with vectors, by every kind of vector and of storage."""
    kind, storage = request.param.split()
    storage_type, _, prefix = kind.partition("/")
    uri: Any = tmp_path / "table"
    options: dict[str, Any] = {}
    if storage == "memory":
        uri = f"memory://{uuid.uuid4().hex}/table"
    elif storage == "s3":
        uri, options = f"{request.getfixturevalue('s3_bucket')}/table", request.getfixturevalue("s3_options")
    forget_footers()
    paths = make_table(uri, options)
    deleted = {paths[number]: rows for number, rows in DELETED.items()}
    delete_positions(uri, deleted, storage_type=storage_type, prefix=prefix, storage_options=options)
    return lakefmt.open(uri, storage_options=options)


@pytest.fixture
def local_table(tmp_path: Any) -> tuple[str, list[str]]:
    return str(tmp_path / "table"), make_table(tmp_path / "table")


def ids(rows: Any) -> list[int]:
    return sorted(pa.table(rows)["id"].to_pylist())


def read_by_vector(uri: str, descriptor: dict[str, Any]) -> pa.Table:
    """Read a table whose first file has a vector by this descriptor."""
    log = open_store(uri)
    add = next(
        action["add"]
        for line in log.read(commit_key(1)).splitlines()
        if "add" in (action := json.loads(line))
    )
    log.put(commit_key(2), json.dumps({"add": add | {"deletionVector": descriptor}}).encode())
    removal = {"remove": {"path": add["path"], "deletionTimestamp": 0, "dataChange": True}}
    log.put(commit_key(2), log.read(commit_key(2)) + b"\n" + json.dumps(removal).encode())
    return lakefmt.open(uri).to_arrow()


# --- the rows that are there ----------------------------------------------------------------------------------------


def test_deleted_rows_are_gone_in_every_form_of_reading(table):
    assert ids(table.to_arrow()) == LEFT
    assert ids(pa.Table.from_batches(table.to_batches())) == LEFT
    assert ids(table.to_polars().collect().to_arrow()) == LEFT
    assert ids(table.to_duckdb(duckdb.connect(), "t").to_arrow_table()) == LEFT
    assert table.count() == len(LEFT)
    assert table.scan(columns=[]).to_arrow().num_rows == len(LEFT)


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("id >= 0", lambda i: True),
        ("id % 2 = 0", lambda i: i % 2 == 0),
        ("id BETWEEN 120 AND 130", lambda i: 120 <= i <= 130),
        ("id BETWEEN 260 AND 1300", lambda i: 260 <= i <= 1300),
        ("city = 'city-3'", lambda i: i % 7 == 3),
        ("id = 3", lambda i: i == 3),
        ("id IS NULL", lambda i: False),
    ],
)
def test_predicates_pick_among_the_rows_that_are_there(table, where, matches):
    expected = [i for i in LEFT if matches(i)]
    assert ids(table.scan(where=where).to_arrow()) == expected
    assert sorted(table.scan(["fare"], where=where).to_arrow()["fare"].to_pylist()) == [
        i / 4 for i in expected
    ]
    assert table.scan(where=where).count() == len(expected)
    assert table.scan([], where=where).to_arrow().num_rows == len(expected)
    assert ids(table.to_polars().sql(f"SELECT * FROM self WHERE {where}").collect().to_arrow()) == expected
    con = duckdb.connect()
    table.to_duckdb(con, "t")
    assert ids(con.sql(f"SELECT * FROM t WHERE {where}").to_arrow_table()) == expected


@pytest.mark.parametrize("limit", [0, 1, 5, 666, 667, 668, 700, 1_672, 10_000])
def test_limit_counts_rows_that_are_there(table, limit):
    found = table.scan(limit=limit).to_arrow()["id"].to_pylist()
    assert len(set(found)) == len(found) == min(limit, len(LEFT))
    assert set(found) <= set(LEFT)
    assert table.scan(limit=limit).count() == len(found)
    assert table.to_polars().head(limit).collect().height == len(found)


def test_files_say_what_is_left_of_them_and_what_is_deleted(table):
    files = table.files()
    assert files["deleted_rows"].to_pylist() == [len(DELETED.get(number, ())) for number in _numbers(files)]
    assert files["num_rows"].to_pylist() == [ROWS - deleted for deleted in files["deleted_rows"].to_pylist()]


def _numbers(files: pa.Table) -> list[int]:
    return [int(path.split("part-")[1][0]) for path in files["path"].to_pylist()]


def test_older_versions_have_their_own_rows(table):
    assert table.at(version=1).count() == 5 * ROWS
    assert table.at(version=1).to_arrow().num_rows == 5 * ROWS


def test_next_vector_of_a_file_takes_the_place_of_the_first(local_table):
    uri, paths = local_table
    delete_positions(uri, {paths[0]: [1], paths[1]: [2]})
    delete_positions(uri, {paths[0]: [1, 5]}, storage_type="i")
    table = lakefmt.open(uri)
    assert ids(table.to_arrow()) == [i for i in range(5 * ROWS) if i not in (1, 5, ROWS + 2)]
    assert table.files().num_rows == 5
    assert table.count() == 5 * ROWS - 3
    assert lakefmt.open(uri, version=2).count() == 5 * ROWS - 2


def test_overwritten_files_are_removed_with_their_vectors(local_table):
    uri, paths = local_table
    descriptors = delete_positions(uri, {paths[0]: [1], paths[1]: [2]})
    table = lakefmt.open(uri)
    table.append(pa.table({"id": [-1], "city": ["x"], "fare": [0.0]}))
    assert ids(table.to_arrow())[0] == -1
    table.overwrite(pa.table({"id": [1], "city": ["x"], "fare": [0.0]}))
    commit = open_store(uri).read(commit_key(4)).splitlines()
    removes = [action["remove"] for line in commit if "remove" in (action := json.loads(line))]
    vectors = {each["path"]: each.get("deletionVector", {}).get("pathOrInlineDv") for each in removes}
    assert vectors[paths[0]] == vectors[paths[1]] == descriptors[0].path_or_inline
    assert len(vectors) == 6
    assert sum(vector is None for vector in vectors.values()) == 4
    assert ids(lakefmt.open(uri).to_arrow()) == [1]


def test_vector_that_deletes_nothing_may_be_empty(local_table):
    uri, _ = local_table
    empty = {"storageType": "i", "pathOrInlineDv": "", "sizeInBytes": 0, "cardinality": 0}
    assert read_by_vector(uri, empty).num_rows == 5 * ROWS


def test_predicate_may_fail_on_deleted_rows(tmp_path):
    uri = tmp_path / "table"
    lakefmt.write(uri, pa.table({"text": ["1", "no number", "3"]}))
    table = lakefmt.open(uri)
    delete_positions(uri, {table.files()["path"][0].as_py(): [1]})
    table.refresh()
    scan = table.scan(where="CAST(text AS INTEGER) > 1")
    assert (scan.to_arrow()["text"].to_pylist(), scan.count()) == (["3"], 1)


def test_vectors_of_a_clone_lie_in_another_folder_of_the_same_disk(tmp_path, local_table):
    uri, paths = local_table
    delete_positions(uri, {paths[0]: [1], paths[1]: [2]}, prefix="a%20b", storage_type="u")
    source = open_store(uri)
    (folder,) = (path for path in (tmp_path / "table").iterdir() if path.name == "a%20b")
    (file,) = folder.iterdir()
    adds = [
        action["add"]
        for version in (1, 2)
        for line in source.read(commit_key(version)).splitlines()
        if "add" in (action := json.loads(line))
    ]
    clone = open_store(tmp_path / "clone")
    lakefmt.create(tmp_path / "clone", lakefmt.open(uri).schema)
    newest = {add["path"]: add for add in adds}
    lines = []
    for add in newest.values():
        vector = add.get("deletionVector")
        place = f"file://{tmp_path}/table/a%2520b/{file.name}"
        moved = {"deletionVector": vector | {"storageType": "p", "pathOrInlineDv": place}} if vector else {}
        lines.append(json.dumps({"add": add | {"path": f"file://{tmp_path}/table/{add['path']}"} | moved}))
    clone.put(commit_key(1), "\n".join(lines).encode())
    table = lakefmt.open(tmp_path / "clone")
    assert ids(table.to_arrow()) == [i for i in range(5 * ROWS) if i not in (1, ROWS + 2)]
    assert table.count() == 5 * ROWS - 2


# --- what is opened -------------------------------------------------------------------------------------------------


def test_head_opens_one_file_and_one_vector(tmp_path):
    uri = tmp_path / "table"
    paths = make_table(uri, files=30)
    for path in paths:
        delete_positions(uri, {path: range(10, ROWS)}, prefix=path.removesuffix(".parquet"))
    table = lakefmt.open(uri)
    first = table.files()["path"][0].as_py()
    for file in [*uri.glob("*.parquet"), *uri.glob("part-*/deletion_vector_*.bin")]:
        if first.removesuffix(".parquet") not in str(file):
            file.write_bytes(b"")
    assert table.head(5).num_rows == 5
    assert table.scan(limit=10).to_arrow().num_rows == 10
    with pytest.raises(lakefmt.CorruptTableError):
        table.head(11)


def test_count_by_the_log_opens_nothing(local_table, tmp_path):
    uri, paths = local_table
    delete_positions(uri, {paths[0]: [1, 2], paths[1]: [3]})
    for path in [*(tmp_path / "table").glob("part-*"), *(tmp_path / "table").glob("*.bin")]:
        path.unlink()
    forget_footers()
    table = lakefmt.open(uri)
    assert table.count() == 5 * ROWS - 3
    assert table.scan(where="id >= 0").count() == 5 * ROWS - 3
    assert table.scan(where="id < 1000").count() == ROWS - 2


def test_count_without_statistics_opens_footers_and_no_vector(tmp_path):
    paths = make_table(tmp_path / "table", count=False)
    delete_positions(tmp_path / "table", {paths[0]: [1, 2], paths[1]: [3]})
    next((tmp_path / "table").glob("*.bin")).unlink()
    assert lakefmt.open(tmp_path / "table").count() == 5 * ROWS - 3


@pytest.mark.parametrize("table_uri", ["s3"], indirect=True)
def test_one_vector_of_a_file_of_many_is_one_request(table_uri, s3_server):
    uri, options = table_uri
    paths = make_table(uri, options)
    delete_positions(uri, {path: range(0, ROWS, 2) for path in paths}, storage_options=options)
    table = lakefmt.open(uri, storage_options=options)
    s3_server.gate.forget()
    assert table.scan(where="id BETWEEN 2000 AND 2999").to_arrow().num_rows == ROWS // 2
    assert len(s3_server.gate.requests("GET", "deletion_vector")) == 1
    assert not s3_server.gate.requests("HEAD", "deletion_vector")
    s3_server.gate.forget()
    assert table.scan(where="id = 2000").to_arrow().num_rows == 0
    assert table.scan(where="id = 3000.5").to_arrow().num_rows == 0
    assert len(s3_server.gate.requests("GET", "deletion_vector")) == 1


def test_tasks_with_vectors_pickle(local_table):
    uri, paths = local_table
    delete_positions(uri, {paths[0]: [1]}, storage_type="p")
    table = lakefmt.open(uri)
    store = open_store(uri)
    plan = plan_scan(table.snapshot, table.schema, parse_predicate("id < 5", table.schema))
    (task,) = plan_tasks(store, plan)
    task.rows.load(store, task.key, ROWS)
    copy = pickle.loads(pickle.dumps(task))
    assert (copy.key, copy.size_bytes) == (task.key, task.size_bytes)
    assert copy.rows.load(store, copy.key, ROWS).keep(0, 3).to_pylist() == [True, False, True]


# --- what is refused ------------------------------------------------------------------------------------------------


def stored(
    bits: bytes, *, size: int | None = None, checksum: int | None = None, version: bytes = b"\x01"
) -> bytes:
    checksum = zlib.crc32(bits) if checksum is None else checksum
    return (
        version
        + (len(bits) if size is None else size).to_bytes(4, "big")
        + bits
        + checksum.to_bytes(4, "big")
    )


VECTOR = (
    bytes.fromhex("d1d33964010000000000000000000000")
    + bytes.fromhex("3a300000010000000000010010000000")
    + b"\1\0\5\0"
)
FILE = "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
NAME = "^-aqEH.-t@S}K{vb[*k^"
GOOD = {"storageType": "u", "pathOrInlineDv": NAME, "offset": 1, "sizeInBytes": len(VECTOR), "cardinality": 2}


@pytest.mark.parametrize("offset", [None, 0, 1])
def test_vector_at_the_beginning_of_its_file_is_found_by_any_offset(local_table, offset):
    uri, _ = local_table
    open_store(uri).put(FILE, stored(VECTOR))
    assert ids(read_by_vector(uri, GOOD | {"offset": offset}))[:5] == [0, 2, 3, 4, 6]


def test_vector_far_into_its_file_is_found(local_table):
    uri, _ = local_table
    open_store(uri).put(FILE, b"\x01" + b"?" * 10_000 + stored(VECTOR)[1:] + b"?" * 100)
    assert read_by_vector(uri, GOOD | {"offset": 10_001}).num_rows == 5 * ROWS - 2


@pytest.mark.parametrize(
    ("file", "change", "why"),
    [
        (None, {}, "its file is missing"),
        (b"", {}, "file begins with b''"),
        (stored(VECTOR)[:-1], {}, "ends before it is complete"),
        (stored(VECTOR), {"offset": 2_000}, "ends before"),
        (stored(VECTOR), {"offset": 2_000_000}, "ends before"),
        (stored(VECTOR), {"offset": 5}, "its file gives it"),
        (stored(VECTOR), {"sizeInBytes": len(VECTOR) - 2}, "its file gives it 36 bytes"),
        (stored(VECTOR, size=34), {}, "its file gives it 34 bytes"),
        (stored(VECTOR, version=b"\x02"), {}, "not with version 1"),
        (stored(VECTOR, checksum=1), {}, "checksum"),
        (stored(b"\0" * 36), {}, "magic number"),
        (stored(VECTOR[:-2]), {"sizeInBytes": len(VECTOR) - 2}, "deserialize"),
        (stored(VECTOR), {"cardinality": 3}, "deletes 2 rows, the log says 3"),
        (stored(VECTOR), {"cardinality": 1}, "deletes 2 rows, the log says 1"),
        (stored(VECTOR), {"cardinality": 1_001}, "1,001 of 1,000 rows"),
        (stored(VECTOR[:-2] + b"\xe8\x03"), {}, "deletes row 1,000 of a file of 1,000 rows"),
        (stored(VECTOR), {"sizeInBytes": 2**31 - 1}, "2,147,483,647 bytes, more than"),
        (stored(VECTOR), {"sizeInBytes": 0}, "deletes 0 rows"),
        (stored(VECTOR), {"pathOrInlineDv": "short"}, "UUID|bytes"),
        (stored(VECTOR), {"pathOrInlineDv": ""}, "UUID|bytes"),
        (stored(VECTOR), {"pathOrInlineDv": NAME[:-1] + ";"}, "no character of Z85"),
        (stored(VECTOR), {"pathOrInlineDv": f"../..{NAME}"}, "no key of an object"),
        (stored(VECTOR), {"pathOrInlineDv": f"/etc{NAME}"}, "no key of an object"),
        (stored(VECTOR), {"storageType": "p", "pathOrInlineDv": FILE}, "absolute path"),
        (None, {"storageType": "i", "offset": None, "pathOrInlineDv": "abcd"}, "multiple of five"),
        (None, {"storageType": "i", "offset": None, "pathOrInlineDv": encode_z85(VECTOR) + "00000"}, "its text holds"),
    ],
)  # fmt: skip
def test_vector_that_is_not_what_the_log_says_is_refused(local_table, file, change, why):
    uri, paths = local_table
    if file is not None:
        open_store(uri).put(FILE, file)
    with pytest.raises(lakefmt.CorruptTableError, match=why) as caught:
        read_by_vector(uri, GOOD | change)
    assert f"data file {paths[0]}" in str(caught.value)
    assert caught.value.table is not None
    assert caught.value.version == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"storageType": "r", "pathOrInlineDv": FILE}, "storage type 'r'"),
        ({"storageType": "p", "pathOrInlineDv": f"s3://elsewhere/{FILE}"}, "another store"),
    ],
)
def test_vector_kept_where_this_release_cannot_reach_is_refused(local_table, change, why):
    uri, _ = local_table
    with pytest.raises(lakefmt.UnsupportedFeatureError, match=why):
        read_by_vector(uri, GOOD | change)


def test_count_does_not_believe_in_more_deleted_rows_than_there_are(local_table):
    uri, paths = local_table
    delete_positions(uri, {paths[1]: range(ROWS + 1)}, storage_type="i")
    with pytest.raises(lakefmt.CorruptTableError, match="fewer rows of a file than none") as caught:
        lakefmt.open(uri).count()
    assert caught.value.path == paths[1]
