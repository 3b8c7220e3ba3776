"""Servers, places and comparisons that tests of several packages use."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# A machine that is busy fails no test. Under CI the profile before this one fixes the examples; that stays.
settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")

# Before anything imports it, so that its asserts show values.
pytest.register_assert_rewrite("lakefmt.testing.store_contract")

from lakefmt.testing.servers import AzureServer, GcsServer, S3Server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

_MANY_ROWS = 10_000  # past which Python's own values take too long


@pytest.fixture(autouse=True)
def _nothing_goes_on_after_a_test() -> Iterator[None]:
    """What follows a commit belongs to the test that made it."""
    yield
    from lakefmt import background

    assert background.flush(timeout_s=60)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """moto's S3 over real HTTP; ``s3_server.gate`` counts requests and makes them fail."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_options(s3_server: S3Server) -> Iterator[dict[str, Any]]:
    """Storage options for the server; faults and counts start anew for each test."""
    s3_server.gate.forget()
    yield s3_server.storage_options()
    s3_server.gate.forget()


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """The URI of an empty bucket."""
    return s3_server.create_bucket()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """fake-gcs-server."""
    if reason := GcsServer.missing():
        pytest.skip(reason)
    with GcsServer() as server:
        yield server


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """Azurite."""
    if reason := AzureServer.missing():
        pytest.skip(reason)
    with AzureServer() as server:
        yield server


@pytest.fixture(params=["local", "memory", "s3"])
def table_uri(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A place for a table on each kind of storage: (uri, storage_options); nothing is there yet."""
    match request.param:
        case "local":
            return str(tmp_path / "table"), {}
        case "memory":
            return f"memory://{uuid.uuid4().hex}/table", {}
        case _:
            bucket: str = request.getfixturevalue("s3_bucket")
            return f"{bucket}/table", request.getfixturevalue("s3_options")


@pytest.fixture(scope="session")
def assert_same_rows() -> Callable[[pa.Table, pa.Table], None]:
    """A function that compares a reader's rows with those expected, value for value, in any order."""

    def check(found: pa.Table, expected: pa.Table) -> None:
        assert set(found.column_names) == set(expected.column_names)
        found = found.select(expected.column_names)
        if expected.num_rows > _MANY_ROWS:
            key = expected.column_names[0]
            assert found.cast(expected.schema).sort_by(key).equals(expected)
            return
        assert _rows_of(found) == _rows_of(expected)

    return check


def _rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return sorted(zip(*columns, strict=True), key=repr)


def _plain(value: Any) -> Any:
    match value:
        case float():
            return repr(value)  # NaN equals itself, -0.0 does not equal 0.0
        case dt.datetime():
            return value.isoformat() if value.tzinfo is None else value.astimezone(dt.UTC).isoformat()
        case dict():
            return tuple(sorted((name, _plain(member)) for name, member in value.items()))
        case list():
            # A map comes as pairs, or as structs of key and value, in the reader's own order.
            if value and all(isinstance(each, dict) and set(each) == {"key", "value"} for each in value):
                value = [(each["key"], each["value"]) for each in value]
            if value and all(isinstance(each, tuple) for each in value):
                return tuple(sorted(((_plain(k), _plain(v)) for k, v in value), key=repr))
            return tuple(_plain(each) for each in value)
        case _:
            return value
