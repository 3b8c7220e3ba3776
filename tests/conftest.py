"""Servers and places that tests of several packages use."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

# Before anything imports it, so that its asserts show values.
pytest.register_assert_rewrite("lakefmt.testing.store_contract")

from lakefmt.testing.servers import AzureServer, GcsServer, S3Server  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
