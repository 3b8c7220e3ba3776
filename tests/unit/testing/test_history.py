"""The history checker: it finds what is made to be found, and nothing in what is right."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.testing.history import Operation, check_history


def append(process, value, began, ended, version=None, *, outcome="ok"):
    return Operation(process, "append", (value,), began, ended, outcome, version)


def read(process, values, began, ended, version):
    return Operation(process, "read", tuple(values), began, ended, "ok", version)


GOOD = [
    append("a", 1, 0, 10, 1),
    append("b", 2, 5, 15, 2),
    read("c", [1], 6, 12, 1),
    append("a", 3, 20, None, outcome="unknown"),
    append("b", 4, 22, 30, 4),
    append("c", 5, 23, 24, outcome="failed"),
    read("c", [1, 2, 3], 25, 31, 3),
    read("c", [1, 2, 3, 4], 40, 50, 4),
]


def kinds(history):
    return {anomaly.kind for anomaly in check_history(history)}


def test_history_that_is_right_has_no_anomaly():
    assert check_history(GOOD) == []


@pytest.mark.parametrize(
    ("kind", "operations"),
    [
        ("lost append", [append("a", 1, 0, 1, 1), append("b", 2, 2, 3, 2), read("c", [2], 4, 5, 2)]),
        ("failed append seen", [append("a", 1, 0, 1, outcome="failed"), read("c", [1], 4, 5, 1)]),
        ("phantom", [append("a", 1, 0, 1, 1), read("c", [1, 7], 4, 5, 2)]),
        ("double append", [append("a", 1, 0, 1, 1), read("c", [1, 1], 4, 5, 1)]),
        ("double commit", [append("a", 1, 0, 9, 1), append("b", 2, 0, 9, 1)]),
        ("torn append", [Operation("a", "append", (1, 2), 0, 1, "ok", 1), read("c", [1], 4, 5, 1)]),
        ("unstable version", [append("a", 1, 0, 9, 1), read("b", [1], 1, 8, 1), read("c", [], 1, 8, 1)]),
        ("early read", [append("a", 1, 0, 9, 1), append("b", 2, 0, 9, 2), read("b", [1, 2], 1, 8, 1)]),
        (
            "shrinking",
            [append("a", 1, 0, 9, outcome="unknown"), read("b", [1], 1, 8, 1), read("c", [], 1, 8, 2)],
        ),
        ("gap", [append("a", 1, 0, 1, 1), read("c", [], 0, 1, 0), read("b", [1], 2, 3, 2)]),
        ("stale", [append("a", 1, 0, 1, 1), read("c", [], 2, 3, 0)]),  # a stale read
        ("stale", [append("a", 1, 0, 1, 2), append("b", 2, 5, 6, 1)]),  # appends against real time
        ("stale", [read("c", [1], 2, 3, 1), read("c", [], 4, 5, 0), append("a", 1, 0, 9, 1)]),  # back in time
        (
            "stale",  # took effect before it was called
            [append("a", 1, 0, 1, 1), read("a", [1, 2], 2, 3, 2), append("b", 2, 5, None, outcome="unknown")],
        ),
    ],
)
def test_anomaly_is_found(kind, operations):
    assert kind in kinds(operations)


def serial_history(draw, length=30):
    """Return a history that is right: every operation takes effect at a moment between its call and its answer."""
    history, values, version = [], [], 0
    for moment in range(length):
        at = moment * 100
        began, ended = at - draw.randrange(1, 300), at + draw.randrange(1, 300)
        process = f"process {moment}"  # each its own: a real one waits for its answers
        match draw.choice(["append", "append", "read", "failed", "died unapplied", "died applied"]):
            case "append":
                version, values = version + 1, [*values, moment]
                history.append(append(process, moment, began, ended, version))
            case "read":
                history.append(read(process, values, began, ended, version))
            case "failed":
                history.append(append(process, moment, began, ended, outcome="failed"))
            case "died unapplied":
                history.append(append(process, moment, began, None, outcome="unknown"))
            case "died applied":
                version, values = version + 1, [*values, moment]
                history.append(append(process, moment, began, None, outcome="unknown"))
    history.append(read("last", values, length * 100 + 1000, length * 100 + 1001, version))
    return history


@settings(max_examples=100, deadline=None)
@given(draw=st.randoms(use_true_random=False))
def test_serial_histories_have_no_anomaly(draw):
    assert check_history(serial_history(draw)) == []


@pytest.mark.parametrize("damage", ["lose", "double", "stale", "reorder"])
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damage_to_a_serial_history_is_found(damage, seed):
    draw = random.Random(seed)
    history = serial_history(draw)
    done = [op for op in history if op.kind == "append" and op.outcome == "ok"]
    if len(done) < 2:
        return
    last = history[-1]
    match damage:
        case "lose":
            lost = draw.choice(done)
            history[-1] = replace(
                last, values=tuple(value for value in last.values if value not in lost.values)
            )
        case "double":
            history[-1] = replace(last, values=(*last.values, *draw.choice(done).values))
        case "stale":
            history.append(read("late", last.values[:-1], last.ended + 1, last.ended + 2, last.version - 1))
        case "reorder":
            one, other = done[0], done[-1]
            history[history.index(one)] = replace(one, version=other.version)
            history[history.index(other)] = replace(other, version=one.version)
            if one.ended >= other.began:
                return  # at the same time: either order is right, as far as nobody read in between
    assert check_history(history)
