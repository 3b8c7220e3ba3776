"""How long a request is asked again."""

from __future__ import annotations

import pytest

from lakefmt.store.remote import client_failure, status_failure
from lakefmt.store.retry import Failure, RetryPolicy


class Clock:
    def __init__(self):
        self.now = 0.0
        self.pauses = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


def policy(clock, **settings):
    return RetryPolicy(clock=clock, sleep=clock.sleep, **{"jitter": lambda: 1.0, **settings})


def test_pauses_double_up_to_the_longest():
    clock = Clock()
    assert list(policy(clock, attempts=6, first_delay_s=1, longest_delay_s=5).rounds()) == [1, 2, 3, 4, 5, 6]
    assert clock.pauses == [1, 2, 4, 5, 5]


def test_jitter_keeps_half_of_each_pause():
    clock = Clock()
    list(policy(clock, attempts=3, first_delay_s=1, jitter=lambda: 0.0).rounds())
    assert clock.pauses == [0.5, 1.0]


def test_budget_ends_the_attempts():
    clock = Clock()
    assert list(policy(clock, attempts=100, first_delay_s=1, longest_delay_s=1, budget_s=3.5).rounds()) == [
        1,
        2,
        3,
        4,
    ]


def test_transient_errors_are_asked_again_and_others_are_not():
    clock, errors = Clock(), [TimeoutError(), ConnectionError(), KeyError()]

    def request():
        if errors:
            raise errors.pop(0)
        return "answer"

    def classify(error):
        return Failure.UNKNOWN if isinstance(error, KeyError) else Failure.TRANSIENT

    with pytest.raises(KeyError):
        policy(clock).call(request, classify)
    assert policy(clock).call(request, classify) == "answer"


def test_last_error_is_raised_when_attempts_end():
    clock, errors = Clock(), [TimeoutError("1"), TimeoutError("2")]
    with pytest.raises(TimeoutError, match="2"):
        policy(clock, attempts=2).call(
            lambda: (_ for _ in ()).throw(errors.pop(0)), lambda error: Failure.TRANSIENT
        )


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, Failure.CREDENTIALS),
        (403, Failure.DENIED),
        (404, Failure.ABSENT),
        (409, Failure.TAKEN),
        (412, Failure.TAKEN),
        (408, Failure.TRANSIENT),
        (429, Failure.TRANSIENT),
        (500, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
        (501, Failure.INVALID),
        (400, Failure.INVALID),
        (None, Failure.UNKNOWN),
        (302, Failure.UNKNOWN),
    ],
)
def test_http_status_says_what_failed(status, failure):
    assert status_failure(status) is failure


def test_broken_connections_are_transient():
    for error in (TimeoutError(), ConnectionResetError()):
        assert client_failure(error) is Failure.TRANSIENT
    assert client_failure(ValueError()) is Failure.UNKNOWN
