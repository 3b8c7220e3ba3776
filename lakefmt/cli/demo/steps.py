"""The demo's steps, in order: each does one thing a user would do, shows it, and checks what it shows."""

from __future__ import annotations

import shlex
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from lakefmt.cli.demo.flights import FLIGHTS_SCHEMA, MONTHS, load_flights
from lakefmt.cli.demo.readers import count_with_delta_extension, find_delta_extension
from lakefmt.cli.demo.writers import append_months, ready_writers
from lakefmt.cli.history import HISTORY_COLUMNS, history_rows
from lakefmt.cli.output import Column
from lakefmt.errors import LakefmtError
from lakefmt.opening import create
from lakefmt.store.location import parse_location
from lakefmt.wording import format_size, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.cli.demo.stage import Stage
    from lakefmt.cli.demo.writers import Append
    from lakefmt.table import Table

__all__ = ["STEPS", "Scene", "Step", "close", "open_scene"]

_WRITERS = 4
_LATE = "month = 7 AND carrier = 'UA' AND origin = 'JFK' AND dep_delay > 60"
_CORRECTED_MONTH = 6
_DELAYS = """\
SELECT carrier, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay
FROM flights
GROUP BY carrier ORDER BY mean_delay DESC LIMIT 5"""

_CARRIED_ON = """\
SELECT CASE WHEN before <= 0 THEN 'on time' WHEN before <= 60 THEN 'within an hour'
            ELSE 'later' END AS flight_before, count(*) AS flights, round(avg(dep_delay), 1) AS mean_delay
FROM (SELECT dep_delay, lag(dep_delay) OVER runway AS before
      FROM flights WHERE month = 7 AND dep_delay IS NOT NULL
      WINDOW runway AS (PARTITION BY origin ORDER BY day, sched_dep_time, carrier, flight))
WHERE before IS NOT NULL
GROUP BY flight_before ORDER BY mean_delay"""


