"""8 processes, each appending 25 one-row tables through its own open handle to one table on local disk, all at once.

The time is from the first append that begins to the last that ends, for 200 acknowledged commits: where a contender
lost some to errors, its time is scaled by what it did commit, and the failures are in the table of counts. delta-rs
syncs nothing to disk: lakefmt is measured without and with `fsync`. Every process has appended to a table of its own
before, and written a checkpoint.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Bar, Comparison, Counts, compare
from benchmarks.rounds import Contender, Role, Run
from benchmarks.s3_requests import delta_rs_names

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from benchmarks.registry import Settings

__all__ = ["Races", "measure"]

ROOT = Path(__file__).parents[1]
FACTOR = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """What a fleet of writers came to."""

    seconds: float
    committed: int
    failed: int
    wanted: int

    @property
    def seconds_for_all(self) -> float:
        """The time that all commits would have taken at this rate."""
        return self.seconds * self.wanted / max(self.committed, 1)


class Fleet:
    """Writers in processes of their own, ready to begin.

    Args:
        library: ``lakefmt`` or ``delta-rs``.
        uri: of the table, which is there.
        options: storage options, as lakefmt takes them.
        writers: processes.
        appends: of each.
    """

    def __init__(self, library: str, uri: str, options: dict[str, Any], writers: int, appends: int) -> None:
        self._wanted = writers * appends
        arguments = [library, uri, json.dumps(options), str(appends)]
        self._children = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.concurrent_appends", *arguments, str(number)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(writers)
        ]
        for child in self._children:
            assert child.stdout is not None
            if child.stdout.readline().strip() != "ready":
                raise RuntimeError(f"a writer of {library} did not start")

    def sail(self) -> Ended:
        """Let all begin, and wait for the last."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        ended = [json.loads(child.communicate()[0]) for child in self._children]
        return Ended(
            seconds=max(each["end"] for each in ended) - min(each["begin"] for each in ended),
            committed=sum(each["committed"] for each in ended),
            failed=sum(each["failed"] for each in ended),
            wanted=self._wanted,
        )


def measure(settings: Settings) -> tuple[Comparison | Counts, ...]:
    """Compare on local disk without and with fsync."""
    races = Races(settings)
    local = str(settings.folder)
    return (
        races.against_delta_rs("local disk, fsync off", local, {"fsync": False}, Bar(ratio=1 / FACTOR)),
        races.against_delta_rs("local disk, fsync on", local, {}, Bar(ratio=1.0)),
        races.failures(),
    )


class Races:
    """Fleets of both libraries, one after the other, each with a table of its own; and what failed in all of them."""

    def __init__(self, settings: Settings) -> None:
        self._rounds = settings.rounds
        self._writers, self._appends = settings.scaled(full=8, quick=2), settings.scaled(full=25, quick=3)
        self._failed: dict[str, int] = {}
        self._numbers = itertools.count()

    def against_delta_rs(self, title: str, place: str, options: dict[str, Any], bar: Bar) -> Comparison:
        """Compare at a place; ``options`` are lakefmt's storage options."""
        theirs = {name: value for name, value in options.items() if name != "fsync"}
        return compare(
            f"{self._writers} processes x {self._appends} appends, {title}",
            [
                self._contender(f"lakefmt, {title}", "lakefmt", place, options, "subject"),
                self._contender(f"delta-rs, {title}", "delta-rs", place, theirs, "peer"),
            ],
            bar=bar,
            rounds=self._rounds,
        )

    def failures(self) -> Counts:
        """Return how many appends failed, by contender, in all rounds."""
        ours = sum(count for name, count in self._failed.items() if name.startswith("lakefmt"))
        ours_first = sorted(
            self._failed.items(), key=lambda item: (not item[0].startswith("lakefmt"), item[0])
        )
        rows = tuple((name, str(count)) for name, count in ours_first)
        title = f"Appends that failed, of {self._writers * self._appends} a round"
        return Counts(title, ("", "failed"), rows, "none of lakefmt's", "missed" if ours else "met")

    def _contender(
        self, name: str, library: str, place: str, options: dict[str, Any], role: Role
    ) -> Contender:
        def start() -> Run:
            uri = f"{place}/table-{next(self._numbers)}"
            _create(library, uri, options)
            fleet = Fleet(library, uri, options, self._writers, self._appends)

            def sail() -> Ended:
                ended = fleet.sail()
                self._failed[name] = self._failed.get(name, 0) + ended.failed
                # Whoever was told that it committed, has: each row once.
                rows = _count(uri, options)
                if not ended.committed <= rows <= ended.committed + ended.failed:
                    raise AssertionError(f"{name}: {ended.committed} commits, {rows} rows")
                return ended

            return Run(call=sail, answer=lambda _: "all rows", seconds=lambda ended: ended.seconds_for_all)

        return Contender(name, start, role)


def _create(library: str, uri: str, options: dict[str, Any]) -> None:
    if library == "lakefmt":
        import lakefmt

        lakefmt.create(uri, EVENT_SCHEMA, storage_options=options)
        return
    # In a process of its own: delta-rs would hold the lock that this process's server needs.
    code = "import json, sys; from benchmarks.concurrent_appends import create_with_delta_rs as f; f(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, uri, json.dumps(options)], check=True, cwd=ROOT)


def create_with_delta_rs(uri: str, options: str) -> None:
    """Create an empty table with delta-rs; ``options`` as JSON."""
    from deltalake import DeltaTable

    DeltaTable.create(uri, EVENT_SCHEMA, storage_options=_delta_rs_options(json.loads(options)))


def _count(uri: str, options: dict[str, Any]) -> int:
    import lakefmt

    return lakefmt.open(uri, storage_options=options).count()


def _delta_rs_options(options: dict[str, Any]) -> dict[str, str] | None:
    return delta_rs_names(options) if options else None


def _append_with(library: str, uri: str, options: dict[str, Any]) -> Callable[[pa.Table], object]:
    if library == "lakefmt":
        import lakefmt

        return lakefmt.open(uri, storage_options=options).append
    from deltalake import DeltaTable, write_deltalake

    table = DeltaTable(uri, storage_options=_delta_rs_options(options))
    return lambda rows: write_deltalake(table, rows, mode="append")


def _warm_up(library: str) -> None:
    """Append to a table of one's own and write a checkpoint of it: what a process does once is no part of the race."""
    with tempfile.TemporaryDirectory() as place:
        if library == "lakefmt":
            import lakefmt

            with lakefmt.create(place, EVENT_SCHEMA) as table:
                table.append(event(0))
                table.checkpoint()
            return
        from deltalake import DeltaTable, write_deltalake

        theirs = DeltaTable.create(place, EVENT_SCHEMA)
        write_deltalake(theirs, event(0), mode="append")
        theirs.create_checkpoint()


def _write(library: str, uri: str, options: str, appends: str, number: str) -> None:
    """Run one writer: ready, wait for the word, append, tell."""
    _warm_up(library)
    append = _append_with(library, uri, json.loads(options))
    first = int(number) * int(appends)
    events = [event(first + each) for each in range(int(appends))]
    print("ready", flush=True)
    sys.stdin.readline()
    failed = 0
    begin = time.monotonic()
    for rows in events:
        try:
            append(rows)
        except Exception:  # noqa: BLE001 - what the caller sees of a lost race
            failed += 1
    end = time.monotonic()
    print(json.dumps({"begin": begin, "end": end, "committed": len(events) - failed, "failed": failed}))


if __name__ == "__main__":
    _write(*sys.argv[1:])
