"""Every error lakefmt raises, grouped by what a handler would do about it.

    LakefmtError
    ├── TableNotFoundError          nothing there to open: check the place, or create the table
    ├── VersionNotFoundError        the table is there, that version or time is not: choose another
    ├── TableExistsError            something is there already: open it, or choose a mode
    ├── InvalidInputError           the call is wrong: mend the arguments
    │   ├── InvalidQueryError       SQL text is wrong: mend it where the error says
    │   ├── SchemaMismatchError     the data does not fit the table: mend the data or the schema
    │   └── ConstraintViolationError  a row breaks a rule of the table: mend the row
    ├── CommitConflictError         another writer changed what this one read: look, then run it again
    ├── MissingPackageError         a package that is not always wanted is not there: install it
    ├── UnsupportedFeatureError     the table asks for more than this release can do
    ├── CorruptTableError           what is on disk contradicts itself: repair or restore
    ├── ResourceError               this machine is too small for it: ask for less at a time, or give it more
    │   └── OutOfMemoryError        memory ran out, or disk to spill to: smaller pieces may do
    ├── TaskError                   a task ended with an error that is known by its text alone: mend what it names
    │   ├── TaskCancelledError      nobody waits for the task any more
    │   ├── WorkerLostError         the process under the task died: run the task again
    │   └── WorkerStartError        no worker process can be had: mend the installation, or use threads
    ├── LostOutputError             what a task made for others is gone or damaged: that task is run again
    └── StoreError                  storage said no: credentials, network, permissions, disk
        ├── ObjectNotFoundError     one object is not there
        └── UnknownOutcomeError     it may have been written or not: look before writing again

Messages name what happened, where (table, version, file) and the way out; they never hold secrets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from typing import Unpack

__all__ = [
    "CommitConflictError",
    "ConstraintViolationError",
    "CorruptTableError",
    "InvalidInputError",
    "InvalidQueryError",
    "LakefmtError",
    "LostOutputError",
    "MissingPackageError",
    "ObjectNotFoundError",
    "OutOfMemoryError",
    "ResourceError",
    "SchemaMismatchError",
    "StoreError",
    "TableExistsError",
    "TableNotFoundError",
    "TaskCancelledError",
    "TaskError",
    "UnknownOutcomeError",
    "UnsupportedFeatureError",
    "VersionNotFoundError",
    "WorkerLostError",
    "WorkerStartError",
]

# Azure's URIs have the container there, which is no secret: abfss://container@account.dfs.core.windows.net/
_USER_INFO = re.compile(r"(?<=://)(?<!abfs://)(?<!abfss://)[^/@\s]*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)\b(sig|signature|token|secret|password|key|account_key|sas_token|x-amz-[\w-]+)=[^&\s'\",)]+"
)


def redact(text: str) -> str:
    """Return ``text`` without the user info and secret query parameters that URIs may carry."""
    return _SECRET_PARAMETER.sub(r"\1=***", _USER_INFO.sub("***@", text))


class Places(TypedDict, total=False):
    """What every error can be told beside its message; see ``LakefmtError``."""

    table: str | None
    version: int | None
    path: str | None
    hint: str | None


class LakefmtError(Exception):
    """Base of all errors of this library.

    Args:
        message: what happened, one sentence without a full stop at the end.
        table: URI of the table it happened to.
        version: the table version concerned.
        path: the file concerned, relative to the table.
        hint: the way out, one sentence.
    """

    def __init__(
        self,
        message: str,
        *,
        table: str | None = None,
        version: int | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.message = redact(message)
        self.table = None if table is None else redact(table)
        self.version = version
        self.path = None if path is None else redact(path)
        self.hint = None if hint is None else redact(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        places = (("table", self.table), ("version", self.version), ("file", self.path))
        where = ", ".join(f"{name} {value}" for name, value in places if value is not None)
        text = f"{self.message} ({where})" if where else self.message
        return f"{text}. {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries; the keyword-only places would be lost by Exception's own pickling.
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: type[LakefmtError], message: str, state: dict[str, object]) -> LakefmtError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class TableNotFoundError(LakefmtError):
    """There is no table at that place."""


class VersionNotFoundError(LakefmtError):
    """The table never had that version (or none at that time), or its log has been cleaned since."""


class TableExistsError(LakefmtError):
    """There is a table at that place already."""


class InvalidInputError(LakefmtError):
    """An argument is wrong: an unknown column, a predicate with a type error, a read-only handle."""


class InvalidQueryError(InvalidInputError):
    """SQL text is wrong.

    Attributes:
        line: where, counted from 1; None where nobody knows.
        column: the character of that line, counted from 1; None where nobody knows.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        **places: Unpack[Places],
    ) -> None:
        super().__init__(message, **places)
        self.line = line
        self.column = column


