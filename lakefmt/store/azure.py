"""Tables on Azure Blob Storage and Data Lake Gen2, through adlfs's client.

``If-None-Match: *`` on the upload is the atomic step, which the Azure SDK sends for ``overwrite=False``. adlfs's own
methods look first in places; so the SDK's client, which adlfs has set up with the user's options, is used directly.
"""

# ruff: noqa: SLF001 - an upload is a part of its store
from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from lakefmt.errors import InvalidInputError
from lakefmt.store.location import key_of_uri
from lakefmt.store.remote import RemoteStore, RemoteUpload, client_failure, status_failure
from lakefmt.store.retry import Failure

if TYPE_CHECKING:
    import builtins
    from collections.abc import Iterator, Sequence

    from lakefmt.store.contract import ObjectInfo
    from lakefmt.store.streams import Upload

__all__ = ["AzureStore"]

# One request is one request: what is retried, and when, is decided in retry.py.
_ONCE: dict[str, Any] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
_RANGE_PAST_END = 416
_CODES = {
    "BlobNotFound": Failure.ABSENT,
    "ContainerNotFound": Failure.NO_CONTAINER,
    "ContainerBeingDeleted": Failure.NO_CONTAINER,
    "BlobAlreadyExists": Failure.TAKEN,
    "ConditionNotMet": Failure.TAKEN,
    "AuthenticationFailed": Failure.CREDENTIALS,
    "InvalidAuthenticationInfo": Failure.CREDENTIALS,
    "NoAuthenticationInformation": Failure.CREDENTIALS,
    "ServerBusy": Failure.TRANSIENT,
    "OperationTimedOut": Failure.TRANSIENT,
    "InternalError": Failure.TRANSIENT,
}
_TRANSIENT_CLIENT_ERRORS = frozenset({"ServiceRequestError", "ServiceResponseError", "IncompleteReadError"})


