"""Table properties, typed: the standard ``delta.*`` names, with units and defaults.

A table stores properties as strings ("Change Metadata", ``configuration``). ``TableProperties.parse`` reads those this
library acts on; ``check_new_properties`` is the gate for what users set, so that a misspelt name is an error at once
and not a setting that silently does nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lakefmt.errors import InvalidInputError, UnsupportedFeatureError
from lakefmt.isolation import IsolationLevel

__all__ = ["DEFAULT_PROPERTIES", "TableProperties", "check_new_properties"]

# What a new table gets unless its creator says otherwise.
DEFAULT_PROPERTIES: Final[Mapping[str, str]] = {
    "delta.enableDeletionVectors": "true",
    "delta.checkpoint.writeStatsAsStruct": "true",
}

_MILLISECONDS: Final = {
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_INTERVAL_PART = re.compile(r"(-?\d+)\s+([a-z]+?)s?(?=\s|$)")
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?\Z")
_SIZE_SHIFT: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def parse_interval_ms(value: Any) -> int:
    """Return a calendar-free interval such as ``interval 1 week 2 days`` in milliseconds."""
    if isinstance(value, int):
        return value
    text = str(value).strip().lower().removeprefix("interval").strip()
    parts = _INTERVAL_PART.findall(text)
    if (
        not parts
        or _INTERVAL_PART.sub("", text).strip()
        or any(unit not in _MILLISECONDS for _, unit in parts)
    ):
        raise ValueError(f"{value!r} is not an interval; write it as 'interval 30 days'")
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in parts)


def parse_size_bytes(value: Any) -> int:
    """Return a size such as ``128mb`` or ``134217728`` in bytes."""
    match = _SIZE.match(str(value).strip().lower())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{value!r} is not a size; write it as '128mb' or as a number of bytes")
    return int(match[1]) << _SIZE_SHIFT[match[2]]


def _parse_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError(f"{value!r} is neither 'true' nor 'false'")
    return text == "true"


def _parse_stats_columns(value: Any) -> tuple[str, ...] | None:
    if value is None or isinstance(value, tuple):
        return value
    return tuple(name.strip() for name in str(value).split(",") if name.strip())


def _parse_isolation(value: Any) -> IsolationLevel:
    if isinstance(value, IsolationLevel):
        return value
    named = {level.value.lower(): level for level in IsolationLevel}.get(str(value).strip().lower())
    if named is None:
        raise ValueError(f"{value!r} is neither 'Serializable' nor 'WriteSerializable'")
    # A writer that takes it for a table's level gave its users less than they get here.
    return IsolationLevel.WRITE_SERIALIZABLE if named is IsolationLevel.SNAPSHOT_ISOLATION else named


Flag = Annotated[bool, BeforeValidator(_parse_bool)]
IntervalMs = Annotated[int, BeforeValidator(parse_interval_ms)]
SizeBytes = Annotated[int, BeforeValidator(parse_size_bytes)]
Isolation = Annotated[IsolationLevel, BeforeValidator(_parse_isolation)]
ColumnNames = Annotated[tuple[str, ...] | None, BeforeValidator(_parse_stats_columns)]


class TableProperties(BaseModel):
    """The properties this library acts on; every other one is kept in the table and left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    append_only: Flag = Field(default=False, alias="delta.appendOnly")
    enable_deletion_vectors: Flag = Field(default=False, alias="delta.enableDeletionVectors")
    enable_change_data_feed: Flag = Field(default=False, alias="delta.enableChangeDataFeed")
    enable_row_tracking: Flag = Field(default=False, alias="delta.enableRowTracking")
    enable_in_commit_timestamps: Flag = Field(default=False, alias="delta.enableInCommitTimestamps")
    column_mapping_mode: str = Field(default="none", alias="delta.columnMapping.mode")
    data_skipping_num_indexed_cols: int = Field(default=32, ge=-1, alias="delta.dataSkippingNumIndexedCols")
    data_skipping_stats_columns: ColumnNames = Field(default=None, alias="delta.dataSkippingStatsColumns")
    target_file_size_bytes: SizeBytes = Field(default=128 << 20, alias="delta.targetFileSize")
    compression: str = Field(default="zstd", alias="delta.parquet.compression.codec")
    write_partition_columns: Flag = Field(default=True, alias="delta.writePartitionColumnsToParquet")
    isolation_level: Isolation = Field(
        default=IsolationLevel.WRITE_SERIALIZABLE, alias="delta.isolationLevel"
    )
    log_retention_ms: IntervalMs = Field(default=30 * 86_400_000, alias="delta.logRetentionDuration")
    enable_expired_log_cleanup: Flag = Field(default=True, alias="delta.enableExpiredLogCleanup")
    deleted_file_retention_ms: IntervalMs = Field(
        default=7 * 86_400_000, alias="delta.deletedFileRetentionDuration"
    )
    checkpoint_policy: str = Field(
        default="classic", pattern="(?i)^(classic|v2)$", alias="delta.checkpointPolicy"
    )
    checkpoint_statistics_as_json: Flag = Field(default=True, alias="delta.checkpoint.writeStatsAsJson")
    checkpoint_statistics_as_struct: Flag = Field(default=False, alias="delta.checkpoint.writeStatsAsStruct")
    checkpoint_interval: int = Field(default=10, gt=0, alias="delta.checkpointInterval")

    @classmethod
    def parse(cls, configuration: Mapping[str, str], *, table: str | None = None) -> TableProperties:
        """Read a table's properties.

        Other engines may have set what only they understand: a property that no write of this release acts on has
        its default where its value makes no sense here.

        Raises:
            InvalidInputError: a property that writes act on has no sensible value; it is named.
            UnsupportedFeatureError: data files are to have a codec that this release does not write.
        """
        values = dict(configuration)
        try:
            return cls._parse(values, table=table)
        except ValidationError as error:
            odd = [str(problem["loc"][0]) for problem in error.errors()]
        return cls.parse_strictly(
            {k: v for k, v in values.items() if k not in odd or k in _WRITTEN_BY}, table=table
        )

    @classmethod
    def parse_strictly(cls, configuration: Mapping[str, str], *, table: str | None = None) -> TableProperties:
        """Read properties of which every one must have a sensible value. Raises as ``parse``."""
        try:
            return cls._parse(configuration, table=table)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            reason = str(first["msg"]).removeprefix("Value error, ")
            raise InvalidInputError(f"Table property {name}: {reason}", table=table) from error

    @classmethod
    def _parse(cls, configuration: Mapping[str, str], *, table: str | None) -> TableProperties:
        parsed = cls.model_validate(dict(configuration))
        if parsed.compression.lower() not in _COMPRESSIONS:
            raise UnsupportedFeatureError(
                f"Table property delta.parquet.compression.codec: {parsed.compression!r} is no codec of this release",
                table=table,
                hint=f"Choose one of {', '.join(sorted(_COMPRESSIONS))}",
            )
        return parsed


