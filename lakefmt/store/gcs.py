"""Tables on Google Cloud Storage, through gcsfs's session and credentials.

``ifGenerationMatch=0`` on an upload is the atomic step. gcsfs answers 404, 403 and 412 with exceptions that forget
the status, and sends a failed request up to six times by itself; so the requests of the JSON API are made here.
"""

# ruff: noqa: SLF001 - an upload is a part of its store; gcsfs has no public way to a single request
from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakefmt.store.remote import RemoteStore, RemoteUpload, client_failure, status_failure
from lakefmt.store.retry import Failure

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping, Sequence

    from lakefmt.store.streams import Upload

__all__ = ["GcsStore"]

_BYTES = {"Content-Type": "application/octet-stream"}
# A key file, or a service of Google's that gives each program credentials.
_SIGNS_OF_CREDENTIALS = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GAE_RUNTIME"),
    *("K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "KUBERNETES_SERVICE_HOST"),
)
_INCOMPLETE = 308
_CANCELLED = 499
_RANGE_PAST_END = 416
_GONE = frozenset({404, 410})


class GcsStore(RemoteStore):
    """A folder of a GCS bucket; the options are those of ``gcsfs.GCSFileSystem``."""

    service = "Google Cloud Storage"
    package = ("gcsfs", "gcs")
    public_options = frozenset(
        {"project", "access", "endpoint_url", "requester_pays", "requests_timeout", "default_location"}
    )
    credentials_hint = (
        "Log in with 'gcloud auth application-default login', name a key file in GOOGLE_APPLICATION_CREDENTIALS, "
        "or give storage_options a token; token='anon' reads public buckets"
    )

    def _connect(self) -> Any:
        from gcsfs.core import GCSFileSystem

        options = dict(self._options)
        if options.get("token") is None and not _may_have_credentials():
            options["token"] = "anon"  # noqa: S105 - no secret
        return GCSFileSystem(**options, use_listings_cache=False, skip_instance_cache=True)

    def _classify(self, error: Exception) -> Failure:
        if isinstance(error, _AnswerError):
            if error.status == 404 and (error.of_bucket or "bucket does not exist" in error.text.lower()):
                return Failure.NO_CONTAINER
            return status_failure(error.status)
        module, name = type(error).__module__, type(error).__name__
        if module.startswith("google.auth"):
            return Failure.TRANSIENT if name == "TransportError" else Failure.CREDENTIALS
        if module.startswith("gcsfs"):
            return Failure.CREDENTIALS  # only the renewal of credentials goes through gcsfs
        if module.startswith("requests"):
            return Failure.TRANSIENT
        return client_failure(error)

    async def _get(self, file_system: Any, name: str, span: tuple[int, int] | None) -> bytes:
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        try:
            answer = await self._send(
                file_system, "GET", self._object(file_system, name), params={"alt": "media"}, headers=headers
            )
        except _AnswerError as error:
            if span is not None and error.status == _RANGE_PAST_END:
                return b""
            raise
        return answer.content

    async def _head(self, file_system: Any, name: str) -> tuple[int, int]:
        answer = await self._send(
            file_system, "GET", self._object(file_system, name), params={"fields": "size,updated"}
        )
        found = json.loads(answer.content)
        return int(found["size"]), _milliseconds(found["updated"])

    async def _list_page(
        self, file_system: Any, prefix: str, after: str, token: Any, *, recursive: bool
    ) -> tuple[builtins.list[tuple[str, int, int]], Any]:
        params = {
            "prefix": prefix or None,
            "delimiter": None if recursive else "/",
            "startOffset": after or None,  # inclusive, so its own name comes too
            "pageToken": token,
            "maxResults": "1000",
            "fields": "items(name,size,updated),nextPageToken",
        }
        answer = await self._send(
            file_system, "GET", f"{file_system.base}b/{quote(self.container)}/o", params=params
        )
        found = json.loads(answer.content)
        page = [
            (item["name"], int(item.get("size", 0)), _milliseconds(item["updated"]))
            for item in found.get("items", ())
        ]
        return page, found.get("nextPageToken") or None

    async def _put(self, file_system: Any, name: str, data: bytes, *, only_if_absent: bool) -> None:
        # The form with a part for the name: of the ways to upload, every emulator checks conditions on this one.
        mark = f"part-{uuid.uuid4().hex}"
        about = json.dumps({"name": name}).encode()
        start = b"--%b\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%b\r\n" % (
            mark.encode(),
            about,
        )
        body = b"%b--%b\r\nContent-Type: application/octet-stream\r\n\r\n%b\r\n--%b--" % (
            *(start, mark.encode(), data, mark.encode()),
        )
        await self._send(
            file_system,
            "POST",
            self._uploads(file_system),
            params={
                "uploadType": "multipart",
                "name": name,
                "ifGenerationMatch": "0" if only_if_absent else None,
                "fields": "generation",
            },
            headers={"Content-Type": f"multipart/related; boundary={mark}"},
            data=body,
        )

    async def _delete(self, file_system: Any, names: Sequence[str]) -> None:
        (name,) = names
        try:
            await self._send(file_system, "DELETE", self._object(file_system, name))
        except _AnswerError as error:
            if self._classify(error) is not Failure.ABSENT:
                raise

    def _start_upload(self, key: str) -> Upload:
        return _GcsUpload(self, key)

    def _foreign_endpoint(self) -> str:
        given = self._options.get("endpoint_url") or os.environ.get("STORAGE_EMULATOR_HOST") or ""
        return "" if ".googleapis.com" in str(given) else str(given)

    def _object(self, file_system: Any, name: str) -> str:
        return f"{file_system.base}b/{quote(self.container)}/o/{quote(name, safe='')}"

    def _uploads(self, file_system: Any) -> str:
        host = file_system.base.removesuffix("/storage/v1/")
        return f"{host}/upload/storage/v1/b/{quote(self.container)}/o"

    async def _send(
        self,
        file_system: Any,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        allowed: frozenset[int] = frozenset(),
    ) -> _Answer:
        """Send one request; raises _AnswerError for a status from 300 on that is not ``allowed``."""
        import aiohttp

        session = await file_system._set_session()
        async with session.request(
            method,
            url,
            params=file_system._get_params(dict(params or {})),
            headers=file_system._get_headers(dict(headers or {})),
            data=data
            if data is None
            else io.BytesIO(data),  # aiohttp sends a stream without blocking its loop
            allow_redirects=False,
            timeout=file_system.requests_timeout or aiohttp.ClientTimeout(sock_connect=10, sock_read=60),
        ) as answer:
            content = await answer.read()
            if answer.status >= 300 and answer.status not in allowed:
                raise _AnswerError(answer.status, content, of_bucket=url.endswith("/o"))
            return _Answer(answer.status, answer.headers, content)


