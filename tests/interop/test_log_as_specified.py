"""What is on disk, looked at by an independent little checker that knows the protocol's text and no code of ours."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt

if TYPE_CHECKING:
    from pathlib import Path

ACTIONS = {"commitInfo", "protocol", "metaData", "add", "remove", "txn", "domainMetadata", "cdc"}
REQUIRED = {
    "protocol": {"minReaderVersion", "minWriterVersion"},
    "metaData": {"id", "format", "schemaString", "partitionColumns", "configuration"},
    "add": {"path", "partitionValues", "size", "modificationTime", "dataChange"},
    "remove": {"path", "dataChange"},
    "txn": {"appId", "version"},
    "domainMetadata": {"domain", "configuration", "removed"},
    "commitInfo": {"timestamp", "operation", "txnId"},
}
FILE_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-0_[^_/]+_(\d{17})\.parquet")
FIELD_ID_LIMIT = 2147483447


class Checked:
    """A table's log and files, checked while they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = sorted(path.name for path in (folder / "_delta_log").iterdir() if path.suffix == ".json")
        assert names == [f"{version:020}.json" for version in range(len(names))]
        self.commits = [self._read_commit(folder / "_delta_log" / name) for name in names]
        transactions = [info["txnId"] for info in self.actions("commitInfo")]
        assert len(transactions) == len(names)
        assert len({uuid.UUID(txn) for txn in transactions}) == len(names)
        (self.metadata, *_) = reversed(list(self.actions("metaData")))
        (self.protocol, *_) = reversed(list(self.actions("protocol")))
        self.partition_columns = self.metadata["partitionColumns"]
        self.schema = json.loads(self.metadata["schemaString"])
        self._check_protocol()
        self._check_schema(self.schema)
        self.adds = list(self.actions("add"))
        self.files = {}
        for add in self.adds:
            self._check_add(add)
            self.files[add["path"]] = self._check_file(add)
        self._check_removes()

    def actions(self, kind):
        return (line[kind] for commit in self.commits for line in commit if kind in line)

    def _read_commit(self, path):
        text = path.read_bytes().decode("utf-8")
        assert text.endswith("\n")
        lines = [json.loads(line, object_pairs_hook=without_duplicates) for line in text.splitlines()]
        assert "commitInfo" in lines[0]
        for line in lines:
            ((kind, value),) = line.items()
            assert kind in ACTIONS
            assert set(value) >= REQUIRED.get(kind, set()), (kind, value)
            assert None not in value.values(), "null stands for an absent optional field"
        paths = [(kind, line[kind]["path"]) for line in lines for kind in ("add", "remove") if kind in line]
        assert len(set(paths)) == len(paths)
        return lines

    def _check_protocol(self):
        reader, writer = self.protocol["minReaderVersion"], self.protocol["minWriterVersion"]
        assert (reader, writer) in {(1, 2), (1, 7), (3, 7)}
        assert ("readerFeatures" in self.protocol) == (reader == 3)
        assert ("writerFeatures" in self.protocol) == (writer == 7)
        if reader == 3:
            assert set(self.protocol["readerFeatures"]) <= set(self.protocol["writerFeatures"])
        configuration = self.metadata["configuration"]
        assert all(isinstance(value, str) for value in configuration.values())
        if configuration.get("delta.enableDeletionVectors") == "true":
            assert "deletionVectors" in self.protocol["readerFeatures"]
        if "timestamp_ntz" in self.metadata["schemaString"]:
            assert "timestampNtz" in self.protocol["readerFeatures"]
        assert self.metadata["format"]["provider"] == "parquet"
        uuid.UUID(self.metadata["id"])

    def _check_schema(self, kind):
        if isinstance(kind, str):
            assert re.fullmatch(
                r"string|long|integer|short|byte|float|double|boolean|binary|date|timestamp|timestamp_ntz"
                r"|decimal\(\d+,\d+\)",
                kind,
            ), kind
            return
        match kind["type"]:
            case "struct":
                for field in kind["fields"]:
                    assert set(field) == {"name", "type", "nullable", "metadata"}
                    assert not any(key.startswith("delta.columnMapping") for key in field["metadata"])
                    self._check_schema(field["type"])
            case "array":
                assert set(kind) == {"type", "elementType", "containsNull"}
                self._check_schema(kind["elementType"])
            case "map":
                assert set(kind) == {"type", "keyType", "valueType", "valueContainsNull"}
                self._check_schema(kind["keyType"])
                self._check_schema(kind["valueType"])

    def _check_add(self, add):
        path = unquote(add["path"])
        assert not re.search(r"[ \"<>\\^`{|}#?\x00-\x1f]", add["path"]), "not a URI"
        match = FILE_NAME.fullmatch(path.rpartition("/")[2])
        assert match, path
        dt.datetime.strptime(match[2][:14], "%Y%m%d%H%M%S")
        assert path.count("/") == len(self.partition_columns)
        assert list(add["partitionValues"]) == self.partition_columns
        for part, (name, value) in zip(path.split("/"), add["partitionValues"].items(), strict=False):
            assert value != "", "null, not the empty text, is what readers agree on"
            folder_name, _, folder_value = part.partition("=")
            assert unquote(folder_name) == name
            assert unquote(folder_value) == ("__HIVE_DEFAULT_PARTITION__" if value is None else value)
        assert add["size"] == (self.folder / path).stat().st_size
        assert add["dataChange"] is True

    def _check_file(self, add):
        file = pq.ParquetFile(self.folder / unquote(add["path"]))
        metadata, leaves = file.metadata, file.metadata.schema
        arrow = file.schema_arrow
        names = [
            field["name"] for field in self.schema["fields"] if field["name"] not in self.partition_columns
        ]
        assert arrow.names == names + self.partition_columns, "partition columns are last, in their order"
        ids = [int(number) for number in field_ids(arrow)]
        assert len(set(ids)) == len(ids)
        assert all(0 < number < FIELD_ID_LIMIT for number in ids)
        for leaf in range(len(leaves)):
            column = leaves.column(leaf)
            assert column.physical_type != "INT96"
            if column.logical_type.type == "TIMESTAMP":
                assert json.loads(column.logical_type.to_json())["timeUnit"] == "microseconds"
        self._check_partition_columns(add, file)
        self._check_statistics(add, file)
        assert json.loads(add["stats"])["numRecords"] == metadata.num_rows > 0
        return {name: ids_of_field(arrow.field(name)) for name in arrow.names}

    def _check_partition_columns(self, add, file):
        if not self.partition_columns:
            return
        rows = file.read(columns=self.partition_columns)
        for name in self.partition_columns:
            values = {repr(value) for value in rows[name].to_pylist()}
            assert len(values) == 1, "one value throughout a file"
            assert (values == {"None"}) == (add["partitionValues"][name] is None)

    def _check_statistics(self, add, file):
        stats = json.loads(add["stats"])
        assert set(stats) == {"numRecords", "minValues", "maxValues", "nullCount", "tightBounds"}
        for part in ("minValues", "maxValues", "nullCount"):
            assert not set(stats[part]) & set(self.partition_columns)
        rows = file.read()
        for position, field in enumerate(rows.schema):
            name, values = field.name, [value for value in rows[field.name].to_pylist() if value is not None]
            if name in self.partition_columns or pa.types.is_nested(field.type):
                continue
            assert stats["nullCount"][name] == rows.num_rows - len(values)
            least, greatest = stats["minValues"].get(name), stats["maxValues"].get(name)
            if not values:
                assert least is greatest is None
            if pa.types.is_floating(field.type) and any(map(math.isnan, values)):
                assert greatest is None, "no number bounds NaN"
                leaf = leaf_of(file, name)
                for group in range(file.metadata.num_row_groups):
                    assert not file.metadata.row_group(group).column(leaf).is_stats_set, (name, position)
                continue
            for value in values:
                assert least is None or below(parse_bound(least, value), value)
                assert greatest is None or below(value, parse_bound(greatest, value))

    def _check_removes(self):
        live: set[str] = set()
        for commit in self.commits:
            for line in commit:
                if "remove" in line:
                    remove = line["remove"]
                    assert remove["path"] in live
                    assert remove["deletionTimestamp"] > 1_600_000_000_000
                    assert remove["extendedFileMetadata"] is True
                    assert {"partitionValues", "size"} <= set(remove)
                    live.discard(remove["path"])
            live |= {line["add"]["path"] for line in commit if "add" in line}


