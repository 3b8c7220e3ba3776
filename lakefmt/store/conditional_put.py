"""Was it our bytes? The one place that decides whether a put-if-absent was won.

A conditional PUT can be applied and yet answered with an error: the response is lost, a proxy says 503, or a
client library sends it again by itself and is told 412 for its own object. So an answer other than a clean success
proves nothing, and the key is read back:

    answer                        key holds     decision
    success                       -             won
    409, 412, EEXIST, 5xx,        our bytes     won: the answer was lost, or belongs to a second sending
    time-out, broken connection,  other bytes   lost
    anything unknown              nothing       not applied, or not yet, or deleted since: send it again
    denied, credentials, no       -             error: storage says that it was not applied
    bucket, full, invalid

Sending again is safe: each sending carries the condition, so of one caller's requests one at most is applied, also
when an earlier one that seemed lost arrives late. When the budget ends with the key still empty, or it cannot be
read, nobody knows: the error says so, and the caller must look before it writes again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.errors import StoreError, UnknownOutcomeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.store.retry import Failure, RetryPolicy

__all__ = ["resolve_put_if_absent"]


def resolve_put_if_absent(
    data: bytes,
    *,
    send: Callable[[], None],
    read_back: Callable[[], bytes | None],
    classify: Callable[[Exception], Failure],
    refused: Callable[[Exception], StoreError],
    retry: RetryPolicy,
) -> bool:
    """Return whether ``data`` is under the key by this call.

    Args:
        data: what is to be written; unique to the caller.
        send: sends one conditional write, never twice, and raises the client's own exception.
        read_back: returns what is under the key now, None for nothing; retries by itself.
        classify: tells what an exception of ``send`` means.
        refused: makes the error of an exception that storage meant.
        retry: how often to send.

    Raises:
        StoreError: storage refused.
        UnknownOutcomeError: it could not be found out, or ``refused`` says so.
    """
    last: Exception | None = None
    for _ in retry.rounds():
        try:
            send()
        except Exception as error:
            if not classify(error).leaves_outcome_open:
                if last is None:
                    raise refused(error) from error
                raise _unknown(refused(error)) from error
            last = error
        else:
            return True
        try:
            found = read_back()
        except StoreError as error:
            raise _unknown(error) from last
        if found is not None:
            return found == data
    assert last is not None, "an attempt that did not fail has returned"  # noqa: S101 - invariant of rounds()
    raise _unknown(refused(last)) from last


def _unknown(cause: StoreError) -> UnknownOutcomeError:
    if isinstance(cause, UnknownOutcomeError):
        return cause
    return UnknownOutcomeError(
        f"it is unknown whether the object was written: {cause.message}",
        table=cause.table,
        path=cause.path,
        hint="Look at the newest version before writing again: the write may have been applied, or may yet be"
        + (f". {cause.hint}" if cause.hint else ""),
    )
