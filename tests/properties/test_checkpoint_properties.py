"""A checkpoint of any layout gives the files that it lists, and a predicate leaves out none that it may need."""

import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.expressions import parse_predicate
from lakefmt.log import load_segment
from lakefmt.manifest import Checkpoint
from lakefmt.scan.prune import PredicatePruner, prune
from lakefmt.schema import Schema
from lakefmt.store import open_store

SCHEMA = Schema.from_arrow({"id": "long", "name": "string", "x": "double", "day": "date"})
DAYS = ["2026-01-01", "2026-01-02", None]
METADATA = {
    "id": "t",
    "format": {"provider": "parquet", "options": []},
    "schemaString": json.dumps(
        {
            "type": "struct",
            "fields": [
                {"name": each.name, "type": each.type.name, "nullable": True, "metadata": {}}
                for each in SCHEMA.fields
            ],
        }
    ),
    "partitionColumns": ["day"],
    "configuration": [],
}
BOUNDS = [("id", pa.int64()), ("name", pa.string()), ("x", pa.float64())]
STATS_PARSED = pa.struct(
    [
        ("numRecords", pa.int64()),
        ("minValues", pa.struct(BOUNDS)),
        ("maxValues", pa.struct(BOUNDS)),
        ("nullCount", pa.struct([(name, pa.int64()) for name, _ in BOUNDS])),
    ]
)
MAP = pa.map_(pa.string(), pa.string())
ADD = [
    ("path", pa.string()),
    ("partitionValues", MAP),
    ("size", pa.int64()),
    ("modificationTime", pa.int64()),
    ("dataChange", pa.bool_()),
    ("tags", MAP),
]
TYPES = {
    "protocol": pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())]),
    "metaData": pa.struct(
        [
            ("id", pa.string()),
            ("format", pa.struct([("provider", pa.string()), ("options", MAP)])),
            ("schemaString", pa.string()),
            ("partitionColumns", pa.list_(pa.string())),
            ("configuration", MAP),
        ]
    ),
    "remove": pa.struct([("path", pa.string()), ("deletionTimestamp", pa.int64())]),
    "txn": pa.struct([("appId", pa.string()), ("version", pa.int64())]),
}

NUMBERS = st.integers(-20, 20)
VALUES = st.none() | st.tuples(NUMBERS, st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
# What a file holds: bounds of id (name and x follow from them), the day, whether it has statistics, and nulls.
FILES = st.lists(
    st.tuples(VALUES, st.sampled_from(DAYS), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25
)
WHERE = st.one_of(
    NUMBERS.map("id = {}".format),
    NUMBERS.map("id > {}".format),
    NUMBERS.map("x <= {}".format),
    NUMBERS.map(lambda n: f"name = '{n:+04d}'"),
    NUMBERS.map(lambda n: f"day = DATE '2026-01-02' AND id < {n}"),
    NUMBERS.map(lambda n: f"NOT (id = {n}) OR day IS NULL"),
    st.just("id IS NULL"),
    st.just("name IS NOT NULL"),
    st.just("day = DATE '2026-01-01'"),
)


def statistics_of(file):
    values, _, known, nulls = file
    if not known:
        return None
    least, greatest = values or (None, None)
    counts = dict.fromkeys(("id", "name", "x"), 10 if values is None else nulls)
    return {
        "numRecords": 10,
        "minValues": bounds_of(least),
        "maxValues": bounds_of(greatest),
        "nullCount": counts,
    }


def bounds_of(number):
    if number is None:
        return {"id": None, "name": None, "x": None}
    return {"id": number, "name": f"{number:+04d}", "x": float(number)}


def rows_of(files, draw_other):
    rows = []
    for number, file in enumerate(files):
        rows += draw_other(number)
        stats = statistics_of(file)
        rows.append(
            {
                "add": {
                    "path": f"f{number}",
                    "partitionValues": [("day", file[1])],
                    "size": number,
                    "modificationTime": 1,
                    "dataChange": False,
                    "stats": None if stats is None else json.dumps(stats),
                    "stats_parsed": stats,
                    "partitionValues_parsed": {"day": file[1]},
                    "tags": None,
                }
            }
        )
    return rows


def write_actions(path, rows, forms, group_rows):
    add = list(ADD)
    if "json" in forms:
        add.append(("stats", pa.string()))
    if "typed" in forms:
        add += [("stats_parsed", STATS_PARSED), ("partitionValues_parsed", pa.struct([("day", pa.date32())]))]
    types = {"add": pa.struct(add), **TYPES}
    columns = {}
    for kind, type_ in types.items():
        values = [row.get(kind) for row in rows]
        if kind == "add":
            names = [name for name, _ in add]
            values = [None if each is None else {name: each[name] for name in names} for each in values]
            for each in values:
                if each and "partitionValues_parsed" in each and each["partitionValues_parsed"]["day"]:
                    day = pa.scalar(each["partitionValues_parsed"]["day"]).cast(pa.date32()).as_py()
                    each["partitionValues_parsed"] = {"day": day}
        columns[kind] = pa.array(values, type_)
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)


def matches(file, where_values, predicate):
    """Whether a file can hold a row that the predicate means: some row within what is known of it does."""
    values, day, known, nulls = file
    ids = (
        [None]
        if known and values is None
        else [*range(*(values[0], values[1] + 1))]
        if known
        else range(-30, 31)
    )
    ids = [*ids, None] if (not known or nulls) and None not in ids else list(ids)
    table = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": pa.array([None if i is None else f"{i:+04d}" for i in ids], pa.string()),
            "x": pa.array([None if i is None else float(i) for i in ids], pa.float64()),
            "day": pa.array([day] * len(ids), pa.string()).cast(pa.date32()),
        }
    )
    return predicate.matches(table.select(list(predicate.columns))).true_count > 0


