"""Tables on S3 and what speaks its language, through s3fs.

``If-None-Match: *`` on a single PUT is the atomic step; S3 itself has it since August 2024, MinIO, Ceph and R2
too; a server that does not know it is found out by ``RemoteStore``.
"""

# ruff: noqa: SLF001 - an upload is a part of its store; s3fs has no public way to a single request
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lakefmt.errors import StoreError
from lakefmt.store.remote import RemoteStore, RemoteUpload, client_failure, status_failure
from lakefmt.store.retry import Failure

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping, Sequence

    from lakefmt.store.streams import Upload

__all__ = ["S3Store"]

_DIRECTORY_BUCKET = "--x-s3"
_PAGE = 1000
_CODES = {
    "NoSuchKey": Failure.ABSENT,
    "NoSuchBucket": Failure.NO_CONTAINER,
    "NoSuchUpload": Failure.ABSENT,
    "AccessDenied": Failure.DENIED,
    "AllAccessDisabled": Failure.DENIED,
    "ExpiredToken": Failure.CREDENTIALS,
    "InvalidAccessKeyId": Failure.CREDENTIALS,
    "InvalidToken": Failure.CREDENTIALS,
    "SignatureDoesNotMatch": Failure.CREDENTIALS,
    "TokenRefreshRequired": Failure.CREDENTIALS,
    # Amazon answers these with 400; the same request passes a moment later.
    "RequestTimeout": Failure.TRANSIENT,
    "BadDigest": Failure.TRANSIENT,
    "IncompleteBody": Failure.TRANSIENT,
    "XAmzContentSHA256Mismatch": Failure.TRANSIENT,
    "SlowDown": Failure.TRANSIENT,
    "InternalError": Failure.TRANSIENT,
    "OperationAborted": Failure.TAKEN,
    "ConditionalRequestConflict": Failure.TAKEN,
}
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}
    | {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "ProfileNotFound", "InvalidConfigError"}
)
_TRANSIENT_CLIENT_ERRORS = frozenset(
    {"HTTPClientError", "ConnectionClosedError", "ReadTimeoutError", "ConnectTimeoutError", "SSLError"}
    | {"EndpointConnectionError", "ResponseStreamingError", "IncompleteReadError", "ResponseParserError"}
)