@dataclass(slots=True)
class Scene:
    """What the steps act on.

    Attributes:
        uri: where the table is made.
        storage_options: what its store needs to know.
        flights: the real data, whole.
        commits: the appends, in the order of their versions, once they have been made.
    """

    uri: str
    storage_options: Mapping[str, Any]
    flights: pa.Table
    commits: list[Append] = field(default_factory=list)
    opened: Table | None = None

    @property
    def table(self) -> Table:
        """The demo's table, once the first step has made it."""
        assert self.opened is not None  # noqa: S101 - the first step sets it
        return self.opened

    def month(self, month: int) -> pa.Table:
        """Return one month's flights."""
        import pyarrow.compute as pc

        return self.flights.filter(pc.equal(self.flights["month"], pa.scalar(month, pa.int32())))


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the demo: what it shows, and the function that does it."""

    title: str
    play: Callable[[Scene, Stage], None]


def open_scene(uri: str | None, storage_options: Mapping[str, Any]) -> Scene:
    """Load the flights and choose a place; the temporary folder of a demo without one is kept."""
    flights = load_flights()
    place = uri or str(Path(tempfile.mkdtemp(prefix="lakefmt-demo-"), "flights"))
    return Scene(place, storage_options, flights)


def close(scene: Scene, stage: Stage) -> None:
    """Say where the table is, and what to try next."""
    # Their values may be secrets, and are the caller's to repeat.
    options = " -o ..." if scene.storage_options else ""
    place = shlex.quote(scene.uri)
    stage.closing(
        [
            f"The table is at {scene.uri}. Try:",
            f"   lakefmt info {place}{options}",
            f"   lakefmt files {place}{options}",
            f"   lakefmt head {place}{options} --version 3 -c carrier -c origin -c dest -c dep_delay",
            f'   lakefmt sql "SELECT origin, avg(dep_delay) FROM flights GROUP BY ALL" -t {shlex.quote(f"flights={scene.uri}")}{options}',
        ]
    )


def create_table(scene: Scene, stage: Stage) -> None:
    """Create the table, empty."""
    stage.code('t = lakefmt.create(uri, schema, partition_by=["month"])')
    scene.opened = create(
        scene.uri, FLIGHTS_SCHEMA, partition_by=["month"], storage_options=scene.storage_options
    )
    table = scene.table
    required = [each.name for each in table.schema.fields if not each.nullable]
    stage.say(f"{plural(len(table.schema.fields), 'column')}, NOT NULL: {', '.join(required)}")
    stage.found(version=table.version, num_columns=len(table.schema.fields))
    check(table.version == 0, "a new table stands at version 0")


def append_from_processes(scene: Scene, stage: Stage) -> None:
    """Append the months from four processes at once, and count that none was lost."""
    stage.code("t.append(flights_of_month)   # three of them in each of four processes")
    months = {month: scene.month(month) for month in MONTHS}
    commits: list[Append] = []
    with (
        stage.waiting(f"starting {_WRITERS} processes") as tell,
        ready_writers(scene.uri, scene.storage_options, months, _WRITERS) as writers,
    ):
        start = time.perf_counter()
        for landed in append_months(writers):
            commits.append(landed)
            tell(f"{len(commits)} of {len(months)} commits, {sum(each.num_rows for each in commits):,} rows")
        seconds = time.perf_counter() - start
    scene.commits = sorted(commits, key=lambda each: each.version)
    stage.table(
        [
            Column("version", "right", "bold"),
            Column("process", "right", "cyan"),
            Column("month", "right"),
            Column("rows", "right"),
            Column("size", "right"),
            Column("seconds", "right"),
        ],
        [
            (
                str(each.version),
                str(each.writer),
                str(each.month),
                f"{each.num_rows:,}",
                format_size(each.size_bytes),
                f"{each.seconds:.2f}",
            )
            for each in scene.commits
        ],
    )
    table = scene.table.refresh()
    num_files = table.files().num_rows
    stage.say(
        f"{table.count():,} rows in {plural(num_files, 'file')}, "
        f"{format_size(sum(each.size_bytes for each in commits))}: "
        f"{plural(len(commits), 'commit')} in {seconds:.2f} s, none lost",
        "bold",
    )
    stage.found(
        version=table.version,
        num_rows=table.count(),
        num_files=num_files,
        num_commits=len(commits),
        appends_seconds=round(seconds, 3),
    )
    versions = [each.version for each in scene.commits]
    check(versions == list(range(1, len(MONTHS) + 1)), f"twelve commits made twelve versions, not {versions}")
    check(table.count() == scene.flights.num_rows, "every row of every process is in the table")


def read_filtered(scene: Scene, stage: Stage) -> None:
    """Read a few rows; the log alone says which files cannot hold any."""
    import pyarrow.compute as pc

    columns = ["day", "carrier", "flight", "dest", "dep_delay"]
    stage.code(
        f'late = t.scan({orjson.dumps(columns).decode().replace(",", ", ")}, where="""\n{_LATE}""")',
        "late.to_arrow()",
    )
    late = scene.table.scan(columns, where=_LATE)
    rows = late.to_arrow()
    read, total = late.files().num_rows, scene.table.files().num_rows
    stage.rows(rows.sort_by([("dep_delay", "descending")]).slice(0, 3))
    stage.say(f"{plural(rows.num_rows, 'row')}; {read} of {plural(total, 'file')} read", "bold")
    stage.found(num_rows=rows.num_rows, num_files_read=read, num_files=total)
    flights = scene.month(7)
    expected = pc.and_(
        pc.and_(pc.equal(flights["carrier"], pa.scalar("UA")), pc.equal(flights["origin"], pa.scalar("JFK"))),
        pc.greater(flights["dep_delay"], pa.scalar(60.0)),
    )
    check(
        rows.num_rows == flights.filter(expected).num_rows,
        "the scan finds what a filter over the source finds",
    )
    check(read == 1, f"one month is one file to read, not {read}")


def travel_back(scene: Scene, stage: Stage) -> None:
    """Open an earlier version: the rows of the commits up to it, and no others."""
    version = len(scene.commits) // 2
    stage.code(f"t.at(version={version}).count()")
    then = scene.table.at(version=version)
    rows = then.count()
    months = sorted(each.month for each in scene.commits[:version])
    stage.say(
        f"{rows:,} rows at version {version} (months {', '.join(map(str, months))}), "
        f"{scene.table.count():,} at version {scene.table.version}",
        "bold",
    )
    stage.found(version=version, num_rows=rows)
    check(rows == sum(each.num_rows for each in scene.commits[:version]), "a version holds its commits' rows")


def show_history(scene: Scene, stage: Stage) -> None:
    """Show the newest commits."""
    stage.code("t.history(limit=5)")
    history = scene.table.history(limit=5)
    stage.table(HISTORY_COLUMNS, history_rows(history))
    stage.found(commits=history.to_dicts())
    check(history[0].version == scene.table.version, "the history begins with the newest version")


def correct_month(scene: Scene, stage: Stage) -> None:
    """Replace one month by the flights that did leave; readers of the old version keep the old rows."""
    import pyarrow.compute as pc

    where = f"month = {_CORRECTED_MONTH}"
    june = scene.month(_CORRECTED_MONTH)
    flown = june.filter(pc.is_valid(june["dep_time"]))
    stage.code('flown = june.filter(pc.is_valid(june["dep_time"]))', f't.overwrite(flown, where="{where}")')
    before = scene.table.version
    result = scene.table.overwrite(flown, where=where)
    then, now = scene.table.at(version=before).count(where), scene.table.count(where)
    stage.say(
        f"version {result.version}: {plural(result.num_removed_files, 'file')} out, {result.num_files} in; "
        f"{june.num_rows - flown.num_rows:,} cancelled flights are gone"
    )
    stage.say(f"June has {now:,} flights now, and still {then:,} at version {before}", "bold")
    stage.found(
        version=result.version, num_rows_before=then, num_rows=now, num_removed_files=result.num_removed_files
    )
    check(
        (then, now) == (june.num_rows, flown.num_rows),
        "the old version has the old rows, the new one the new",
    )


def query_with_sql(scene: Scene, stage: Stage) -> None:
    """Ask how a delay is carried on to the next flight, and see what of the table that takes."""
    import duckdb

    from lakefmt.query import sql

    stage.code(f'q = lakefmt.sql("""\n{_CARRIED_ON}""", {{"flights": t}})', "q.to_arrow()")
    query = sql(_CARRIED_ON, {"flights": scene.table})
    rows = query.to_arrow()
    stage.rows(rows)
    with duckdb.connect(":memory:") as con:
        con.execute("SET enable_progress_bar = false")
        con.register("flights", scene.flights)
        expected = con.sql(_CARRIED_ON).to_arrow_table()
    check(rows.to_pylist() == expected.to_pylist(), "the query finds what DuckDB finds in the source")
    stage.say("A late flight makes the next one from its airport late, July 2013", "bold")
    stage.code("q.explain(analyze=True)")
    explanation = query.explain(analyze=True)
    stage.lines(str(explanation).splitlines())
    (read,) = explanation.tables
    stage.found(
        num_rows=rows.num_rows,
        num_files_read=read.files,
        num_files=read.all_files,
        read_bytes=read.read_bytes,
        peak_memory_bytes=explanation.peak_memory_bytes,
    )
    check((read.files, read.all_files) == (1, len(MONTHS)), "one month is one file to read")


def query_with_duckdb(scene: Scene, stage: Stage) -> None:
    """Let DuckDB query the same files, through lakefmt and by its own reader of the format."""
    import duckdb

    stage.code('t.to_duckdb(con, "flights")', f'con.sql("""\n{_DELAYS}""")')
    with duckdb.connect(":memory:") as con:
        con.execute("SET enable_progress_bar = false")
        scene.table.to_duckdb(con, "flights")
        slowest = con.sql(_DELAYS).to_arrow_table()
        counted = con.sql("SELECT count(*) FROM flights").fetchall()[0][0]
    stage.rows(slowest)
    expected = scene.table.count()
    check(counted == expected, f"DuckDB counts {counted:,} rows, the log {expected:,}")
    stage.say(f"DuckDB counts {counted:,} rows through lakefmt", "bold")
    stage.found(num_rows=counted)
    extension = find_delta_extension()
    location = parse_location(scene.uri)
    if extension is None or location.kind != "local":
        return
    stage.code("con.sql(f\"SELECT count(*) FROM delta_scan('{uri}')\")")
    counted = count_with_delta_extension(extension, location.path)
    check(counted == expected, f"DuckDB's own delta reader counts {counted:,} rows, lakefmt {expected:,}")
    stage.say(f"DuckDB's own reader of the format counts {counted:,} too", "bold")
    stage.found(num_rows_delta_scan=counted)


STEPS = (
    Step("Create a table, its files divided by month", create_table),
    Step("Four processes append the twelve months at the same time", append_from_processes),
    Step("Read with a filter", read_filtered),
    Step("Travel back in time", travel_back),
    Step("Who did what", show_history),
    Step("Overwrite one month", correct_month),
    Step("Query it in SQL, and see what that took", query_with_sql),
    Step("DuckDB reads the same table", query_with_duckdb),
)


def check(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion does
    """Hold the demo to what it shows. Raises LakefmtError."""
    if not holds:
        raise LakefmtError(
            f"The demo expected that {what}", hint="This is a bug in lakefmt: please report it"
        )