class Everything:
    def may_match(self, _bounds_of, count):
        return pa.array([True] * count)

    def choose(self, files):
        return pa.array([True] * files.num_files)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_file_that_may_match_is_left_out_and_none_is_made_up(data):
    files = data.draw(FILES)
    forms = data.draw(st.sampled_from([{"json"}, {"typed"}, {"json", "typed"}, set()]))
    others = st.lists(
        st.sampled_from(
            [{"remove": {"path": "gone", "deletionTimestamp": 1}}, {"txn": {"appId": "a", "version": 1}}]
        ),
        max_size=2,
    )
    rows = rows_of(files, lambda _: data.draw(others))
    state = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": METADATA}]
    place = data.draw(st.integers(0, len(rows)))
    rows[place:place] = state
    predicate = parse_predicate(data.draw(WHERE), SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "_delta_log"
        log.mkdir()
        write_actions(log / f"{3:020d}.checkpoint.parquet", rows, forms, data.draw(st.integers(1, 8)))
        store = open_store(folder)
        checkpoint = Checkpoint(store, load_segment(store).checkpoint)
        assert checkpoint.state.metadata.partition_columns == ("day",)
        assert checkpoint.state.protocol.min_writer_version == 2
        everything = checkpoint.files(["day"])
        assert everything.table["path"].to_pylist() == [f"f{n}" for n in range(len(files))]
        counts = checkpoint.files(["day"], counts=True).num_records().to_pylist()
        assert counts == [10 if forms and known else None for _, _, known, _ in files]
        pruner = PredicatePruner(predicate, SCHEMA, ("day",))
        chosen = checkpoint.choose(pruner, ["day"], schema=SCHEMA, partition_columns=("day",))
        paths = chosen.table["path"].to_pylist()
        with_statistics = checkpoint.choose(Everything(), ["day"], schema=SCHEMA, partition_columns=("day",))
        listed = (
            with_statistics.filter(prune(with_statistics, predicate, SCHEMA, ("day",)))
            .table["path"]
            .to_pylist()
        )
        assert paths == listed
        # Asked again and again, it keeps all files at hand, and chooses the same among them.
        for _ in range(3):
            again = checkpoint.choose(pruner, ["day"], schema=SCHEMA, partition_columns=("day",))
            assert again.table["path"].to_pylist() == paths
        wanted = [f"f{n}" for n, file in enumerate(files) if matches(file, None, predicate)]
        assert set(wanted) <= set(paths)
        count = data.draw(st.integers(1, 30))
        first = checkpoint.first_files(count, ["day"]).table["path"].to_pylist()
        assert first == [f"f{n}" for n in range(len(first))]
        assert len(first) >= min(count, len(files))
