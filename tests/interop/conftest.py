"""The other readers of the format, each behind one call."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pytest

import lakefmt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb


class Reader(Protocol):
    """Somebody's way to read a Delta table."""

    name: str

    def read(self, uri: str, where: str | None = None, options: Mapping[str, str] | None = None) -> pa.Table:
        """Return the rows, those of an SQL predicate if there is one; options as delta-rs names them."""


@dataclass
class LakefmtReader:
    name: str = "lakefmt"

    def read(self, uri, where=None, options=None):
        return lakefmt.open(uri, storage_options=fsspec_options(options)).scan(where=where).to_arrow()


@dataclass
class DuckDBReader:
    """DuckDB's own delta extension, which is delta-kernel-rs below."""

    connection: duckdb.DuckDBPyConnection
    name: str = "duckdb"

    def read(self, uri, where=None, options=None):
        if options:
            self._let_in(options)
        text = as_uri(uri).replace("'", "''")
        query = f"SELECT * FROM delta_scan('{text}')" + (f" WHERE {where}" if where else "")
        return pa.table(self.connection.sql(query))

    def _let_in(self, options):
        host = options["AWS_ENDPOINT_URL"].removeprefix("http://")
        self.connection.execute(
            "CREATE OR REPLACE SECRET s3 (TYPE s3, KEY_ID 'testing', SECRET 'testing-secret', REGION 'us-east-1', "
            f"ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)"
        )


@dataclass
class DeltaRsReader:
    """delta-rs through DataFusion, its path for tables of every kind."""

    name: str = "delta-rs"

    def read(self, uri, where=None, options=None):
        from deltalake import DeltaTable, QueryBuilder

        table = DeltaTable(as_uri(uri), storage_options=options)
        query = "SELECT * FROM t" + (f" WHERE {where}" if where else "")
        return pa.table(QueryBuilder().register("t", table).execute(query).read_all())


@dataclass
class PyarrowReader:
    """delta-rs through a pyarrow dataset, its older path, for tables without deletion vectors."""

    name: str = "delta-rs-pyarrow"

    def read(self, uri, where=None, options=None):
        from deltalake import DeltaTable

        assert where is None
        return DeltaTable(as_uri(uri), storage_options=options).to_pyarrow_table()


@dataclass
class PolarsReader:
    name: str = "polars"
    options: dict[str, Any] = field(default_factory=dict)

    def read(self, uri, where=None, options=None):
        import polars as pl

        frame = pl.scan_delta(as_uri(uri), storage_options=options)
        if where:
            frame = frame.sql(f"SELECT * FROM self WHERE {where}")
        return frame.collect().to_arrow()


def as_uri(uri: str) -> str:
    """Return a local path as a file URI; readers decode what is percent-encoded, in a plain path too."""
    return uri if "://" in uri else Path(uri).as_uri()


def fsspec_options(options: Mapping[str, str] | None) -> dict[str, Any]:
    """Return delta-rs's options for S3 as s3fs names them."""
    if not options:
        return {}
    return {
        "key": options["AWS_ACCESS_KEY_ID"],
        "secret": options["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": options["AWS_ENDPOINT_URL"],
        "client_kwargs": {"region_name": options["AWS_REGION"]},
    }


def duckdb_extension(name: str) -> Path | None:
    """Return the extension's file for the DuckDB that is installed, None where no wheel brings one."""
    import duckdb

    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return file if file.exists() else None


@pytest.fixture(scope="session")
def duckdb_with_delta() -> duckdb.DuckDBPyConnection:
    """A connection that has the delta extension."""
    import duckdb

    extensions = [duckdb_extension("httpfs"), duckdb_extension("delta")]
    if None in extensions:
        pytest.skip(f"there is no wheel with a delta extension for DuckDB {duckdb.__version__}")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for extension in extensions:
        connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@pytest.fixture(params=["lakefmt", "duckdb", "delta-rs", "polars"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Each reader that takes a table with its default properties."""
    return make_reader(request, request.param)


@pytest.fixture
def plain_reader() -> Reader:
    """The reader that takes no table with the deletionVectors feature."""
    return PyarrowReader()


@pytest.fixture(params=["duckdb", "delta-rs", "polars"])
def peer(request: pytest.FixtureRequest) -> Reader:
    """Each reader but ours."""
    return make_reader(request, request.param)


def make_reader(request: pytest.FixtureRequest, name: str) -> Reader:
    match name:
        case "lakefmt":
            return LakefmtReader()
        case "duckdb":
            return DuckDBReader(request.getfixturevalue("duckdb_with_delta").cursor())
        case "delta-rs":
            return DeltaRsReader()
        case _:
            return PolarsReader()


_SERVE = """
import sys
from lakefmt.testing.servers import S3Server
with S3Server() as server:
    print(server.url, server.create_bucket(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def s3_elsewhere() -> Iterator[tuple[str, str]]:
    """An S3 server in a process of its own, as its endpoint and a bucket: delta-rs waits for answers under the GIL."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        endpoint, bucket = server.stdout.readline().split()
        yield endpoint, bucket


@pytest.fixture(scope="session")
def s3_reader_options(s3_elsewhere: tuple[str, str]) -> dict[str, str]:
    """Options for that server as delta-rs and polars name them."""
    return {
        "AWS_ENDPOINT_URL": s3_elsewhere[0],
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "aws_conditional_put": "etag",
    }


@pytest.fixture(scope="session")
def our_options(s3_reader_options: dict[str, str]) -> dict[str, Any]:
    """The same as s3fs names them."""
    return fsspec_options(s3_reader_options)


@pytest.fixture
def s3_table(s3_elsewhere: tuple[str, str], s3_reader_options: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A place on S3, and options for it as delta-rs and polars name them."""
    return f"{s3_elsewhere[1]}/{uuid.uuid4().hex}/table", s3_reader_options
