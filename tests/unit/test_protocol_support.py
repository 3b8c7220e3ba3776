"""``docs/protocol-support.md`` says what the code does, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from interop_spark.cases import all_cases

from lakefmt import UnsupportedFeatureError
from lakefmt.log import features
from lakefmt.log.actions import Metadata, Protocol
from lakefmt.log.features import check_readable, check_writable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "protocol-support.md").read_text()
FEATURES = {
    name: (read, write)
    for name, read, write in re.findall(r"^\| `([\w-]+)` \| ([\w ]+) \| ([\w ]+) \|", PAGE, re.MULTILINE)
}
# "Valid Feature Names in Table Features", and those that have a section of their own.
OF_THE_PROTOCOL = {
    *("appendOnly", "invariants", "checkConstraints", "generatedColumns", "allowColumnDefaults", "changeDataFeed"),
    *("columnMapping", "identityColumns", "deletionVectors", "rowTracking", "timestampNtz", "domainMetadata"),
    *("v2Checkpoint", "catalogManaged", "icebergCompatV1", "icebergCompatV2", "clustering", "vacuumProtocolCheck"),
    *("inCommitTimestamp", "variantType", "variantShredding", "typeWidening"),
}  # fmt: skip
# A table that makes use of a feature, by its properties or by its schema.
IN_USE = {
    "allowColumnDefaults": Metadata("id", '{"metadata":{"CURRENT_DEFAULT":"1"}}'),
    "checkConstraints": Metadata("id", "{}", configuration={"delta.constraints.c": "x > 1"}),
    "columnMapping": Metadata("id", "{}", configuration={"delta.columnMapping.mode": "name"}),
    "generatedColumns": Metadata("id", '{"metadata":{"delta.generationExpression":"x"}}'),
    "icebergCompatV1": Metadata("id", "{}", configuration={"delta.enableIcebergCompatV1": "true"}),
    "icebergCompatV2": Metadata("id", "{}", configuration={"delta.enableIcebergCompatV2": "true"}),
    "identityColumns": Metadata("id", '{"metadata":{"delta.identity.start":1}}'),
    "invariants": Metadata("id", '{"metadata":{"delta.invariants":"x"}}'),
}
UNUSED = Metadata("id", "{}")
PLACE = {"table": "t", "version": 0}


def protocol_with(feature):
    """For readers too where the page or the code says that it is theirs, or that readers are kept out."""
    readers = features._READABLE | features._CATALOG_MANAGED
    if feature in readers or FEATURES[feature][0] != "yes":
        return Protocol(3, 7, frozenset({feature}), frozenset({feature}))
    return Protocol(1, 7, None, frozenset({feature}))


def is_refused(check, feature, metadata=UNUSED, **options):
    try:
        check(protocol_with(feature), metadata, **PLACE, **options)
    except UnsupportedFeatureError as error:
        return feature in str(error)
    return False


def test_page_lists_every_feature_of_the_protocol_and_of_the_code():
    known = features._READABLE | features._WRITABLE | features._CATALOG_MANAGED
    legacy = frozenset().union(*features._LEGACY_WRITER.values())
    assert OF_THE_PROTOCOL | known | legacy <= FEATURES.keys()


@pytest.mark.parametrize("feature", FEATURES)
def test_what_the_page_says_of_reading_is_what_happens(feature):
    said = FEATURES[feature][0]
    assert said in {"yes", "with its catalog", "refused"}
    assert is_refused(check_readable, feature) == (said != "yes")
    assert is_refused(check_readable, feature, has_catalog=True) == (said == "refused")


@pytest.mark.parametrize("feature", FEATURES)
def test_what_the_page_says_of_writing_is_what_happens(feature):
    said = FEATURES[feature][1]
    assert said in {"yes", "while unused", "refused"}
    assert is_refused(check_writable, feature) == (said == "refused")
    if said == "while unused":
        assert is_refused(check_writable, feature, IN_USE[feature])


@pytest.mark.parametrize("test", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE))))
def test_tests_that_the_page_names_are_there(test):
    file, _, name = test.partition("::")
    assert f"\ndef {name}(" in (ROOT / file).read_text()


def test_tables_of_spark_that_the_page_names_are_there():
    named = set(re.findall(r"rows of Spark\[(\w+)\]", PAGE))
    assert named <= {name for name, case in all_cases().items() if not case.refused} | {"x"}


def test_every_line_of_the_page_has_its_proof():
    rows = [
        line
        for line in PAGE.splitlines()
        if line.startswith("|") and not line.startswith(("|--", "| feature", "| structure", "| what |"))
    ]
    assert rows
    assert [row for row in rows if "tests/" not in row and "rows of Spark[" not in row] == []
