"""Tables on S3 whose commits are arbitrated by DynamoDB, as Delta's ``S3DynamoDBLogStore`` does it.

For tables that Spark writes with that log store: S3's own condition would not keep the two apart. The steps are the
reference's (``BaseExternalLogStore``), so that either completes what the other began:

    1. the version before must be complete: if its entry is not, its bytes are put under its name now
    2. our bytes go to a temporary key, then the entry that names it is put if absent: that is the commit
    3. the bytes are put under the commit's name, and the entry is marked complete; who dies before is helped by the
       next reader or writer

Readers complete the newest entry before they list the log. Temporary files stay, as the reference leaves them: a rule
of the bucket deletes what is old in ``_delta_log/.tmp/``.
"""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError
from lakefmt.store.connection import keep_public
from lakefmt.store.dynamodb_entries import CommitEntry, DynamoDbEntries
from lakefmt.store.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from lakefmt.store.contract import ObjectInfo

__all__ = ["S3DynamoDbStore"]

_LOG = logging.getLogger("lakefmt.store")

_LOG_FOLDER: Final = "_delta_log"
_COMMIT: Final = re.compile(rf"{_LOG_FOLDER}/(\d{{20}})\.json")
_PREFIX: Final = "lakefmt."
_KIND, _TABLE, _PATH = (f"{_PREFIX}{name}" for name in ("log_store", "dynamodb_table", "dynamodb_table_path"))
_REGION, _ENDPOINT = f"{_PREFIX}dynamodb_region", f"{_PREFIX}dynamodb_endpoint_url"
_SETTINGS: Final = frozenset({_KIND, _TABLE, _PATH, _REGION, _ENDPOINT})