# What this release's writes act on: a value of these that makes no sense must not be guessed at.
_WRITTEN_BY: Final = frozenset(
    {
        "delta.appendOnly",
        "delta.dataSkippingNumIndexedCols",
        "delta.dataSkippingStatsColumns",
        "delta.isolationLevel",
        "delta.parquet.compression.codec",
        "delta.targetFileSize",
        "delta.writePartitionColumnsToParquet",
    }
)
_COMPRESSIONS: Final = frozenset({"uncompressed", "none", "snappy", "gzip", "lz4_raw", "zstd"})
# Names other engines act on; setting them here is fine, this library keeps them.
_KNOWN_TO_OTHERS: Final = frozenset(
    {
        "delta.autoOptimize.autoCompact",
        "delta.autoOptimize.optimizeWrite",
        "delta.checkpointRetentionDuration",
        "delta.compatibility.symlinkFormatManifest.enabled",
        "delta.parquet.format.version",
        "delta.randomizeFilePrefixes",
        "delta.sampleRetentionDuration",
        "delta.setTransactionRetentionDuration",
        "delta.tuneFileSizesForRewrites",
    }
)
# Properties whose meaning this release cannot honour yet: setting them would make a promise nobody keeps.
_NOT_YET: Final = {
    "delta.columnMapping.mode": "none",
    "delta.enableTypeWidening": "false",
    "delta.enableIcebergCompatV1": "false",
    "delta.enableIcebergCompatV2": "false",
    "delta.parquet.format.version": "1.0.0",
    "delta.randomizeFilePrefixes": "false",
}


def check_new_properties(properties: Mapping[str, Any]) -> dict[str, str]:
    """Check the properties a user sets and return them as the table stores them: strings.

    Raises:
        InvalidInputError: an unknown ``delta.`` or ``lakefmt.`` name (the closest one is named), or a bad value.
        UnsupportedFeatureError: a property this release cannot honour.
    """
    given: Any = properties
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidInputError(
            f"properties must map names to values, and is {properties!r:.80}",
            hint="Write properties={'delta.appendOnly': True}",
        )
    stored = {name: _as_property_text(name, value) for name, value in properties.items()}
    acted_on = {field.alias for field in TableProperties.model_fields.values() if field.alias}
    known = acted_on | _KNOWN_TO_OTHERS | _NOT_YET.keys()
    for name, value in stored.items():
        if name == "lakefmt.fieldIds":
            raise InvalidInputError(f"Table property {name} is kept by lakefmt itself", hint="Leave it out")
        if name.startswith("delta.constraints."):
            raise UnsupportedFeatureError(
                f"This release cannot enforce the constraint {name}", hint="Leave it out"
            )
        if name.startswith(("delta.", "lakefmt.")) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise InvalidInputError(
                f"There is no table property {name}",
                hint=f"Did you mean {close[0]}?" if close else "Names of your own need another prefix",
            )
        if name in _NOT_YET and value.lower() != _NOT_YET[name]:
            raise UnsupportedFeatureError(f"This release cannot honour {name} = {value}", hint="Leave it out")
    if stored.get("delta.isolationLevel", "").strip().lower() == "snapshotisolation":
        raise InvalidInputError(
            "Table property delta.isolationLevel: SnapshotIsolation is for commits that rearrange rows, not for tables",
            hint="Choose 'Serializable' or 'WriteSerializable'",
        )
    codec = stored.get("delta.parquet.compression.codec", "zstd")
    if codec.lower() not in _COMPRESSIONS:
        raise InvalidInputError(
            f"Table property delta.parquet.compression.codec: {codec!r} is not a codec",
            hint=f"Choose one of {', '.join(sorted(_COMPRESSIONS))}",
        )
    TableProperties.parse_strictly(stored)
    return stored


def _as_property_text(name: str, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str() | int():
            text = str(value)
            if not _is_unicode(name) or not _is_unicode(text):
                raise InvalidInputError(
                    f"Table property {name!a} is not Unicode text: it holds a lone surrogate"
                )
            return text
        case _:
            raise InvalidInputError(
                f"Table property {name} must be text, a number or a boolean, not {type(value).__name__}"
            )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