class S3Store(RemoteStore):
    """A folder of an S3 bucket; the options are those of ``s3fs.S3FileSystem``."""

    service = "S3"
    package = ("s3fs", "s3")
    public_options = frozenset(
        {"anon", "endpoint_url", "use_ssl", "requester_pays", "profile", "max_concurrency", "config_kwargs"}
        | {"client_kwargs", "region_name", "verify", "signature_version", "s3", "addressing_style"}
        | {"connect_timeout", "read_timeout", "max_pool_connections", "s3_additional_kwargs"}
        | {"ServerSideEncryption", "SSEKMSKeyId", "StorageClass", "ACL", "payload_signing_enabled"}
    )
    credentials_hint = (
        "Give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as an AWS_PROFILE, by the role of the machine, "
        "or in storage_options as key, secret and token; anon=True reads public buckets"
    )
    delete_batch = 1000

    def __init__(self, uri: str, options: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(uri, options, **settings)
        if self.container.endswith(_DIRECTORY_BUCKET):
            raise StoreError(
                f"{self.container!r} is a directory bucket (S3 Express One Zone), which lists objects in no order",
                table=self.uri,
                hint="Keep the table in a general purpose bucket",
            )

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> RemoteStore:
        """Open a store; the options are those of the file system, and of ``S3DynamoDbStore`` where they say so."""
        if "lakefmt.log_store" in options:
            from lakefmt.store.s3_dynamodb import S3DynamoDbStore

            return S3DynamoDbStore(uri, options)
        return cls(uri, options)

    def _connect(self) -> Any:
        from s3fs.core import S3FileSystem

        options = dict(self._options)
        config = dict(options.pop("config_kwargs", None) or {})
        # One request is one request: what is retried, and when, is decided in retry.py.
        config["retries"] = {"total_max_attempts": 1, "mode": "standard"}
        if self._foreign_endpoint():
            # Checksums that Amazon added in 2025 are refused by many other servers.
            config.setdefault("request_checksum_calculation", "when_required")
            config.setdefault("response_checksum_validation", "when_required")
        file_system = S3FileSystem(
            **options, config_kwargs=config, use_listings_cache=False, skip_instance_cache=True
        )
        file_system.connect()
        shape = file_system.s3.meta.service_model.operation_model("PutObject").input_shape
        if "IfNoneMatch" not in shape.members:
            raise StoreError(
                "the installed botocore is too old for conditional writes",
                table=self.uri,
                hint="pip install -U 'lakefmt[s3]'",
            )
        return file_system

    def _classify(self, error: Exception) -> Failure:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            details = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            known = _CODES.get(str(details.get("Code")))
            return known if known is not None else status_failure(status)
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & _NO_CREDENTIALS:
            return Failure.CREDENTIALS
        if names & _TRANSIENT_CLIENT_ERRORS:
            return Failure.TRANSIENT
        if type(error).__module__.startswith("botocore") and names & {"ParamValidationError"}:
            return Failure.INVALID
        return client_failure(error)

    async def _get(self, file_system: Any, name: str, span: tuple[int, int] | None) -> bytes:
        wanted = {} if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        try:
            answer = await self._call(file_system, "get_object", Key=name, **wanted)
        except Exception as error:
            # A range that begins at or after the end.
            if span is not None and _code(error) in ("InvalidRange", "416"):
                return b""
            raise
        async with answer["Body"] as body:
            content: bytes = await body.read()
        return content

    async def _head(self, file_system: Any, name: str) -> tuple[int, int]:
        answer = await self._call(file_system, "head_object", Key=name)
        return answer["ContentLength"], int(answer["LastModified"].timestamp() * 1000)

    async def _list_page(
        self, file_system: Any, prefix: str, after: str, token: Any, *, recursive: bool
    ) -> tuple[builtins.list[tuple[str, int, int]], Any]:
        wanted: dict[str, Any] = {"Prefix": prefix, "MaxKeys": _PAGE}
        if not recursive:
            wanted["Delimiter"] = "/"
        if token is not None:
            wanted["ContinuationToken"] = token
        elif after:
            wanted["StartAfter"] = after
        answer = await self._call(file_system, "list_objects_v2", **wanted)
        page = [
            (entry["Key"], entry["Size"], int(entry["LastModified"].timestamp() * 1000))
            for entry in answer.get("Contents", ())
        ]
        return page, answer.get("NextContinuationToken") if answer.get("IsTruncated") else None

    async def _put(self, file_system: Any, name: str, data: bytes, *, only_if_absent: bool) -> None:
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        await self._call(file_system, "put_object", Key=name, Body=data, **condition)

    async def _delete(self, file_system: Any, names: Sequence[str]) -> None:
        wanted = {"Objects": [{"Key": name} for name in names], "Quiet": True}
        answer = await self._call(file_system, "delete_objects", Delete=wanted)
        for failed in answer.get("Errors", ()):
            if _CODES.get(failed.get("Code")) is not Failure.ABSENT:
                raise _DeleteError(failed)

    def _start_upload(self, key: str) -> Upload:
        return _S3Upload(self, key)

    def delete_leftovers(self, before_ms: int) -> int:
        """Abort the multipart uploads that began before ``before_ms``."""
        unfinished: list[dict[str, Any]] = []

        async def look(fs: Any) -> None:
            unfinished.clear()
            markers: dict[str, Any] = {}
            while True:
                answer = await self._call(fs, "list_multipart_uploads", Prefix=self._prefix, **markers)
                unfinished.extend(answer.get("Uploads", ()))
                if not answer.get("IsTruncated"):
                    return
                markers = {
                    "KeyMarker": answer["NextKeyMarker"],
                    "UploadIdMarker": answer["NextUploadIdMarker"],
                }

        self._run("list", "", look)
        old = [found for found in unfinished if found["Initiated"].timestamp() * 1000 < before_ms]
        for found in old:
            upload = _S3Upload(self, found["Key"][len(self._prefix) :], found["UploadId"])
            upload.abort()
        return len(old)

    def _foreign_endpoint(self) -> str:
        client = self._options.get("client_kwargs") or {}
        given = self._options.get("endpoint_url") or client.get("endpoint_url")
        found = given or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        return "" if ".amazonaws.com" in str(found) else str(found)

    async def _call(self, file_system: Any, operation: str, **wanted: Any) -> Any:
        await file_system.set_session()
        client = await file_system.get_s3(self.container)
        method = getattr(client, operation)
        # s3fs adds what its options say of every request (encryption, requester pays) and this operation knows.
        request = file_system._get_s3_method_kwargs(method, Bucket=self.container, **wanted)
        return await method(**request)


class _S3Upload(RemoteUpload):
    """A multipart upload; parts are numbered from 1."""

    def __init__(self, store: S3Store, key: str, upload_id: str | None = None) -> None:
        super().__init__(store, key)
        self._store: S3Store = store
        self._tags: dict[int, str] = {}
        self._id = upload_id or self._call("create_multipart_upload")["UploadId"]

    def send(self, number: int, offset: int, data: bytes) -> None:  # noqa: ARG002 - part of the interface
        answer = self._call("upload_part", UploadId=self._id, PartNumber=number + 1, Body=data)
        self._tags[number + 1] = answer["ETag"]

    def finish(self, number: int, offset: int, data: bytes) -> None:
        self.send(number, offset, data)
        parts = [{"PartNumber": part, "ETag": tag} for part, tag in sorted(self._tags.items())]
        size_bytes = offset + len(data)

        async def complete(fs: Any) -> None:
            try:
                await self._store._call(
                    fs,
                    "complete_multipart_upload",
                    Key=self._object_name,
                    UploadId=self._id,
                    MultipartUpload={"Parts": parts},
                )
            except Exception as error:
                # An earlier attempt was applied and its answer lost: the upload is gone and the object is there.
                if _code(error) != "NoSuchUpload":
                    raise
                if (await self._store._head(fs, self._object_name))[0] != size_bytes:
                    raise

        self._request(complete)

    def abort(self) -> None:
        try:
            self._call("abort_multipart_upload", UploadId=self._id)
        except StoreError as error:
            if _code(error.__cause__) != "NoSuchUpload":
                raise

    def _call(self, operation: str, **wanted: Any) -> Any:
        return self._request(lambda fs: self._store._call(fs, operation, Key=self._object_name, **wanted))


class _DeleteError(Exception):
    """One object of a batch could not be deleted; speaks as botocore's errors do."""

    def __init__(self, failed: dict[str, Any]) -> None:
        super().__init__(f"{failed.get('Code')}: {failed.get('Message')} ({failed.get('Key')})")
        self.response = {"Error": failed, "ResponseMetadata": {"HTTPStatusCode": 400}}


def _code(error: BaseException | None) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code")) if isinstance(response, dict) else ""
