"""Requests that one append of one row costs on S3, through one open handle, counted at the server.

The server is moto's, over HTTP; it answers each contender alone. 20 appends without a checkpoint among them; the first
one is left out, as it may fetch what the handle then keeps. lakefmt looks whether its last commit is still the log's, puts
the data file and the commit, and afterwards, in the background, the version's checksum file, which delta-rs does not write.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.answers import Answer, answer_of_rows
from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Counts
from lakefmt.testing.servers import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from benchmarks.results import Verdict

    Opened = tuple[Callable[[pa.Table], Any], Callable[[], None]]
    """What appends, and what waits until nothing is under way."""

    from benchmarks.registry import Settings
    from lakefmt.testing.servers import Request

__all__ = ["delta_rs_names", "measure"]

APPENDS = 20
MOST = 4
SELDOM = {"delta.checkpointInterval": "1000"}
KINDS = ("PUT", "GET", "HEAD", "LIST")


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Count lakefmt's requests and delta-rs's."""
    appends = settings.scaled(full=APPENDS, quick=3)
    openers = {"lakefmt": _open_lakefmt, "delta-rs": _open_delta_rs}
    rows: list[tuple[str, ...]] = []
    answers: dict[str, Answer] = {}
    verdict: Verdict = "no bar"
    with S3Server() as server:
        bucket = server.create_bucket()
        for name, opener in openers.items():
            append, flush = opener(f"{bucket}/{name}", server.storage_options())
            append(event(0))
            flush()
            server.gate.forget()
            for number in range(1, appends + 1):
                append(event(number))
                flush()
            counted = _count(server.gate.requests())
            kinds = [*(counted.pop(kind, 0) for kind in KINDS), counted.total()]
            answers[name] = _read(f"{bucket}/{name}", server.storage_options())
            rows.append((name, *(f"{count / appends:.2f}" for count in (sum(kinds), *kinds))))
            if name == "lakefmt":
                verdict = "met" if sum(kinds) <= MOST * appends else "missed"
    return (
        Counts(
            title="Requests per append on S3",
            columns=("", "all", *KINDS, "other"),
            rows=tuple(rows),
            bar=f"at most {MOST} of lakefmt",
            verdict=verdict,
        ),
    )


def _open_lakefmt(uri: str, options: dict[str, Any]) -> Opened:
    import lakefmt

    table = lakefmt.create(uri, EVENT_SCHEMA, properties=SELDOM, storage_options=options)
    return table.append, table.close


def _open_delta_rs(uri: str, options: dict[str, Any]) -> Opened:
    from deltalake import DeltaTable, write_deltalake

    names = delta_rs_names(options)
    table = DeltaTable.create(uri, EVENT_SCHEMA, configuration=SELDOM, storage_options=names)
    return lambda rows: write_deltalake(table, rows, mode="append"), lambda: None


def _read(uri: str, options: dict[str, Any]) -> Answer:
    """Return what the table holds; lakefmt reads both (delta-rs would hold the lock that this process's server needs)."""
    import lakefmt

    return answer_of_rows(lakefmt.open(uri, storage_options=options).to_arrow())


def delta_rs_names(options: dict[str, Any]) -> dict[str, str]:
    """Return options for s3fs as delta-rs names them."""
    return {
        "AWS_ACCESS_KEY_ID": options["key"],
        "AWS_SECRET_ACCESS_KEY": options["secret"],
        "AWS_ENDPOINT_URL": options["endpoint_url"],
        "AWS_REGION": options["client_kwargs"]["region_name"],
        "AWS_ALLOW_HTTP": "true",
    }


def _count(requests: Sequence[Request]) -> Counter[str]:
    return Counter(
        "LIST" if request.method == "GET" and "list-type=" in request.query else request.method
        for request in requests
    )
