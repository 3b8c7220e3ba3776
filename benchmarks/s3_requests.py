"""Requests that one append of one row costs on S3, through one open handle, counted at the server.

The server is moto's, over HTTP; it answers each contender alone. 20 appends, so no checkpoint is among them; the first
one is left out, as it may fetch what the handle then keeps.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.generated_data import EVENT_SCHEMA, event
from benchmarks.results import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from benchmarks.registry import Settings

__all__ = ["measure"]

APPENDS = 20
KINDS = ("PUT", "GET", "HEAD", "LIST", "other")
# moto takes any credentials; these are nobody's.
ACCESS_KEY = SECRET_KEY = "testing"
REGION = "us-east-1"
BUCKET = "bench"


def measure(settings: Settings) -> tuple[Counts, ...]:
    """Count lakefmt's requests and delta-rs's."""
    appends = settings.scaled(full=APPENDS, quick=3)
    openers = {"lakefmt": _open_lakefmt, "delta-rs": _open_delta_rs}
    rows: list[tuple[str, ...]] = []
    with _counting_server() as (endpoint, counted):
        for name, opener in openers.items():
            append = opener(f"s3://{BUCKET}/{name}", endpoint)
            append(event(0))
            counted.clear()
            for number in range(1, appends + 1):
                append(event(number))
            each = [counted[kind] / appends for kind in KINDS]
            rows.append((name, f"{sum(each):.2f}", *(f"{count:.2f}" for count in each)))
    return (Counts(title="Requests per append on S3", columns=("", "all", *KINDS), rows=tuple(rows)),)


def _open_lakefmt(uri: str, endpoint: str) -> Callable[[pa.Table], Any]:
    import lakefmt

    options = {
        "key": ACCESS_KEY,
        "secret": SECRET_KEY,
        "endpoint_url": endpoint,
        "client_kwargs": {"region_name": REGION},
    }
    return lakefmt.create(uri, EVENT_SCHEMA, storage_options=options).append


def _open_delta_rs(uri: str, endpoint: str) -> Callable[[pa.Table], Any]:
    from deltalake import DeltaTable, write_deltalake

    options = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_ALLOW_HTTP": "true",
    }
    table = DeltaTable.create(uri, EVENT_SCHEMA, storage_options=options)
    return lambda rows: write_deltalake(table, rows, mode="append")


@contextmanager
def _counting_server() -> Iterator[tuple[str, Counter[str]]]:
    """Serve S3 on a free port with one bucket; yield the endpoint and the requests counted so far, by kind."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class QuietHandler(WSGIRequestHandler):
        def log_request(self, *_: Any) -> None:
            """Say nothing: the request is counted."""

    backend = DomainDispatcherApplication(create_backend_app)
    counted: Counter[str] = Counter()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        counted[_kind(environ)] += 1
        answer: Iterable[bytes] = backend(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        _create_bucket(endpoint)
        yield endpoint, counted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _kind(environ: dict[str, Any]) -> str:
    method: str = environ["REQUEST_METHOD"]
    if method == "GET" and "list-type=" in environ.get("QUERY_STRING", ""):
        return "LIST"
    return method if method in KINDS else "other"


def _create_bucket(endpoint: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()
