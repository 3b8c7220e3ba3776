"""Which tables this release can read and write ("Table Features", "Reader/Writer Version Requirements").

A feature that is only *supported* (listed) but not *active* (used by metadata) costs nothing, so what matters is
what the metadata at hand asks for; unknown names are refused, by name, for the side that must understand them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lakefmt.errors import CorruptTableError, UnsupportedFeatureError
from lakefmt.log.actions import Protocol
from lakefmt.schema import is_renamed, parse_schema

if TYPE_CHECKING:
    from lakefmt.log.actions import Metadata
    from lakefmt.schema import ColumnMapping

__all__ = ["check_readable", "check_writable", "column_mapping_of", "protocol_for", "supported_features"]

MAX_READER_VERSION: Final = 3
MAX_WRITER_VERSION: Final = 7

_LEGACY_READER: Final = {2: frozenset({"columnMapping"})}
_LEGACY_WRITER: Final = {
    2: frozenset({"appendOnly", "invariants"}),
    3: frozenset({"checkConstraints"}),
    4: frozenset({"changeDataFeed", "generatedColumns"}),
    5: frozenset({"columnMapping"}),
    6: frozenset({"identityColumns"}),
}

# Reader features that change nothing about reading current rows, or that are honoured.
_READABLE: Final = frozenset(
    {
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "timestampWithoutTimezone",  # what some writers call timestampNtz
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantShredding",
        "variantShredding-preview",
        "variantType",
        "variantType-preview",
    }
)
# Readable with a catalog; never written, since the catalog decides what is committed.
_CATALOG_MANAGED: Final = frozenset({"catalogManaged", "catalogOwned-preview"})
# Features honoured by appends and overwrites.
_WRITABLE: Final = frozenset(
    {
        "appendOnly",
        "changeDataFeed",
        "checkpointProtection",  # see upkeep/log_cleanup.py; checkpoints are written at the newest versions only
        "clustering",
        "deletionVectors",
        "domainMetadata",
        "inCommitTimestamp",
        "rowTracking",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    }
)

_MAPPING_PROPERTY: Final = "delta.columnMapping.mode"
_WRITE_ACTIVE_BY_PROPERTY: Final = {
    "columnMapping": (_MAPPING_PROPERTY, "none"),
    "icebergCompatV1": ("delta.enableIcebergCompatV1", "false"),
    "icebergCompatV2": ("delta.enableIcebergCompatV2", "false"),
}
# Features that are active where the schema's field metadata says so.
_ACTIVE_BY_FIELD: Final = {
    "invariants": "delta.invariants",
    "generatedColumns": "delta.generationExpression",
    "identityColumns": "delta.identity.start",
    "allowColumnDefaults": "CURRENT_DEFAULT",
}
_CONSTRAINT_PREFIX: Final = "delta.constraints."


def supported_features(protocol: Protocol) -> frozenset[str]:
    """Return the features that a protocol lists, or that its versions stand for, to readers or to writers."""
    return _features(protocol.min_reader_version, protocol.reader_features, _LEGACY_READER, 3) | _features(
        protocol.min_writer_version, protocol.writer_features, _LEGACY_WRITER, 7
    )


def check_readable(
    protocol: Protocol, metadata: Metadata, *, table: str, version: int, has_catalog: bool = False
) -> None:
    """Raise UnsupportedFeatureError, with the names, if reading needs what this release does not have.

    A table that a catalog manages is only read with that catalog ("Catalog-managed tables").
    """
    if protocol.min_reader_version > MAX_READER_VERSION:
        raise UnsupportedFeatureError(
            f"The table needs reader version {protocol.min_reader_version}; this release knows {MAX_READER_VERSION}",
            table=table,
            version=version,
            hint="Update lakefmt",
        )
    asked = _features(protocol.min_reader_version, protocol.reader_features, _LEGACY_READER, 3)
    managed = asked & _CATALOG_MANAGED
    missing = sorted(asked - _READABLE - managed)
    if missing:
        raise _refusal("read", missing, table, version)
    if managed and not has_catalog:
        raise UnsupportedFeatureError(
            f"The table is managed by a catalog ({', '.join(sorted(managed))}): its newest commits may be known to "
            "that catalog only",
            table=table,
            version=version,
            hint="Open it with the catalog that manages it: lakefmt.open(uri, catalog=...)",
        )
    if metadata.format_provider.lower() != "parquet":
        raise UnsupportedFeatureError(
            f"The table's data files are in format {metadata.format_provider!r}; only parquet is read",
            table=table,
            version=version,
        )


def column_mapping_of(protocol: Protocol, metadata: Metadata, *, table: str, version: int) -> ColumnMapping:
    """Return how the table's columns are mapped: by its property, where its protocol allows mapping.

    Protocol section "Column Mapping". Writers have listed the feature for writers alone; Spark maps such a table.
    Where the protocol does not know mapping at all, the property means nothing by the protocol, and mapping to Spark:
    that is refused, unless all columns are called the same either way.

    Raises:
        CorruptTableError: there is no such mode, or property and protocol contradict each other.
    """
    text = metadata.configuration.get(_MAPPING_PROPERTY, "none").lower()
    match text:
        case "none":
            return "none"
        case "name" | "id":
            mode: ColumnMapping = text
        case _:
            raise CorruptTableError(
                f"The table property {_MAPPING_PROPERTY} is {text!r}; it can be none, name or id",
                table=table,
                version=version,
                hint="Set it right with the engine that wrote it",
            )
    reading = _features(protocol.min_reader_version, protocol.reader_features, _LEGACY_READER, 3)
    writing = _features(protocol.min_writer_version, protocol.writer_features, _LEGACY_WRITER, 7)
    if "columnMapping" in reading | writing:
        return mode
    if is_renamed(parse_schema(metadata.schema_string)):
        raise CorruptTableError(
            f"The table property {_MAPPING_PROPERTY} is {text!r}, but the protocol action does not have columnMapping, "
            "so that it is not certain what files call the columns",
            table=table,
            version=version,
            hint="Add the feature columnMapping with the engine that wrote the table, or unset the property",
        )
    return "none"


def check_writable(protocol: Protocol, metadata: Metadata, *, table: str, version: int) -> None:
    """Raise UnsupportedFeatureError, with the names, if appending or overwriting needs what is not there."""
    if protocol.min_writer_version > MAX_WRITER_VERSION:
        raise UnsupportedFeatureError(
            f"The table needs writer version {protocol.min_writer_version}; this release knows {MAX_WRITER_VERSION}",
            table=table,
            version=version,
            hint="Update lakefmt",
        )
    asked = _features(protocol.min_writer_version, protocol.writer_features, _LEGACY_WRITER, 7)
    missing = sorted(f for f in asked - _WRITABLE if _writing_needs(f, metadata))
    if missing:
        raise _refusal("write", missing, table, version)


def protocol_for(schema_features: frozenset[str], configuration: dict[str, str]) -> Protocol:
    """Return the protocol of a new table: reader 3 / writer 7 with exactly the features it needs.

    Args:
        schema_features: features that the schema's columns need (``timestampNtz``).
        configuration: the table's properties.
    """
    features = set(schema_features)
    refused = sorted(features - _WRITABLE - {"invariants"})  # "not null" is the invariant we hold
    if refused:
        raise UnsupportedFeatureError(
            f"This release cannot make tables that need {', '.join(refused)}",
            hint="Choose other column types",
        )
    for feature, name in (
        ("deletionVectors", "delta.enableDeletionVectors"),
        ("appendOnly", "delta.appendOnly"),
        ("changeDataFeed", "delta.enableChangeDataFeed"),
        ("inCommitTimestamp", "delta.enableInCommitTimestamps"),
        ("rowTracking", "delta.enableRowTracking"),
    ):
        if configuration.get(name, "false").lower() == "true":
            features.add(feature)
    if "rowTracking" in features:
        features.add("domainMetadata")
    if configuration.get("delta.checkpointPolicy", "classic").lower() == "v2":
        features.add("v2Checkpoint")
    reader = features & {"deletionVectors", "timestampNtz", "v2Checkpoint"}
    if features <= _LEGACY_WRITER[2]:
        return Protocol(1, 2)  # the oldest protocol that every reader knows
    if not reader:
        return Protocol(1, 7, None, frozenset(features))
    return Protocol(3, 7, frozenset(reader), frozenset(features))


def _features(
    version: int, listed: frozenset[str] | None, legacy: dict[int, frozenset[str]], lists_from: int
) -> frozenset[str]:
    if version >= lists_from:
        return listed or frozenset()
    return frozenset().union(*(names for needs, names in legacy.items() if version >= needs))


def _writing_needs(feature: str, metadata: Metadata) -> bool:
    if feature == "checkConstraints":
        return any(name.startswith(_CONSTRAINT_PREFIX) for name in metadata.configuration)
    if feature in _ACTIVE_BY_FIELD:
        # A cheap, safe test: the key stands in the schema's JSON text exactly where a field carries it.
        return f'"{_ACTIVE_BY_FIELD[feature]}"' in metadata.schema_string
    name, inactive = _WRITE_ACTIVE_BY_PROPERTY.get(feature, ("", ""))
    return not name or metadata.configuration.get(name, inactive).lower() != inactive


def _refusal(verb: str, missing: list[str], table: str, version: int) -> UnsupportedFeatureError:
    names = ", ".join(missing)
    plural = "s" if len(missing) > 1 else ""
    return UnsupportedFeatureError(
        f"This release cannot {verb} tables with the feature{plural} {names}",
        table=table,
        version=version,
        hint=f"Update lakefmt, or {verb} it with an engine that has {'them' if plural else 'it'}",
    )
