"""Columns and their types: Delta's JSON, Arrow, field ids, and fitting rows to a schema exactly."""

from lakefmt.schema.column_mapping import ColumnMapping, file_arrow_schema, is_renamed
from lakefmt.schema.conform import conform_batches
from lakefmt.schema.field_ids import FIELD_IDS_PROPERTY, FieldIds, assign_field_ids, physical_arrow_schema
from lakefmt.schema.serialization import format_schema, parse_schema
from lakefmt.schema.sources import BatchSource, open_source
from lakefmt.schema.statistics import ColumnStatistics, FileStatistics
from lakefmt.schema.table_schema import Schema, closest_names
from lakefmt.schema.types import (
    ArrayType,
    DataType,
    DecimalType,
    Field,
    FieldPath,
    MapType,
    PrimitiveType,
    StructType,
    format_path,
    leaf_fields,
    parse_type_name,
)
from lakefmt.schema.validation import check_new_schema, features_of

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
