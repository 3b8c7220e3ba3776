"""Exchanges: rows from the tasks of one stage to those of the next, by hash, by range, or all to one."""

from lakefmt.engine.exchange.duckdb_rows import DuckDBRows, register_rows, rows_of_query
from lakefmt.engine.exchange.exchange import Exchange, Versions
from lakefmt.engine.exchange.heavy_keys import HeavyKey
from lakefmt.engine.exchange.keys import HashKey, SortKey, common_type
from lakefmt.engine.exchange.partitioning import Gather, HashPartitioning, Partitioning, RangePartitioning
from lakefmt.engine.exchange.read import fetch_shuffle, read_shuffle
from lakefmt.engine.exchange.shuffle_file import ShuffleFile
from lakefmt.engine.exchange.shuffle_input import ShuffleInput, ShuffleOutputs
from lakefmt.engine.exchange.sort_bounds import SortBounds, choose_bounds
from lakefmt.engine.exchange.sort_keys import SortKeys, sort_keys_of
from lakefmt.engine.exchange.write import ShuffleWriter, write_shuffle_file

__all__ = [
    "DuckDBRows",
    "Exchange",
    "Gather",
    "HashKey",
    "HashPartitioning",
    "HeavyKey",
    "Partitioning",
    "RangePartitioning",
    "ShuffleFile",
    "ShuffleInput",
    "ShuffleOutputs",
    "ShuffleWriter",
    "SortBounds",
    "SortKey",
    "SortKeys",
    "Versions",
    "choose_bounds",
    "common_type",
    "fetch_shuffle",
    "read_shuffle",
    "register_rows",
    "rows_of_query",
    "sort_keys_of",
    "write_shuffle_file",
]
