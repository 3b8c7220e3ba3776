"""Every answer that a conditional write can get, without a server."""

from __future__ import annotations

import itertools

import pytest

from lakefmt.errors import StoreError
from lakefmt.store.conditional_put import resolve_put_if_absent
from lakefmt.store.retry import Failure, RetryPolicy

OURS, THEIRS = b"ours", b"theirs"
OPEN = [Failure.TRANSIENT, Failure.TAKEN, Failure.UNKNOWN]
SETTLED = [failure for failure in Failure if failure not in OPEN]


class AnswerError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class Place:
    """One key. Each sending meets the next script entry: (failure or None, applied before the answer)."""

    def __init__(self, script, content=None):
        self.script = list(script)
        self.content = content
        self.sent = 0
        self.reads = 0

    def send(self):
        self.sent += 1
        failure, applied = self.script.pop(0) if self.script else (None, True)
        if applied and self.content is None:
            self.content = OURS
        elif failure is None and self.content is not None:
            failure = Failure.TAKEN
        if failure is not None:
            raise AnswerError(failure)

    def read_back(self):
        self.reads += 1
        return self.content

    def resolve(self, attempts=3):
        return resolve_put_if_absent(
            OURS,
            send=self.send,
            read_back=self.read_back,
            classify=lambda error: error.failure,
            refused=lambda error: StoreError(f"storage said {error}", table="memory://t", path="key"),
            retry=RetryPolicy(attempts=attempts, sleep=lambda seconds: None),
        )


def test_success_is_a_win_without_a_look():
    place = Place([])
    assert place.resolve() is True
    assert (place.sent, place.reads) == (1, 0)


@pytest.mark.parametrize("failure", OPEN)
def test_applied_behind_any_error_is_a_win(failure):
    place = Place([(failure, True)])
    assert place.resolve() is True
    assert place.sent == 1


@pytest.mark.parametrize("failure", OPEN)
def test_key_of_another_writer_is_a_loss(failure):
    place = Place([(failure, False)], content=THEIRS)
    assert place.resolve() is False
    assert place.sent == 1


@pytest.mark.parametrize("failures", list(itertools.product(OPEN, repeat=2)))
def test_not_applied_is_sent_again_until_it_is(failures):
    place = Place([(failure, False) for failure in failures])
    assert place.resolve() is True
    assert place.sent == 3


@pytest.mark.parametrize("failure", SETTLED)
def test_refusal_is_an_error_at_once(failure):
    place = Place([(failure, False)])
    with pytest.raises(StoreError, match="storage said") as caught:
        place.resolve()
    assert "unknown" not in str(caught.value)
    assert (place.sent, place.reads) == (1, 0)


@pytest.mark.parametrize("failure", SETTLED)
def test_refusal_after_an_open_answer_leaves_the_outcome_unknown(failure):
    with pytest.raises(StoreError, match="unknown whether"):
        Place([(Failure.TRANSIENT, False), (failure, False)]).resolve()


def test_key_that_stays_empty_leaves_the_outcome_unknown():
    place = Place([(Failure.TRANSIENT, False)] * 3)
    with pytest.raises(StoreError, match="unknown whether") as caught:
        place.resolve()
    assert (caught.value.table, caught.value.path) == ("memory://t", "key")
    assert place.sent == 3


def test_key_that_cannot_be_read_leaves_the_outcome_unknown():
    place = Place([(Failure.TRANSIENT, True)])

    def read_back():
        raise StoreError("denied", hint="Ask for access")

    place.read_back = read_back
    with pytest.raises(StoreError, match=r"unknown whether.*denied.*Ask for access"):
        place.resolve()


def test_late_request_of_a_lost_first_sending_does_not_make_a_loss():
    place = Place([(Failure.TRANSIENT, False)])
    send = place.send

    def send_late():
        if place.sent == 1:
            place.content = OURS  # the first one arrives now, before the second
        send()

    place.send = send_late
    assert place.resolve() is True