def without_duplicates(pairs):
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def field_ids(schema):
    """The field id of every field, members of lists, maps and structs included; each must have one."""
    for field in schema:
        yield from ids_of_field(field).values()


def ids_of_field(field, parents=()):
    path = (*parents, field.name)
    found = {path: field.metadata[b"PARQUET:field_id"]}
    kind = field.type
    if pa.types.is_map(kind):
        members = [kind.key_field, kind.item_field]
    elif pa.types.is_nested(kind):
        members = [kind.field(i) for i in range(kind.num_fields)]
    else:
        members = []
    for member in members:
        found |= ids_of_field(member, path)
    return found


def leaf_of(file, name):
    leaves = file.metadata.schema
    return next(leaf for leaf in range(len(leaves)) if leaves.column(leaf).path == name)


def parse_bound(bound, like):
    match like:
        case dt.datetime():
            moment = dt.datetime.fromisoformat(bound)
            assert (moment.tzinfo is None) == (like.tzinfo is None)
            return moment
        case dt.date():
            return dt.date.fromisoformat(bound)
        case Decimal():
            return Decimal(str(bound))
        case _:
            return bound


def below(left, right):
    """Whether left <= right in the readers' order: texts by their UTF-8 bytes."""
    if isinstance(left, str):
        return left.encode() <= right.encode()
    return left <= right


