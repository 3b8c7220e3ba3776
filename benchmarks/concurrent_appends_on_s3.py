"""8 processes, each appending 25 one-row tables through its own open handle to one table on S3, all at once.

Timed and counted as on local disk. The server is moto's over HTTP, whose one process all contenders wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.concurrent_appends import Races
from benchmarks.results import Bar, Comparison, Counts
from lakefmt.testing.servers import S3Server

if TYPE_CHECKING:
    from benchmarks.registry import Settings

__all__ = ["measure"]


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare commits a second, and count what failed."""
    races = Races(settings)
    with S3Server() as server:
        found = races.against_delta_rs("S3", server.create_bucket(), server.storage_options(), Bar(ratio=1.0))
    return found, races.failures()
