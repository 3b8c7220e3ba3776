"""Columns and their types: Delta's JSON, Arrow, field ids, and fitting rows to a schema exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.schema.column_mapping import ColumnMapping as ColumnMapping
    from lakefmt.schema.column_mapping import file_arrow_schema as file_arrow_schema
    from lakefmt.schema.column_mapping import is_renamed as is_renamed
    from lakefmt.schema.conform import conform_batches as conform_batches
    from lakefmt.schema.field_ids import FIELD_IDS_PROPERTY as FIELD_IDS_PROPERTY
    from lakefmt.schema.field_ids import FieldIds as FieldIds
    from lakefmt.schema.field_ids import assign_field_ids as assign_field_ids
    from lakefmt.schema.field_ids import physical_arrow_schema as physical_arrow_schema
    from lakefmt.schema.serialization import format_schema as format_schema
    from lakefmt.schema.serialization import parse_schema as parse_schema
    from lakefmt.schema.sources import BatchSource as BatchSource
    from lakefmt.schema.sources import open_source as open_source
    from lakefmt.schema.statistics import ColumnStatistics as ColumnStatistics
    from lakefmt.schema.statistics import FileStatistics as FileStatistics
    from lakefmt.schema.table_schema import Schema as Schema
    from lakefmt.schema.table_schema import closest_names as closest_names
    from lakefmt.schema.types import ArrayType as ArrayType
    from lakefmt.schema.types import DataType as DataType
    from lakefmt.schema.types import DecimalType as DecimalType
    from lakefmt.schema.types import Field as Field
    from lakefmt.schema.types import FieldPath as FieldPath
    from lakefmt.schema.types import MapType as MapType
    from lakefmt.schema.types import PrimitiveType as PrimitiveType
    from lakefmt.schema.types import StructType as StructType
    from lakefmt.schema.types import format_path as format_path
    from lakefmt.schema.types import leaf_fields as leaf_fields
    from lakefmt.schema.types import parse_type_name as parse_type_name
    from lakefmt.schema.validation import check_new_schema as check_new_schema
    from lakefmt.schema.validation import features_of as features_of

_HOMES = {
    "ArrayType": "lakefmt.schema.types",
    "BatchSource": "lakefmt.schema.sources",
    "ColumnMapping": "lakefmt.schema.column_mapping",
    "ColumnStatistics": "lakefmt.schema.statistics",
    "DataType": "lakefmt.schema.types",
    "DecimalType": "lakefmt.schema.types",
    "FIELD_IDS_PROPERTY": "lakefmt.schema.field_ids",
    "Field": "lakefmt.schema.types",
    "FieldIds": "lakefmt.schema.field_ids",
    "FieldPath": "lakefmt.schema.types",
    "FileStatistics": "lakefmt.schema.statistics",
    "MapType": "lakefmt.schema.types",
    "PrimitiveType": "lakefmt.schema.types",
    "Schema": "lakefmt.schema.table_schema",
    "StructType": "lakefmt.schema.types",
    "assign_field_ids": "lakefmt.schema.field_ids",
    "check_new_schema": "lakefmt.schema.validation",
    "closest_names": "lakefmt.schema.table_schema",
    "conform_batches": "lakefmt.schema.conform",
    "features_of": "lakefmt.schema.validation",
    "file_arrow_schema": "lakefmt.schema.column_mapping",
    "format_path": "lakefmt.schema.types",
    "format_schema": "lakefmt.schema.serialization",
    "is_renamed": "lakefmt.schema.column_mapping",
    "leaf_fields": "lakefmt.schema.types",
    "open_source": "lakefmt.schema.sources",
    "parse_schema": "lakefmt.schema.serialization",
    "parse_type_name": "lakefmt.schema.types",
    "physical_arrow_schema": "lakefmt.schema.field_ids",
}

__all__ = [
    "FIELD_IDS_PROPERTY",
    "ArrayType",
    "BatchSource",
    "ColumnMapping",
    "ColumnStatistics",
    "DataType",
    "DecimalType",
    "Field",
    "FieldIds",
    "FieldPath",
    "FileStatistics",
    "MapType",
    "PrimitiveType",
    "Schema",
    "StructType",
    "assign_field_ids",
    "check_new_schema",
    "closest_names",
    "conform_batches",
    "features_of",
    "file_arrow_schema",
    "format_path",
    "format_schema",
    "is_renamed",
    "leaf_fields",
    "open_source",
    "parse_schema",
    "parse_type_name",
    "physical_arrow_schema",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