class AzureStore(RemoteStore):
    """A folder of an Azure container; the options are those of ``adlfs.AzureBlobFileSystem``."""

    service = "Azure"
    package = ("adlfs", "azure")
    public_options = frozenset(
        {"account_name", "account_host", "anon", "tenant_id", "client_id", "location_mode", "max_concurrency"}
        | {"timeout", "connection_timeout", "read_timeout"}
    )
    credentials_hint = (
        "Name the account (storage_options account_name, AZURE_STORAGE_ACCOUNT_NAME, or abfss://container@account."
        "dfs.core.windows.net/), and log in with 'az login', or give account_key, sas_token or connection_string "
        "(AZURE_STORAGE_ACCOUNT_KEY and the like); anon=True reads public containers"
    )

    # Of one listing request; the most that the service gives.
    page_size: ClassVar[int] = 5000

    def _connect(self) -> Any:
        from adlfs.spec import AzureBlobFileSystem

        options = dict(self._options)
        if self._location.account and "connection_string" not in options:
            options.setdefault("account_name", self._location.account)
        return AzureBlobFileSystem(**options, use_listings_cache=False, skip_instance_cache=True)

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder in order; a recursive listing is held in memory.

        Accounts with a hierarchical namespace list folder by folder, which is another order than that of keys.
        """
        found = super().list(folder, after, recursive=recursive)
        return iter(sorted(found, key=lambda info: info.key)) if recursive else found

    def key_of(self, uri: str) -> str | None:
        """Return the key of an absolute URI; where the table's own names no account, it is the connection's."""
        root = self._location
        if "@" in uri and root.account is None:
            root = replace(root, account=getattr(self._connection.file_system(), "account_name", None))
        return key_of_uri(root, uri)

    def _name(self, key: str) -> str:
        return super()._name(_without_backslash(self, key))

    def _name_to_read(self, key: str) -> str:
        return super()._name_to_read(_without_backslash(self, key))

    def _classify(self, error: Exception) -> Failure:
        names = {kind.__name__ for kind in type(error).__mro__}
        if "HttpResponseError" in names:
            status = getattr(error, "status_code", None)
            known = _CODES.get(str(getattr(error, "error_code", None) or ""))
            if known is not None:
                return known
            if status is None and "ClientAuthenticationError" in names:
                return Failure.CREDENTIALS
            return status_failure(status)
        if names & _TRANSIENT_CLIENT_ERRORS:
            return Failure.TRANSIENT
        return client_failure(error)

    async def _get(self, file_system: Any, name: str, span: tuple[int, int] | None) -> bytes:
        wanted = {} if span is None else {"offset": span[0], "length": span[1] - span[0]}
        try:
            download = await self._blob(file_system, name).download_blob(
                **wanted, max_concurrency=1, **_once(file_system)
            )
        except Exception as error:
            if span is not None and getattr(error, "status_code", None) == _RANGE_PAST_END:
                return b""
            raise
        content: bytes = await download.readall()
        return content

    async def _head(self, file_system: Any, name: str) -> tuple[int, int]:
        found = await self._blob(file_system, name).get_blob_properties(**_once(file_system))
        return found.size, int(found.last_modified.timestamp() * 1000)

    async def _list_page(
        self, file_system: Any, prefix: str, after: str, token: Any, *, recursive: bool
    ) -> tuple[builtins.list[tuple[str, int, int]], Any]:
        del after  # the service lists from the beginning of the prefix only
        container = file_system.service_client.get_container_client(self.container)
        wanted: dict[str, Any] = {
            "name_starts_with": prefix or None,
            "include": ["metadata"],
            **_once(file_system),
        }
        wanted["results_per_page"] = self.page_size
        blobs = container.list_blobs(**wanted) if recursive else container.walk_blobs(**wanted, delimiter="/")
        pages = blobs.by_page(continuation_token=token)
        page = [
            (blob.name, blob.size, int(blob.last_modified.timestamp() * 1000))
            async for blob in await anext(pages)
            if hasattr(blob, "blob_type") and (blob.metadata or {}).get("hdi_isfolder") != "true"
        ]
        return page, pages.continuation_token or None

    async def _put(self, file_system: Any, name: str, data: bytes, *, only_if_absent: bool) -> None:
        await self._blob(file_system, name).upload_blob(
            data, overwrite=not only_if_absent, max_concurrency=1, **_once(file_system)
        )

    async def _delete(self, file_system: Any, names: Sequence[str]) -> None:
        (name,) = names
        try:
            await self._blob(file_system, name).delete_blob(**_once(file_system))
        except Exception as error:
            if self._classify(error) is not Failure.ABSENT:
                raise

    def _start_upload(self, key: str) -> Upload:
        return _AzureUpload(self, key)

    def _blob(self, file_system: Any, name: str) -> Any:
        return file_system.service_client.get_blob_client(self.container, name)


class _AzureUpload(RemoteUpload):
    """Blocks that a list of them makes a blob; those in no list vanish by themselves after a week."""

    def __init__(self, store: AzureStore, key: str) -> None:
        super().__init__(store, key)
        self._store: AzureStore = store

    def send(self, number: int, offset: int, data: bytes) -> None:  # noqa: ARG002 - part of the interface
        async def stage(fs: Any) -> None:
            await self._store._blob(fs, self._object_name).stage_block(_block_id(number), data, **_once(fs))

        self._request(stage)

    def finish(self, number: int, offset: int, data: bytes) -> None:
        from azure.storage.blob import BlobBlock

        self.send(number, offset, data)
        blocks = [BlobBlock(_block_id(index)) for index in range(number + 1)]

        async def commit(fs: Any) -> None:
            await self._store._blob(fs, self._object_name).commit_block_list(blocks, **_once(fs))

        self._request(commit)

    def abort(self) -> None:
        """Do nothing: the service forgets blocks that no list names."""


def _without_backslash(store: AzureStore, key: str) -> str:
    if "\\" in key:
        raise InvalidInputError(
            f"Azure makes a slash of each backslash, so {key!r} would be another key",
            table=store.uri,
            hint="Leave backslashes out of names",
        )
    return key


def _once(file_system: Any) -> dict[str, Any]:
    """Return the settings of a single request: no retries, and the patience that the user's options ask for."""
    return {**_ONCE, **getattr(file_system, "_timeout_kwargs", {})}


def _block_id(number: int) -> str:
    # All ids of a blob must be equally long.
    return base64.b64encode(f"{number:016d}".encode()).decode()
