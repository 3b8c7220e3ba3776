"""Connections that wait: taken by who asks for the same, by one at a time, and never too many."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pytest

from lakefmt.idle_cursors import IdleCursors


@dataclass(frozen=True)
class SetUp:
    name: str
    values: int = 0


def is_open(cursor):
    try:
        cursor.execute("SELECT 1").fetchall()
    except duckdb.ConnectionException:
        return False
    return True


@pytest.fixture
def database():
    with duckdb.connect() as connection:
        yield connection


def test_connection_is_taken_once_and_for_the_same_setup_alone(database):
    idle = IdleCursors()
    cursor = database.cursor()
    idle.keep(SetUp("a"), cursor)
    assert idle.take(SetUp("b")) is None
    assert idle.take(SetUp("a")) is cursor
    assert idle.take(SetUp("a")) is None


def test_connections_used_longest_ago_are_closed_for_others(database):
    idle = IdleCursors()
    cursors = [database.cursor() for _ in range(12)]
    for number, cursor in enumerate(cursors):
        idle.keep(SetUp(str(number)), cursor)
    assert [is_open(cursor) for cursor in cursors] == [False] * 4 + [True] * 8
    assert idle.take(SetUp("3")) is None


def test_connections_with_many_values_are_few(database):
    idle = IdleCursors()
    first, second, third = (database.cursor() for _ in range(3))
    idle.keep(SetUp("a", 60_000), first)
    idle.keep(SetUp("b", 60_000), second)
    assert not is_open(first)
    assert is_open(second)
    idle.keep(SetUp("c", 200_000), third)  # more than all may have: the others stay
    assert is_open(second)
    assert not is_open(third)