class S3DynamoDbStore(S3Store):
    """A folder of an S3 bucket, with a DynamoDB table that says whose each version is.

    Options beside those of ``S3Store``: ``lakefmt.log_store`` ("dynamodb"), ``lakefmt.dynamodb_table`` ("delta_log"),
    ``lakefmt.dynamodb_table_path`` (the table as its other writers spell it, ``s3a://bucket/trips``; required: another
    spelling would be another table to DynamoDB), ``lakefmt.dynamodb_region`` and ``lakefmt.dynamodb_endpoint_url``.
    """

    public_options = S3Store.public_options | _SETTINGS

    def __init__(self, uri: str, options: Mapping[str, Any] | None = None, **settings: Any) -> None:
        given = dict(options or {})
        self._settings = {name: given.pop(name) for name in list(given) if name.startswith(_PREFIX)}
        super().__init__(uri, given, **settings)
        self._table_path = self._checked_path()
        self._entries = DynamoDbEntries(
            str(self._settings.get(_TABLE, "delta_log")),
            self._table_path,
            self._client_options(),
            self._classify,
            self._retry,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        from lakefmt.store.remote import _unpickle

        kept, dropped = keep_public(self._all_options(), self.public_options)
        return _unpickle, (type(self), self.uri, kept, self._dropped_options + dropped)

    def _all_options(self) -> dict[str, Any]:
        return self._options | self._settings

    @property
    def identity(self) -> Hashable:
        """The location, the server, who asks there, and the entries."""
        return super().identity, tuple(sorted(self._settings.items()))

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder; of the log only once its newest commit is complete."""
        if folder.strip("/") == _LOG_FOLDER:
            latest = self._entries.load_latest()
            if latest is not None and not latest.complete:
                self._complete(latest)
        return super().list(folder, after, recursive=recursive)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none: a commit as described above, anything else by S3's own condition."""
        found = _COMMIT.fullmatch(key)
        return super().put_if_absent(key, data) if found is None else self._commit(key, int(found[1]), data)

    def put_advisory(self, key: str, data: bytes) -> bool:
        """Write an object that readers can do without; the server may be one that knows no conditions."""
        self.put(key, data)
        return True

    def _commit(self, key: str, version: int, data: bytes) -> bool:
        there = self._read_back(key)
        if there is not None:
            return there == data
        name = key.rpartition("/")[2]
        self._check_predecessor(version, name)
        entry = CommitEntry(name, f".tmp/{name}.{uuid.uuid4()}", complete=False)
        temporary = f"{_LOG_FOLDER}/{entry.temp_path}"
        self.put(temporary, data)
        if not self._entries.put_if_absent(entry):
            self.delete([temporary])
            other = self._entries.load(name)
            if other is not None and not other.complete:
                self._complete(other)
            return self._read_back(key) == data
        try:
            self.put(key, data)
            self._entries.put_complete(entry)
        except StoreError as error:
            _LOG.warning(
                "%s: version %d is committed, and left for others to complete: %s", self.uri, version, error
            )
        return True

    def _check_predecessor(self, version: int, name: str) -> None:
        """See to it that the version before is complete, so that at most one is not."""
        if version == 0:
            old = self._entries.load(name)
            # What another writer completed a moment ago is in the log: looked at after its entry was.
            if old is not None and old.complete and self._read_back(f"{_LOG_FOLDER}/{name}") is None:
                raise StoreError(
                    "DynamoDB still has entries of a table that was here before",
                    table=self.uri,
                    hint="Delete them, or wait until they expire",
                )
            return
        before = f"{version - 1:020d}.json"
        entry = self._entries.load(before)
        if entry is not None and not entry.complete:
            self._complete(entry)
            return
        try:
            self.info(f"{_LOG_FOLDER}/{before}")
        except ObjectNotFoundError as error:
            raise StoreError(
                f"Version {version} cannot be committed: the one before is not in the log",
                table=self.uri,
                version=version,
                path=f"{_LOG_FOLDER}/{before}",
                hint="Open the table again; if that commit stays away, restore it from a backup",
            ) from error

    def _complete(self, entry: CommitEntry) -> None:
        """Put the bytes of a commit under its name and say so: who made it did not come to do it."""
        key = f"{_LOG_FOLDER}/{entry.file_name}"
        if self._read_back(key) is None:
            _LOG.info("%s: completing %s for who began it", self.uri, entry.file_name)
            # Whoever else completes it puts the same bytes.
            self.put(key, self.read(f"{_LOG_FOLDER}/{entry.temp_path}"))
        self._entries.put_complete(entry)

    def _checked_path(self) -> str:
        """Return the hash key. Raises InvalidInputError where the options make no sense."""
        unknown = sorted(self._settings.keys() - _SETTINGS)
        if unknown or self._settings.get(_KIND) != "dynamodb":
            raise InvalidInputError(
                f"There is no storage option {', '.join(unknown)}"
                if unknown
                else f"{_KIND} can be 'dynamodb'",
                table=self.uri,
                hint=f"The options are {', '.join(sorted(_SETTINGS))}",
            )
        path = str(self._settings.get(_PATH, "")).rstrip("/")
        place = self.uri.partition("://")[2]
        if path.partition("://")[2] != place or not path.startswith("s3"):
            raise InvalidInputError(
                f"{_PATH} must spell this table as its other writers do, s3a://{place} or s3://{place}, not {path!r}",
                table=self.uri,
                hint="To DynamoDB another spelling is another table, and the two would overwrite each other's commits",
            )
        return path

    def _client_options(self) -> dict[str, Any]:
        options, client = self._options, self._options.get("client_kwargs") or {}
        names = {"key": "aws_access_key_id", "secret": "aws_secret_access_key", "token": "aws_session_token"}
        found = {theirs: options[ours] for ours, theirs in names.items() if options.get(ours)}
        region = self._settings.get(_REGION) or client.get("region_name") or options.get("region_name")
        more = {
            "region_name": region,
            "endpoint_url": self._settings.get(_ENDPOINT),
            "profile": options.get("profile"),
        }
        return found | {name: value for name, value in more.items() if value}
