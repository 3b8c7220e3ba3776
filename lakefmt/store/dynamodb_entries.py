"""The entries of a DynamoDB table that Delta's ``S3DynamoDBLogStore`` keeps of commits; requests to it.

An entry says who has a version, before and after its file is there:

    tablePath   S, hash key    the table's location as all its writers spell it
    fileName    S, range key   ``00000000000000000007.json``
    tempPath    S              where the commit's bytes are, below ``_delta_log``
    complete    S              "true" once the commit file is there
    expireTime  N              when a complete entry may be deleted, seconds since the epoch
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lakefmt.errors import LakefmtError, StoreError
from lakefmt.store.conditional_put import resolve_put_if_absent
from lakefmt.store.connection import Connection
from lakefmt.store.retry import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.store.retry import RetryPolicy

__all__ = ["CommitEntry", "DynamoDbEntries"]

T = TypeVar("T")

# As in the reference: by then the commit file alone tells every writer that the version is taken.
_KEPT_S: Final = 86_400
_CODES: Final = {
    "ConditionalCheckFailedException": Failure.TAKEN,
    "ProvisionedThroughputExceededException": Failure.TRANSIENT,
    "ThrottlingException": Failure.TRANSIENT,
    "RequestLimitExceeded": Failure.TRANSIENT,
    "InternalServerError": Failure.TRANSIENT,
    "TransactionConflictException": Failure.TRANSIENT,
    "ResourceNotFoundException": Failure.NO_CONTAINER,
    "AccessDeniedException": Failure.DENIED,
    "UnrecognizedClientException": Failure.CREDENTIALS,
    "InvalidSignatureException": Failure.CREDENTIALS,
    "ExpiredTokenException": Failure.CREDENTIALS,
}


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """Who has a version.

    Attributes:
        file_name: of the commit file.
        temp_path: of the commit's bytes, below ``_delta_log``.
        complete: whether the commit file is known to be there.
    """

    file_name: str
    temp_path: str
    complete: bool


class DynamoDbEntries:
    """One table's entries.

    Args:
        name: of the DynamoDB table.
        table_path: the hash key.
        client_options: of botocore's client: region, endpoint, credentials; kept in memory only.
        classify: what an exception means that DynamoDB has no code for.
        retry: how often and how long to ask.
    """

    def __init__(
        self,
        name: str,
        table_path: str,
        client_options: Mapping[str, Any],
        classify: Callable[[Exception], Failure],
        retry: RetryPolicy,
    ) -> None:
        self._name = name
        self._table_path = table_path
        self._connection = Connection("dynamodb", client_options, lambda: _connect(dict(client_options)))
        self._classify_others = classify
        self._retry = retry

    def load(self, file_name: str) -> CommitEntry | None:
        """Return the entry of a commit file."""
        key = {"tablePath": {"S": self._table_path}, "fileName": {"S": file_name}}
        answer = self._run("get_item", Key=key, ConsistentRead=True)
        return _parse(answer["Item"]) if "Item" in answer else None

    def load_latest(self) -> CommitEntry | None:
        """Return the entry of the newest version that has one."""
        answer = self._run(
            "query",
            KeyConditionExpression="tablePath = :path",
            ExpressionAttributeValues={":path": {"S": self._table_path}},
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=1,
        )
        items = answer.get("Items", ())
        return _parse(items[0]) if items else None

    def put_if_absent(self, entry: CommitEntry) -> bool:
        """Take a version, atomically; False where it is another's. Raises UnknownOutcomeError, StoreError."""

        def read_back() -> bytes | None:
            found = self.load(entry.file_name)
            return None if found is None else found.temp_path.encode()

        return resolve_put_if_absent(
            entry.temp_path.encode(),
            send=lambda: self._ask(
                "put_item", Item=self._item(entry), ConditionExpression="attribute_not_exists(fileName)"
            ),
            read_back=read_back,
            classify=self._classify,
            refused=self._failed,
            retry=self._retry,
        )

    def put_complete(self, entry: CommitEntry) -> None:
        """Say that the commit file is there."""
        item = self._item(entry) | {
            "complete": {"S": "true"},
            "expireTime": {"N": str(int(time.time()) + _KEPT_S)},
        }
        self._run("put_item", Item=item)

    def _item(self, entry: CommitEntry) -> dict[str, Any]:
        return {
            "tablePath": {"S": self._table_path},
            "fileName": {"S": entry.file_name},
            "tempPath": {"S": entry.temp_path},
            "complete": {"S": "true" if entry.complete else "false"},
        }

    def _run(self, operation: str, **wanted: Any) -> Any:
        try:
            return self._retry.call(lambda: self._ask(operation, **wanted), self._classify)
        except Exception as error:
            raise self._failed(error) from error

    def _ask(self, operation: str, **wanted: Any) -> Any:
        client = self._connection.file_system()
        return getattr(client, operation)(TableName=self._name, **wanted)

    def _classify(self, error: Exception) -> Failure:
        response = getattr(error, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        known = _CODES.get(str(code))
        return self._classify_others(error) if known is None else known

    def _failed(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, LakefmtError):
            raise error
        hint = "Check the DynamoDB table that its writers share: region, endpoint and permissions"
        if self._classify(error) is Failure.NO_CONTAINER:
            hint = f"Create the DynamoDB table {self._name} (hash key tablePath, range key fileName, both strings)"
        return StoreError(f"DynamoDB table {self._name} says {error}", table=self._table_path, hint=hint)


def _connect(options: dict[str, Any]) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    session = Session(profile=options.pop("profile", None))
    # One request is one request: what is retried, and when, is decided in retry.py.
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return session.create_client("dynamodb", config=config, **options)


def _parse(item: Mapping[str, Any]) -> CommitEntry:
    try:
        return CommitEntry(
            item["fileName"]["S"], item["tempPath"]["S"], complete=item["complete"]["S"] == "true"
        )
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"An entry of the DynamoDB table is not as S3DynamoDBLogStore writes them: {error!r}",
            hint="Mend or delete the entry with the tools of DynamoDB",
        ) from error
