"""Processes that are killed while they write, round after round: ``python -m tests.soak.histories [seconds]``, part of ``make soak``.

Each round is a new table, on local disk or on S3 by turns; its history must be strictly serializable, and every reader
must see where it ended. Seeds are from the clock and printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lakefmt.testing.history import check_history
from lakefmt.testing.servers import S3Server
from lakefmt.testing.writer_processes import run_processes
from tests.interop.conftest import DeltaRsReader, PolarsReader

SECONDS = 300


def play_round(uri: str, folder: Path, seed: int, options: dict[str, object]) -> Counter[str]:
    """Run processes on a new table and check what they saw. Raises AssertionError."""
    history = run_processes(
        uri,
        folder,
        seed=seed,
        storage_options=options,
        threads=1 + seed % 2,
        starts=16 + seed % 17,
        operations=10 + seed % 31,
        kill_share=0.5,
        fault_rate=(0.0, 0.003, 0.01)[seed % 3],
    )
    anomalies = check_history(history)
    assert not anomalies, "\n".join(map(str, anomalies))
    if "://" not in uri:
        check_readers(uri, sorted(history[-1].values))
    return Counter(f"{operation.kind} {operation.outcome}" for operation in history)


def check_readers(path: str, expected: list[int]) -> None:
    """Read a table on local disk with other readers. Raises AssertionError."""
    for reader in (DeltaRsReader(), PolarsReader()):
        assert sorted(reader.read(path)["id"].to_pylist()) == expected, f"{reader.name} sees other rows"


def main(seconds: float = SECONDS) -> int:
    """Play rounds for some time; return how many failed."""
    first = time.time_ns() // 1_000_000
    print(f"processes: seeds from {first} on, for {seconds:.0f} s", flush=True)
    deadline_s = time.monotonic() + seconds
    found: Counter[str] = Counter()
    rounds, failures = 0, 0
    with S3Server() as server, tempfile.TemporaryDirectory() as folder:
        bucket = server.create_bucket()
        while time.monotonic() < deadline_s:
            seed = first + rounds
            here = Path(folder) / str(seed)
            here.mkdir()
            place, options = (
                (str(here / "table"), {"fsync": bool(seed % 4)})
                if rounds % 2 == 0
                else (f"{bucket}/{seed}", server.storage_options())
            )
            try:
                found += play_round(place, here, seed, options)
            except AssertionError as error:
                failures += 1
                print(f"{place}, seed {seed}: {error}", flush=True)
            rounds += 1
    print(f"processes: {rounds} rounds, {failures} failed; {dict(sorted(found.items()))}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])) > 0)
