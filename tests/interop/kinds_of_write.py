"""Every kind of write that lakefmt has, with the rows that must then be read, and who is known not to."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import lakefmt

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = dt.UTC
NAN, INF = math.nan, math.inf


@dataclass
class Case:
    """A kind of write: gets a place and table properties, returns the rows expected."""

    name: str
    write: Callable[[str, dict[str, Any]], pa.Table]
    folder: str = "table"
    not_read_by: dict[str, str] = field(default_factory=dict)


CASES: list[Case] = []


def case(**options):
    def add(write):
        CASES.append(Case(name=write.__name__, write=write, **options))
        return write

    return add


def flights(*ids, month=1):
    return pa.table(
        {"id": list(ids), "carrier": [f"carrier {i % 3}" for i in ids], "month": [month] * len(ids)},
        schema=pa.schema([("id", pa.int64()), ("carrier", pa.string()), ("month", pa.int32())]),
    )


def create(uri, rows, properties, **options):
    return lakefmt.create(uri, rows.schema, properties=properties, **options)


def append_all(uri, rows, properties, **options):
    create(uri, rows, properties, **options).append(rows)
    return rows


# --- kinds of write --------------------------------------------------------------------------------------------


@case()
def created_and_empty(uri, properties):
    create(uri, flights(), properties)
    return flights()


@case()
def appended(uri, properties):
    return append_all(uri, flights(1, 2, 3), properties)


@case()
def appended_several_times(uri, properties):
    table = create(uri, flights(), properties)
    for number in range(5):
        table.append(flights(2 * number, 2 * number + 1))
    return flights(*range(10))


@case()
def appended_in_partitions(uri, properties):
    table = create(uri, flights(), properties, partition_by=["month"])
    table.append(pa.concat_tables([flights(1, 2), flights(3, month=2)]))
    table.append(flights(4, month=2))
    return pa.concat_tables([flights(1, 2), flights(3, 4, month=2)])


@case()
def overwritten_whole(uri, properties):
    table = create(uri, flights(), properties)
    table.append(flights(1, 2, 3))
    table.overwrite(flights(7))
    return flights(7)


@case()
def overwritten_with_nothing(uri, properties):
    table = create(uri, flights(), properties)
    table.append(flights(1, 2, 3))
    table.overwrite(flights())
    return flights()


@case()
def overwritten_where(uri, properties):
    table = create(uri, flights(), properties, partition_by=["month"])
    table.append(pa.concat_tables([flights(1, 2), flights(3, month=2)]))
    table.overwrite(flights(8, 9, month=2), where="month = 2")
    return pa.concat_tables([flights(1, 2), flights(8, 9, month=2)])


@case()
def overwritten_by_the_partitions_that_occur(uri, properties):
    table = create(uri, flights(), properties, partition_by=["month"])
    table.append(pa.concat_tables([flights(1, 2), flights(3, month=2), flights(4, month=3)]))
    table.overwrite(pa.concat_tables([flights(8, month=2), flights(9, month=5)]), dynamic_partitions=True)
    return pa.concat_tables([flights(1, 2), flights(8, month=2), flights(4, month=3), flights(9, month=5)])


@case()
def written_in_one_call(uri, properties):
    lakefmt.write(uri, flights(1, 2), partition_by="month", properties=properties)
    lakefmt.write(uri, flights(3, month=2), mode="append")
    return pa.concat_tables([flights(1, 2), flights(3, month=2)])


@case()
def written_over_in_one_call(uri, properties):
    lakefmt.write(uri, flights(1, 2), properties=properties)
    lakefmt.write(uri, flights(3), mode="overwrite")
    return flights(3)


@case()
def streamed_into_many_files(uri, properties):
    rows = pa.table({"id": range(400_000), "noise": pa.array(np.random.default_rng(7).random(400_000))})
    table = create(uri, rows, properties | {"delta.targetFileSize": "1mb"})
    result = table.append(iter(rows.to_batches(max_chunksize=10_000)))
    assert result.num_files > 3
    return rows


# --- types -----------------------------------------------------------------------------------------------------

PRIMITIVES = {
    "byte": (pa.int8(), [-128, 0, 127]),
    "short": (pa.int16(), [-(2**15), 0, 2**15 - 1]),
    "integer": (pa.int32(), [-(2**31), 0, 2**31 - 1]),
    "long": (pa.int64(), [-(2**63), 2**53 + 1, 2**63 - 1]),
    "float": (pa.float32(), [1.5, -3.25, 3.4028234663852886e38]),
    "double": (pa.float64(), [0.1, -5e-324, 1.7976931348623157e308]),
    "boolean": (pa.bool_(), [True, False, True]),
    "string": (pa.string(), ["", "Zürich \U0001f30d", 'it\'s "quoted"\n\t\\']),
    "binary": (pa.binary(), [b"", b"\x00\xff", "Zürich".encode()]),
    "date": (pa.date32(), [dt.date(1582, 10, 15), dt.date(1969, 12, 31), dt.date(9999, 12, 31)]),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        [
            dt.datetime(1900, 1, 1, tzinfo=UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
            dt.datetime(2026, 11, 1, 12, 0, 0, 123_456, UTC),
        ],
    ),
    "decimal_5_2": (pa.decimal128(5, 2), [Decimal("-999.99"), Decimal("0.00"), Decimal("999.99")]),
    "decimal_18_0": (pa.decimal128(18, 0), [Decimal(-(10**18) + 1), Decimal(0), Decimal(10**18 - 1)]),
    "decimal_38_10": (
        pa.decimal128(38, 10),
        [
            Decimal("-9999999999999999999999999999.9999999999"),
            Decimal("0.0000000001"),
            Decimal("1234567890123456789012345678.0123456789"),
        ],
    ),
}
LOCAL_TIMES = [
    dt.datetime(1969, 12, 31, 23, 59, 59, 999_999),
    dt.datetime(2026, 3, 29, 2, 30),
    dt.datetime(2026, 11, 1),
]


@case()
def all_primitive_types(uri, properties):
    return append_all(
        uri,
        pa.table({name: pa.array([*values, None], kind) for name, (kind, values) in PRIMITIVES.items()}),
        properties,
    )


@case()
def local_times(uri, properties):
    return append_all(uri, pa.table({"at": pa.array([*LOCAL_TIMES, None], pa.timestamp("us"))}), properties)


@case()
def nan_infinity_and_negative_zero(uri, properties):
    values = [1.0, NAN, INF, -INF, -0.0, 0.0, None]
    return append_all(
        uri, pa.table({"x": pa.array(values, pa.float64()), "y": pa.array(values, pa.float32())}), properties
    )


@case()
def columns_of_nothing_but_nulls(uri, properties):
    kinds = {name: kind for name, (kind, _) in PRIMITIVES.items()} | {
        "list": pa.list_(pa.int64()),
        "struct": pa.struct([("x", pa.int64())]),
    }
    return append_all(uri, pa.table({name: pa.nulls(3, kind) for name, kind in kinds.items()}), properties)


@case()
def nested_types(uri, properties):
    kinds = {
        "list": pa.list_(pa.int64()),
        "list_of_lists": pa.list_(pa.list_(pa.string())),
        "struct": pa.struct([("x", pa.float64()), ("in", pa.struct([("day", pa.date32())]))]),
        "list_of_structs": pa.list_(pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))])),
        "map": pa.map_(pa.string(), pa.int64()),
        "map_of_structs": pa.map_(pa.string(), pa.struct([("x", pa.decimal128(10, 2))])),
    }
    values: dict[str, list[Any]] = {
        "list": [[1, None, 3], [], None],
        "list_of_lists": [[["a", None], [], None], [], None],
        "struct": [{"x": NAN, "in": {"day": dt.date(2026, 1, 1)}}, {"x": None, "in": None}, None],
        "list_of_structs": [[{"a": 1, "b": ["x"]}, None], [{"a": None, "b": None}], None],
        "map": [[("k", 1), ("l", None)], [], None],
        "map_of_structs": [[("k", {"x": Decimal("1.25")}), ("l", None)], [], None],
    }
    return append_all(
        uri, pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()}), properties
    )


@case()
def required_columns(uri, properties):
    kind = pa.struct([pa.field("x", pa.int64(), nullable=False)])
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("s", kind, nullable=False)])
    return append_all(uri, pa.table({"id": [1, 2], "s": [{"x": 1}, {"x": 2}]}, schema=schema), properties)


@case()
def long_texts(uri, properties):
    texts = ["é" * 5_000, "z" * 100_000, "\U0010ffff" * 2_000, "short", "a" * 31 + "\U0001f30d" * 9]
    return append_all(uri, pa.table({"text": texts, "id": range(5)}), properties)


@case()
def column_names_that_need_quotes(uri, properties):
    names = ["order", "Größe", "UPPER", "dash-ed", "0digit", 'quo"te', "per%cent", "a.b"]
    return append_all(uri, pa.table({name: [i, i + 1] for i, name in enumerate(names)}), properties)


@case()
def columns_in_another_order_and_some_left_out(uri, properties):
    table = create(uri, flights(), properties)
    table.append(pa.table({"month": [3, 4], "id": [1, 2]}))
    return pa.table({"id": [1, 2], "carrier": [None, None], "month": [3, 4]}, schema=flights().schema)


# --- partitions ------------------------------------------------------------------------------------------------


def partitioned(uri, properties, kind, values):
    rows = pa.table({"id": range(len(values)), "p": pa.array(values, kind)})
    create(uri, rows, properties, partition_by=["p"]).append(rows)
    return rows


def partition_case(name, kind, values, **options):
    def write(uri, properties):
        return partitioned(uri, properties, kind, values)

    CASES.append(Case(f"partitioned_by_{name}", write, **options))


_DECIMALS = {"delta-rs-pyarrow": "delta-rs 1.6 writes -9.99 as -9.-99 on its way to pyarrow"}
for _name, (_kind, _values) in PRIMITIVES.items():
    if _name not in ("string", "binary"):
        partition_case(
            _name, _kind, [*_values, None], not_read_by=_DECIMALS if pa.types.is_decimal(_kind) else {}
        )
partition_case(
    "texts",
    pa.string(),
    ["plain", "with space", "a/b", "a=b", "100%", "%20", "x#y", "[z]", "ü", "日本", "🌍", None],
)
partition_case(
    "texts_of_shell_and_url",
    pa.string(),
    ["a+b", "a:b", "a?b", "a&b", "a\\b", "a'b", 'a"b', "a*b", "{b}", "~", "..", "a,b;c"],
)
partition_case("local_times", pa.timestamp("us"), [*LOCAL_TIMES, None])
partition_case("texts_that_are_numbers", pa.string(), ["1", "01", "1.0", "true", "2026-11-01", "NaN"])
partition_case("doubles_that_are_no_numbers", pa.float64(), [NAN, INF, -INF, 1.0, None])


@case()
def partitioned_by_the_empty_text(uri, properties):
    partitioned(uri, properties, pa.string(), ["", "x", None])
    # By the protocol an empty text in a partition column is NULL.
    return pa.table({"id": [0, 1, 2], "p": [None, "x", None]})


@case()
def partitioned_by_negative_zero(uri, properties):
    partitioned(uri, properties, pa.float64(), [-0.0, 0.0])
    return pa.table({"id": [0, 1], "p": [0.0, 0.0]})  # equal values are one partition, as in Spark


@case()
def partitioned_by_several_columns(uri, properties):
    rows = pa.table(
        {"a": ["x", "x", None, "y"], "id": [1, 2, 3, 4], "b": [1, None, 2, 1], "c": [dt.date(2026, 1, 1)] * 4}
    )
    create(uri, rows, properties, partition_by=["c", "a", "b"]).append(rows)
    return rows


@case(not_read_by={"polars": "polars 2.1 takes the escaped name of a partition's folder for the column's"})
def partitioned_by_a_column_that_needs_quotes(uri, properties):
    rows = pa.table({"id": [1, 2], "my-column/ü%": ["x", "y"]})
    create(uri, rows, properties, partition_by=["my-column/ü%"]).append(rows)
    return rows


# --- places ----------------------------------------------------------------------------------------------------

_POLARS = {"polars": "polars 2.1 looks for local files under the percent-encoded name"}
_ESCAPED = {
    name: f"{name} decodes the folder's name once too often"
    for name in ("duckdb", "delta-rs", "delta-rs-pyarrow", "polars")
}
FOLDERS = {
    "with space": _POLARS,
    "100%": _POLARS,
    "%20": _ESCAPED,
    "[x]": {},
    "a#b": _POLARS,
    "a+b": {},
    "a=b": {"polars": "polars 2.1 takes the table's own folder for a partition"},
    "Zürich 日本": _POLARS,
    "a&b;c": {},
    "it's": {},
}
for _number, (_folder, _reasons) in enumerate(FOLDERS.items()):
    CASES.append(Case(f"in_folder_{_number}", appended_in_partitions, folder=_folder, not_read_by=_reasons))


@case()
def compacted_log(uri, properties):
    table = create(uri, flights(1), properties)
    table.append(flights(1, 2))
    table.append(flights(3, 4))
    table.overwrite(flights(5, 6))
    table.append(flights(7))
    table.compact_log(1, 3)
    return flights(5, 6, 7)
