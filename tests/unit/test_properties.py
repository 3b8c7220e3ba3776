import pytest

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.properties import TableProperties, check_new_properties, parse_interval_ms, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval 30 days", 30 * 86_400_000),
        ("interval 1 week", 604_800_000),
        ("INTERVAL 1 WEEK 2 DAYS", 604_800_000 + 2 * 86_400_000),
        ("5 minutes", 300_000),
        ("interval 0 hours", 0),
    ],
)
def test_intervals_are_milliseconds(text, expected):
    assert parse_interval_ms(text) == expected


@pytest.mark.parametrize("text", ["", "interval", "interval 2 months", "soon", "interval 1 day x", "1"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ValueError, match="interval"):
        parse_interval_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("128mb", 128 << 20), ("1g", 1 << 30), ("1024", 1024), (7, 7)]
)
def test_sizes_are_bytes(text, expected):
    assert parse_size_bytes(text) == expected


def test_defaults_are_those_of_the_protocol_not_of_new_tables():
    properties = TableProperties.parse({})
    assert not properties.enable_deletion_vectors
    assert properties.log_retention_ms == 30 * 86_400_000


def test_values_are_read_as_stored():
    properties = TableProperties.parse(
        {
            "delta.appendOnly": "TRUE",
            "delta.targetFileSize": "1mb",
            "delta.dataSkippingStatsColumns": "a, b.c",
            "something.else": "x",
        }
    )
    assert properties.append_only
    assert properties.target_file_size_bytes == 1 << 20
    assert properties.data_skipping_stats_columns == ("a", "b.c")


def test_a_bad_value_names_its_property():
    with pytest.raises(InvalidInputError, match=r"delta\.appendOnly.*perhaps"):
        TableProperties.parse({"delta.appendOnly": "perhaps"})


def test_set_values_become_text():
    assert check_new_properties({"delta.appendOnly": True, "delta.checkpointInterval": 5, "mine": "x"}) == {
        "delta.appendOnly": "true",
        "delta.checkpointInterval": "5",
        "mine": "x",
    }


@pytest.mark.parametrize(
    ("properties", "match"),
    [
        ({"delta.apendOnly": "true"}, r"Did you mean delta\.appendOnly"),
        ({"lakefmt.nothing": "1"}, "no table property"),
        ({"delta.appendOnly": "x"}, "neither"),
        ({"delta.checkpointInterval": "0"}, "checkpointInterval"),
        ({"delta.parquet.compression.codec": "lzo"}, "codec"),
        ({"lakefmt.fieldIds": "{}"}, "kept by lakefmt"),
        ({"mine": [1]}, "must be text"),
    ],
)
def test_what_makes_no_sense_is_refused(properties, match):
    with pytest.raises(InvalidInputError, match=match):
        check_new_properties(properties)


@pytest.mark.parametrize(
    "properties",
    [
        {"delta.columnMapping.mode": "name"},
        {"delta.enableTypeWidening": True},
        {"delta.constraints.c": "x > 1"},
    ],
)
def test_promises_that_cannot_be_kept_are_refused(properties):
    with pytest.raises(UnsupportedFeatureError):
        check_new_properties(properties)


def test_another_engines_value_of_what_no_write_acts_on_is_the_default():
    properties = TableProperties.parse(
        {
            "delta.logRetentionDuration": "interval 1 month",
            "delta.checkpointInterval": "0",
            "delta.appendOnly": "true",
        }
    )
    assert properties.log_retention_ms == 30 * 86_400_000
    assert properties.checkpoint_interval == 10
    assert properties.append_only


@pytest.mark.parametrize("also", [{}, {"delta.logRetentionDuration": "interval 1 month"}])
def test_a_codec_of_others_is_unsupported_by_name(also):
    with pytest.raises(UnsupportedFeatureError, match=r"delta\.parquet\.compression\.codec.*lzo"):
        TableProperties.parse({"delta.parquet.compression.codec": "lzo", **also})
