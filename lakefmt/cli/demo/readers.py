"""DuckDB's own reader of the format, where its extension is installed: a second opinion on the demo's table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["count_with_delta_extension", "find_delta_extension"]


def find_delta_extension() -> Path | None:
    """Return the delta extension for the DuckDB at hand, from the wheel ``duckdb-extension-delta``; None without it.

    Nothing is downloaded: what DuckDB would fetch by itself is another program, and a demo asks for no network.
    """
    import duckdb

    found = importlib.util.find_spec("duckdb_extension_delta")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        extension = Path(folder, "extensions", f"v{duckdb.__version__}", "delta.duckdb_extension")
        if extension.is_file():
            return extension
    return None


def count_with_delta_extension(extension: Path, path: str) -> int:
    """Return how many rows ``delta_scan`` finds in the table at a local path."""
    import duckdb

    with duckdb.connect(":memory:", config={"allow_unsigned_extensions": "true"}) as con:
        con.execute(f"LOAD '{_quoted(str(extension))}'")
        rows = con.execute(f"SELECT count(*) FROM delta_scan('{_quoted(path)}')").fetchall()
    return int(rows[0][0])


def _quoted(text: str) -> str:
    return text.replace("'", "''")
