"""A writer that stands still between looking at the log and committing, for longer than the log is kept.

The name it is about to take was free, was taken, and has been cleaned away: it is free again, in a part of the log that
nobody reads any more.
"""

from __future__ import annotations

import pytest

from lakefmt.testing.faults import Fault
from lakefmt.testing.simulated_operations import append_rows, checkpoint_version, clean_old_log
from lakefmt.testing.simulated_table import SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter

DAY_S = 86_400


def stand_still(timeout_s, *, days, properties=None, cheap=True, fault=None):
    """Let a writer begin to append, others clean the log past it, and the writer go on; return table and attempt."""

    def faulty(call):
        return fault if call.method == "put_if_absent" and call.nth == 0 else None

    table = SimulatedTable.create(
        5, properties=properties, schedule=lambda number: faulty if number == 1 else None
    )
    table.store.requests_are_cheap = cheap
    other, victim = SimulatedWriter(table), SimulatedWriter(table, timeout_s=timeout_s)
    other.run([append_rows] * 3)
    victim.refresh()
    paused = []

    def pause(call):
        if call.method != "put_if_absent" or paused:
            return
        paused.append(call.key)
        other.run([append_rows] * 4)
        other.refresh()
        checkpoint_version(other)
        table.scheduler.sleep(days * DAY_S)
        other.run([append_rows, clean_old_log])

    victim.store._before = pause
    victim.run([append_rows])
    attempt = next(each for each in table.attempts.values() if each.label == 4)
    assert paused[0] in table.store.deleted, "the log was cleaned past the writer"
    return table, attempt


@pytest.mark.parametrize("cheap", [True, False])
def test_append_after_the_log_was_cleaned_past_it_is_made_where_it_is_read(cheap):
    table, attempt = stand_still(None, days=40, cheap=cheap)
    model = table.check()
    assert attempt.outcome == "acknowledged"
    assert attempt.version == model.newest


def test_append_that_has_no_time_left_then_says_that_it_failed():
    table, attempt = stand_still(300.0, days=40)
    table.check()
    assert attempt.outcome == "refused"


def test_a_log_that_is_kept_for_no_time_is_looked_at_after_every_commit():
    table, attempt = stand_still(None, days=1, properties={"delta.logRetentionDuration": "interval 0 days"})
    table.check()
    assert attempt.outcome == "acknowledged"


@pytest.mark.parametrize("cheap", [True, False])
@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.LATE, Fault.THROTTLE])
def test_append_in_doubt_after_the_log_was_cleaned_past_it_is_not_taken_for_made(fault, cheap):
    table, attempt = stand_still(None, days=40, cheap=cheap, fault=fault)
    table.check()
    assert attempt.outcome == "unknown"
