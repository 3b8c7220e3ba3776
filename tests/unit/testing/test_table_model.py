"""The model of a table: what it lets stand and what it does not."""

from __future__ import annotations

import pytest

from lakefmt.testing.table_model import Attempt, ModelViolationError, TableModel


def append(label, base=0, *rows):
    return Attempt(label, "append", base, adds=frozenset(rows))


def test_rows_follow_from_the_commits():
    model = TableModel()
    model.commit(append(1, 0, 1, 2))
    model.commit(Attempt(2, "delete", 1, removes=frozenset({1})))
    model.commit(append(3, 0, 3))
    model.commit(Attempt(4, "rewrite", 3))
    model.commit(Attempt(5, "overwrite", 2, adds=frozenset({9})))
    assert model.versions == [set(), {1, 2}, {2}, {2, 3}, {2, 3}, {3, 9}]


@pytest.mark.parametrize(
    ("commits", "message"),
    [
        ([append(1, 0, 1), append(2, 0, 1)], "once more"),
        ([append(1, 3, 1)], "made on version 3"),
        (
            [append(1, 0, 1), *[Attempt(n, "delete", 1, removes=frozenset({1})) for n in (2, 3)]],
            "others had removed",
        ),
        (
            [append(1, 0, 1), *[Attempt(n, "overwrite", 0, adds=frozenset({n})) for n in (2, 3)]],
            "not those of version 2",
        ),
        ([Attempt(1, "metadata", 0), Attempt(2, "metadata", 0)], "undoes the metadata"),
    ],
)
def test_commits_that_cannot_both_stand_are_found(commits, message):
    model = TableModel()
    *before, last = commits
    for attempt in before:
        model.commit(attempt)
    with pytest.raises(ModelViolationError, match=message):
        model.commit(last)


def test_overwrite_that_missed_an_append_is_found_where_all_must_be_seen():
    model = TableModel(serializable=True)
    model.commit(append(1, 0, 1))
    with pytest.raises(ModelViolationError, match="not those of version 1"):
        model.commit(Attempt(2, "overwrite", 0, adds=frozenset({9})))


def test_commit_that_is_there_twice_is_found():
    model, attempt = TableModel(), append(1)
    model.commit(attempt)
    with pytest.raises(ModelViolationError, match="again"):
        model.commit(attempt)


@pytest.mark.parametrize(
    ("outcome", "version", "committed", "message"),
    [
        ("acknowledged", 1, False, "is nowhere"),
        ("acknowledged", 2, True, "version 2 and is 1"),
        ("refused", -1, True, "was told that it failed"),
    ],
)
def test_wrong_answers_are_found(outcome, version, committed, message):
    model, attempt = TableModel(), append(1)
    attempt.outcome, attempt.version = outcome, version
    if committed:
        model.commit(attempt)
    with pytest.raises(ModelViolationError, match=message):
        model.check_outcomes([attempt])


@pytest.mark.parametrize("committed", [False, True])
def test_unknown_outcome_may_be_there_or_not(committed):
    model, attempt = TableModel(), append(1)
    attempt.outcome = "unknown"
    if committed:
        model.commit(attempt)
    model.check_outcomes([attempt])


def test_commit_that_nobody_made_is_found():
    model = TableModel()
    model.commit(append(1))
    with pytest.raises(ModelViolationError, match="nobody made"):
        model.check_outcomes([])


@pytest.mark.parametrize("rows", [[1], [1, 2, 2], [1, 2, 3]])
def test_wrong_rows_are_found(rows):
    model = TableModel()
    model.commit(append(1, 0, 1, 2))
    model.check_rows(1, [2, 1])
    with pytest.raises(ModelViolationError):
        model.check_rows(1, rows)