class _GcsUpload(RemoteUpload):
    """A resumable upload: chunks in order, the last one tells the size."""

    parallel = False

    def __init__(self, store: GcsStore, key: str) -> None:
        super().__init__(store, key)
        self._store: GcsStore = store
        self._session_url = self._request(self._begin)

    def send(self, number: int, offset: int, data: bytes) -> None:  # noqa: ARG002 - part of the interface
        self._send_all(offset, data, "*")

    def finish(self, number: int, offset: int, data: bytes) -> None:  # noqa: ARG002 - part of the interface
        self._send_all(offset, data, str(offset + len(data)))

    def abort(self) -> None:
        async def cancel(fs: Any) -> None:
            allowed = _GONE | {_CANCELLED}
            await self._store._send(fs, "DELETE", self._session_url, allowed=allowed)

        self._request(cancel)

    async def _begin(self, fs: Any) -> str:
        answer = await self._store._send(
            fs,
            "POST",
            self._store._uploads(fs),
            params={"uploadType": "resumable", "name": self._object_name},
            headers={"X-Upload-Content-Type": _BYTES["Content-Type"]},
            data=b"",
        )
        return str(answer.headers["Location"])

    def _send_all(self, offset: int, data: bytes, size: str) -> None:
        end = offset + len(data)
        position = offset
        asked_before = False

        async def send(fs: Any) -> None:
            nonlocal position, asked_before
            if asked_before:
                # What arrived of the attempt before is not known here, but there.
                stored = await self._stored(fs)
                if stored is None:
                    return
                position = stored
            asked_before = True
            while True:
                span = f"{position}-{end - 1}" if position < end else "*"
                answer = await self._store._send(
                    fs,
                    "PUT",
                    self._session_url,
                    headers={**_BYTES, "Content-Range": f"bytes {span}/{size}"},
                    data=data[position - offset :],
                    allowed=frozenset({_INCOMPLETE}),
                )
                if answer.status != _INCOMPLETE:
                    return
                position = _stored_end(answer)
                if size == "*" and position >= end:
                    return

        self._request(send)

    async def _stored(self, fs: Any) -> int | None:
        """Return how many bytes have arrived, None when the object is complete."""
        answer = await self._store._send(
            fs,
            "PUT",
            self._session_url,
            headers={"Content-Range": "bytes */*"},
            data=b"",
            allowed=frozenset({_INCOMPLETE}),
        )
        return _stored_end(answer) if answer.status == _INCOMPLETE else None


def _may_have_credentials() -> bool:
    """Return whether there is any sign of credentials on this machine.

    Without one gcsfs would knock at a metadata server that is not there, for 15 seconds, and go on anonymously.
    """
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _SIGNS_OF_CREDENTIALS):
        return True
    settings = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
    if (settings / "application_default_credentials.json").exists() or (Path.home() / ".gcs_tokens").exists():
        return True
    try:
        # What Google's own library looks at, too: all its machines say so.
        return Path("/sys/class/dmi/id/product_name").read_text(encoding="utf-8").startswith("Google")
    except OSError:
        return False


class _Answer:
    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content


class _AnswerError(Exception):
    """An HTTP status that is no success, to a request about an object or about its bucket as a whole."""

    def __init__(self, status: int, content: bytes, *, of_bucket: bool) -> None:
        self.status = status
        self.of_bucket = of_bucket
        self.text = content.decode("utf-8", errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            self.text = str(json.loads(self.text)["error"]["message"])
        super().__init__(f"{status} {self.text}")


def _stored_end(answer: _Answer) -> int:
    found = answer.headers.get("Range", "")
    return int(found.rpartition("-")[2]) + 1 if found else 0


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