class SchemaMismatchError(InvalidInputError):
    """Data does not fit the table's schema without changing a value."""


class ConstraintViolationError(InvalidInputError):
    """A row breaks a rule of the table, such as NOT NULL."""


class CommitConflictError(LakefmtError):
    """Another writer's commit and this one cannot both stand.

    Attributes:
        kind: which rule was broken: ``"metadata"``, ``"protocol"``, ``"domain"`` (the same metadata domain),
            ``"added"`` (rows were added that this transaction's predicate would have read), ``"removed"`` (rows of
            files that it read or removes are gone), ``"rows"`` (the same rows of a file were deleted),
            ``"rearranged"`` (rows that it deletes were moved to other files), ``"transaction"`` (the same
            application's progress), ``"contention"`` (races lost until the time was up).
        retry_helps: True where running the same statement again on the newest version can succeed.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        retry_helps: bool,
        **places: Unpack[Places],
    ) -> None:
        super().__init__(message, **places)
        self.kind = kind
        self.retry_helps = retry_helps


class MissingPackageError(LakefmtError, ImportError):
    """What was called needs a package that is not installed; an ``ImportError``, too."""


class UnsupportedFeatureError(LakefmtError):
    """The table uses, or the call asks for, a feature that this release does not have."""


class CorruptTableError(LakefmtError):
    """What is on disk contradicts itself: garbage in a commit, a gap in the log, a missing data file."""


class ResourceError(LakefmtError):
    """The work takes more memory, or more disk to spill to, than this process has."""


class OutOfMemoryError(ResourceError):
    """Memory ran out, with what could be spilled; the same work in smaller pieces may succeed."""


class TaskError(LakefmtError):
    """A task ended with an error that does not travel as it is: the message has its kind and text, a note its traceback."""


class TaskCancelledError(TaskError):
    """A task was asked to end before it was done."""


class WorkerLostError(TaskError):
    """The worker process that ran a task died: killed, out of the system's memory, crashed in native code, or left.

    Attributes:
        exit_code: the process's; negative for the signal that ended it.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int,
        **places: Unpack[Places],
    ) -> None:
        super().__init__(message, **places)
        self.exit_code = exit_code


class WorkerStartError(TaskError):
    """A worker process did not start, or runs other versions than this process."""


class LostOutputError(LakefmtError):
    """What a task of an earlier stage made for others cannot be read: the file is gone, cut short, or another's.

    Whoever runs the job has that one task run again, and the reader after it; a user sees this error only where that
    did not help.

    Attributes:
        stage: of the task whose output it was.
        number: of that task.
        attempt: of that task, whose output it was.
    """

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        number: int,
        attempt: int,
        **places: Unpack[Places],
    ) -> None:
        super().__init__(message, **places)
        self.stage = stage
        self.number = number
        self.attempt = attempt


class StoreError(LakefmtError):
    """The storage system refused or failed: credentials, permissions, network, a full disk."""


class ObjectNotFoundError(StoreError):
    """An object that was asked for is not there."""


class UnknownOutcomeError(StoreError):
    """Storage did not say whether something was written, and it could not be found out in time.

    After a commit that ends so, look at the table's newest version before writing again: the rows may be there.

    Attributes:
        was_applied: True where it was written, and what nobody knows is whether it lasts.
    """

    def __init__(
        self,
        message: str,
        *,
        was_applied: bool = False,
        **places: Unpack[Places],
    ) -> None:
        super().__init__(message, **places)
        self.was_applied = was_applied