# --- tables to check -------------------------------------------------------------------------------------------

UTC = dt.UTC
EVERYTHING = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "byte": pa.array([-1, None, 127], pa.int8()),
        "x": pa.array([1.0, math.nan, 3.0]),
        "y": pa.array([-0.0, None, math.inf], pa.float32()),
        "price": pa.array([Decimal("1.25"), Decimal("-3.50"), None], pa.decimal128(10, 2)),
        "text": ["é" * 5_000, "", None],
        "raw": pa.array([b"\x00", None, b"\xff"]),
        "flag": [True, None, False],
        "day": pa.array([dt.date(2026, 1, 1), None, dt.date(1, 1, 1)]),
        "at": pa.array(
            [
                dt.datetime(2026, 1, 1, 0, 0, 0, 1, UTC),
                dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
                None,
            ],
            pa.timestamp("us", "UTC"),
        ),
        "local": pa.array([dt.datetime(2026, 3, 29, 2, 30, 0, 999), None, None], pa.timestamp("us")),
        "nothing": pa.nulls(3, pa.string()),
        "list": pa.array([[1, None], [], None], pa.list_(pa.int64())),
        "struct": pa.array(
            [{"x": 1.5, "in": {"tags": ["a"]}}, {"x": None, "in": None}, None],
            pa.struct([("x", pa.float64()), ("in", pa.struct([("tags", pa.list_(pa.string()))]))]),
        ),
        "map": pa.array([[("k", {"v": 1})], [], None], pa.map_(pa.string(), pa.struct([("v", pa.int32())]))),
        "part": ["a/b %ü=#", "", None],
    }
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "some table %20 ü"


@pytest.mark.parametrize(
    "partition_by", [(), ("part",), ("part", "day", "flag")], ids=["whole", "one", "three"]
)
def test_all_types_are_written_as_specified(folder, partition_by):
    lakefmt.write(folder, EVERYTHING, partition_by=partition_by)
    checked = Checked(folder)
    assert len(checked.adds) == (1 if not partition_by else 2 if len(partition_by) == 1 else 3)


def test_overwrites_are_written_as_specified(folder):
    table = lakefmt.write(folder, EVERYTHING, partition_by="flag")
    table.append(EVERYTHING)
    table.overwrite(EVERYTHING.filter(pa.compute.field("flag")), where="flag")
    table.overwrite(EVERYTHING, dynamic_partitions=True)
    table.overwrite(EVERYTHING.slice(0, 1))
    checked = Checked(folder)
    assert len(checked.commits) == table.version + 1
    assert len(list(checked.actions("remove"))) == len(checked.adds) - 1


def test_field_ids_never_change_between_files(folder):
    table = lakefmt.write(folder, EVERYTHING)
    table.append(EVERYTHING.select(list(reversed(EVERYTHING.column_names))))
    table.append(EVERYTHING.select(["id"]))
    first, second, third = Checked(folder).files.values()
    assert first == second == third


def test_empty_table_is_written_as_specified(folder):
    lakefmt.create(folder, EVERYTHING.schema, properties={"delta.enableDeletionVectors": "false"})
    checked = Checked(folder)
    assert (checked.adds, len(checked.commits)) == ([], 1)
    assert "deletionVectors" not in checked.protocol.get("readerFeatures", [])


def test_many_files_and_row_groups_are_written_as_specified(folder):
    rows = pa.table({"id": range(300_000), "x": [float(number % 1_000) for number in range(300_000)]})
    lakefmt.write(folder, rows.slice(0, 1), properties={"delta.targetFileSize": "256kb"}).append(rows)
    assert len(Checked(folder).adds) > 2


def test_nothing_is_left_in_the_folder_but_log_and_data(folder):
    table = lakefmt.write(folder, EVERYTHING, partition_by="flag")
    table.overwrite(EVERYTHING)
    with pytest.raises(lakefmt.InvalidInputError):
        table.append(pa.table({"id": ["no number"]}))
    checked = Checked(folder)
    data = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "_delta_log" not in path.parts
    }
    assert data == {unquote(add["path"]) for add in checked.adds}
