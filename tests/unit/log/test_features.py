import pytest

from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.log import Metadata, Protocol
from lakefmt.log.features import check_readable, check_writable, column_mapping_of, protocol_for

PLACE = {"table": "t", "version": 1}


def metadata(schema="{}", **properties):
    return Metadata("id", schema, (), {k.replace("__", "."): v for k, v in properties.items()})


def features(*names):
    return Protocol(3, 7, frozenset(names), frozenset(names))


def test_unknown_reader_feature_is_refused_by_name():
    with pytest.raises(UnsupportedFeatureError, match="catalogManaged"):
        check_readable(features("deletionVectors", "catalogManaged"), metadata(), **PLACE)


def test_unknown_writer_feature_is_readable_but_not_writable():
    protocol = Protocol(1, 7, None, frozenset({"somethingNew"}))
    check_readable(protocol, metadata(), **PLACE)
    with pytest.raises(UnsupportedFeatureError, match="somethingNew"):
        check_writable(protocol, metadata(), **PLACE)


def test_versions_from_the_future_are_refused():
    with pytest.raises(UnsupportedFeatureError, match="reader version 4"):
        check_readable(Protocol(4, 7), metadata(), **PLACE)
    with pytest.raises(UnsupportedFeatureError, match="writer version 8"):
        check_writable(Protocol(1, 8), metadata(), **PLACE)


@pytest.mark.parametrize(
    ("protocol", "mode"),
    [
        (Protocol(2, 5), "name"),
        (features("columnMapping"), "name"),
        (Protocol(3, 7, frozenset(), frozenset({"columnMapping"})), "name"),  # Spark has written such tables
        (Protocol(1, 2), "none"),
        (features("deletionVectors"), "none"),
    ],
)
def test_columns_are_mapped_where_property_and_protocol_say_so(protocol, mode):
    schema = '{"type":"struct","fields":[]}'
    check_readable(protocol, metadata(schema), **PLACE)
    assert column_mapping_of(protocol, metadata(schema), **PLACE) == "none"
    assert column_mapping_of(protocol, metadata(schema, delta__columnMapping__mode="NAME"), **PLACE) == mode


def test_mapping_that_the_protocol_does_not_know_is_refused_where_it_would_matter():
    schema = (
        '{"type":"struct","fields":[{"name":"a","type":"long",'
        '"metadata":{"delta.columnMapping.physicalName":"b"}}]}'
    )
    with pytest.raises(CorruptTableError, match="does not have columnMapping"):
        column_mapping_of(Protocol(1, 2), metadata(schema, delta__columnMapping__mode="name"), **PLACE)
    assert column_mapping_of(Protocol(1, 2), metadata(schema), **PLACE) == "none"  # left-over annotations


def test_unknown_mapping_mode_is_corruption():
    with pytest.raises(CorruptTableError, match="'position'"):
        column_mapping_of(Protocol(2, 5), metadata(delta__columnMapping__mode="position"), **PLACE)


def test_mapped_tables_are_not_written():
    check_writable(Protocol(2, 5), metadata(), **PLACE)
    with pytest.raises(UnsupportedFeatureError, match="columnMapping"):
        check_writable(Protocol(2, 5), metadata(delta__columnMapping__mode="name"), **PLACE)


@pytest.mark.parametrize(
    ("schema", "properties", "feature"),
    [
        ('{"metadata":{"delta.invariants":"x"}}', {}, "invariants"),
        ('{"metadata":{"delta.generationExpression":"x"}}', {}, "generatedColumns"),
        ('{"metadata":{"delta.identity.start":1}}', {}, "identityColumns"),
        ("{}", {"delta__constraints__c": "x > 1"}, "checkConstraints"),
    ],
)
def test_rules_that_would_not_be_kept_refuse_the_write(schema, properties, feature):
    with pytest.raises(UnsupportedFeatureError, match=feature):
        check_writable(Protocol(1, 6), metadata(schema, **properties), **PLACE)


def test_legacy_writer_versions_without_active_rules_are_writable():
    check_writable(Protocol(1, 6), metadata(), **PLACE)


def test_other_data_formats_are_refused():
    with pytest.raises(UnsupportedFeatureError, match="orc"):
        check_readable(Protocol(1, 2), Metadata("id", "{}", format_provider="orc"), **PLACE)


def test_new_table_lists_exactly_what_it_needs():
    protocol = protocol_for(frozenset({"timestampNtz"}), {"delta.enableDeletionVectors": "true"})
    assert protocol == features("deletionVectors", "timestampNtz")
    assert protocol_for(frozenset(), {"delta.enableDeletionVectors": "false"}) == Protocol(1, 2)
    assert protocol_for(frozenset(), {"delta.enableChangeDataFeed": "true"}) == Protocol(
        1, 7, None, frozenset({"changeDataFeed"})
    )
    assert protocol_for(frozenset(), {"delta.enableRowTracking": "true"}) == Protocol(
        1, 7, None, frozenset({"domainMetadata", "rowTracking"})
    )


def test_new_table_with_required_columns_lists_invariants_and_is_writable():
    protocol = protocol_for(frozenset({"invariants"}), {"delta.enableDeletionVectors": "true"})
    assert protocol == Protocol(
        3, 7, frozenset({"deletionVectors"}), frozenset({"deletionVectors", "invariants"})
    )
    check_writable(protocol, metadata(), **PLACE)
    assert protocol_for(frozenset({"invariants"}), {"delta.appendOnly": "true"}) == Protocol(1, 2)


WRITER_ONLY = (
    *("allowColumnDefaults", "appendOnly", "changeDataFeed", "checkConstraints", "checkpointProtection"),
    *("clustering", "collations-preview", "coordinatedCommits-preview", "domainMetadata", "generatedColumns"),
    *("icebergCompatV1", "icebergCompatV2", "icebergCompatV3", "icebergWriterCompatV1", "identityColumns"),
    *("inCommitTimestamp", "invariants", "materializePartitionColumns", "redirectWriterOnly-preview", "rowTracking"),
)  # fmt: skip


@pytest.mark.parametrize("feature", WRITER_ONLY)
def test_features_of_writers_do_not_keep_readers_out(feature):
    check_readable(Protocol(1, 7, None, frozenset({feature})), metadata(), **PLACE)
    check_readable(Protocol(3, 7, frozenset(), frozenset({feature})), metadata(), **PLACE)


@pytest.mark.parametrize(
    "feature",
    [
        *("columnMapping", "deletionVectors", "timestampNtz", "timestampWithoutTimezone", "typeWidening"),
        *("typeWidening-preview", "vacuumProtocolCheck", "variantShredding", "variantShredding-preview"),
        *("variantType", "variantType-preview"),
    ],
)
def test_features_of_readers_that_are_read(feature):
    check_readable(features(feature), metadata(), **PLACE)


@pytest.mark.parametrize(
    "feature", ["adaptiveMetadata-preview", "geospatial", "geospatial-dev", "redirectReaderWriter-preview"]
)
def test_features_of_readers_that_are_not_read_are_refused_by_name(feature):
    with pytest.raises(UnsupportedFeatureError, match=feature):
        check_readable(features(feature), metadata(), **PLACE)


@pytest.mark.parametrize("feature", ["variantType", "variantShredding"])
def test_what_is_only_read_is_not_written(feature):
    with pytest.raises(UnsupportedFeatureError, match=feature):
        check_writable(features(feature), metadata(), **PLACE)
