"""Statistics from their columns to JSON, whoever wrote the columns."""

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.manifest.statistics_reader import StatisticsReader
from lakefmt.manifest.typed_statistics import TypedStatistics, format_statistics

LAST_US = 2**63 - 1
END_9999_US = 253_402_300_799_999_999
BEGIN_1_US = -62_135_596_800_000_000


def texts(side, value, kind):
    parsed = pa.array([{side: {"t": value}}], pa.struct([(side, pa.struct([("t", kind)]))]))
    (text,) = format_statistics(parsed).to_pylist()
    return orjson.loads(text)[side].get("t")


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize(
    ("side", "value", "text"),
    [
        ("maxValues", LAST_US, None),
        ("maxValues", LAST_US - 1, None),
        ("maxValues", LAST_US - 807, None),  # Spark's last instant, cut to milliseconds
        ("minValues", LAST_US - 807, None),
        ("minValues", -LAST_US - 1, None),
        ("maxValues", END_9999_US - 999, "9999-12-31T23:59:59.999"),
        ("maxValues", END_9999_US - 998, None),
        ("minValues", END_9999_US, "9999-12-31T23:59:59.999"),
        ("minValues", BEGIN_1_US, "0001-01-01T00:00:00.000"),
        ("minValues", BEGIN_1_US - 1, None),
        ("maxValues", BEGIN_1_US - 999, "0001-01-01T00:00:00.000"),
        ("maxValues", 1, "1970-01-01T00:00:00.001"),
    ],
)
def test_instants_are_rounded_outwards_and_left_out_where_text_has_no_place_for_them(side, value, text, zone):
    found = texts(side, value, pa.timestamp("us", zone))
    assert found == (text if text is None or zone is None else f"{text}Z")


@pytest.mark.parametrize(
    "value", ["{}", '{"a":1}', "[]", "5", "-1.5e3", " 7 ", "true", "NaN", "-Infinity", "1e400", "9" * 30]
)
@pytest.mark.parametrize("more", [0, 3_000])
def test_bounds_of_texts_that_are_no_texts_are_unknown(value, more):
    schema = lakefmt.Schema.from_arrow({"s": "string"})
    documents = [f'{{"numRecords":1,"minValues":{{"s":{value}}},"maxValues":{{"s":"zz"}}}}']
    documents += ['{"minValues":{"s":"5"},"maxValues":{"s":"{}"}}', None] * (1 + more)
    parsed = TypedStatistics(schema, [], {}, with_vectors=False).parse(pa.array(documents)).to_pylist()
    assert parsed[0]["minValues"]["s"] is None
    assert parsed[0]["numRecords"] == 1
    assert [(row["minValues"]["s"], row["maxValues"]["s"]) for row in parsed[1::2]] == [("5", "{}")] * (
        1 + more
    )


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        ("9007199254740993", 9007199254740993),
        ("-9007199254740993", -9007199254740993),
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
        ("9007199254740991.0", None),
        ("5.0", None),
        ("2e1", None),
        ("9007199254740993.0", None),
        ("-9007199254740993.0", None),
        ("9.3e17", None),
        ("9223372036854775808", None),
        ("9" * 19, None),
    ],
)
def test_integers_that_are_written_as_other_numbers_are_unknown(written, bound):
    schema = lakefmt.Schema.from_arrow({"n": "long"})
    documents = [f'{{"minValues":{{"n":{written}}},"maxValues":{{"n":{written}}}}}', None, '{"numRecords":2}']
    parsed = TypedStatistics(schema, [], {}, with_vectors=False).parse(pa.array(documents)).to_pylist()
    assert parsed[0]["minValues"]["n"] == bound
    assert parsed[0]["maxValues"]["n"] == bound
    assert parsed[2]["numRecords"] == 2


KINDS = ("byte", "short", "integer", "long", "float", "double", "decimal(10,2)", "decimal(30,2)", "date")
KINDS = (*KINDS, "timestamp", "timestamp_ntz", "string")
VALUES = (
    *(
        "5",
        '"5"',
        "true",
        "false",
        "null",
        "{}",
        "[5]",
        "1e2",
        "5.0",
        "-0.5",
        '"2026-01-02"',
        "20260102",
        '"true"',
    ),
    *(
        "1e400",
        "NaN",
        "-Infinity",
        "300",
        '"5.0"',
        '"NaN"',
        '"2026-01-02T03:04:05.678Z"',
        "9" * 30,
        ' "7"',
        '"x\\u0041"',
    ),
)


@pytest.mark.parametrize("more", [0, 6_000])
@pytest.mark.parametrize("name", ["n", "a.b", 'quo"te', "é", "sl/ash"])
def test_typed_bounds_are_those_that_reading_the_json_gives(name, more):
    """Each kind of value for each type; the column's name as it is, and spelled with escapes."""
    spelled = orjson.dumps(name).decode()
    escaped = '"' + "".join(f"\\u{ord(character):04x}" for character in name) + '"'
    documents = [
        f'{{"numRecords":1,"minValues":{{{key}:{value}}},"maxValues":{{{key}{space}:{space}{value}}}}}'
        for value in VALUES
        for key, space in ((spelled, ""), (spelled, " "), (escaped, ""))
    ]
    documents += [None] * more
    for kind in KINDS:
        schema = lakefmt.Schema.from_arrow({name: kind})
        parsed = TypedStatistics(schema, [], {}, with_vectors=False).parse(pa.array(documents))
        read = StatisticsReader(pa.array(documents), schema, nan_free=pa.array([True] * len(documents)))
        bounds = read.bounds((name,))
        for side, expected in (("minValues", bounds.minimum), ("maxValues", bounds.maximum)):
            found = parsed.field(side).field(name)
            wrong = [
                (kind, document, ours, theirs)
                for document, ours, theirs in zip(
                    documents, found.to_pylist(), expected.to_pylist(), strict=True
                )
                if ours != theirs
            ]
            assert not wrong


def test_bounds_of_a_type_that_no_column_has_are_an_error_of_the_checkpoint(tmp_path):
    properties = {"delta.checkpoint.writeStatsAsJson": "false", "delta.checkpoint.writeStatsAsStruct": "true"}
    table = lakefmt.create(tmp_path / "t", {"id": "long"}, properties=properties)
    table.append({"id": [1]})
    table.checkpoint()
    log = tmp_path / "t" / "_delta_log"
    file = log / f"{1:020}.checkpoint.parquet"
    rows = pq.read_table(file)
    adds = rows["add"].combine_chunks()
    half = pa.array(
        [{"maxValues": {"id": np.float16(1)}}] * len(adds),
        pa.struct([("maxValues", pa.struct([("id", pa.float16())]))]),
    )
    names = [field.name for field in adds.type if field.name != "stats_parsed"]
    members = [adds.field(name) for name in names]
    changed = pa.StructArray.from_arrays(
        [*members, half], names=[*names, "stats_parsed"], mask=adds.is_null()
    )
    place = rows.schema.get_field_index("add")
    pq.write_table(rows.set_column(place, "add", changed), file)
    (log / f"{0:020}.json").unlink()
    table = lakefmt.open(tmp_path / "t")
    table.append({"id": [2]})
    with pytest.raises(CorruptTableError, match="statistics cannot be converted"):
        lakefmt.open(tmp_path / "t").checkpoint()
