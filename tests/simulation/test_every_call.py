"""Each operation, failing in every way at every single store call it makes: the table is as before, or as after."""

from __future__ import annotations

import pytest

from lakefmt.errors import StoreError
from lakefmt.testing.faults import Fault, FaultAt, WriterKilledError
from lakefmt.testing.simulated_operations import (
    OPERATIONS,
    append_rows,
    delete_matches,
    delete_positions,
    ingest_batch,
    overwrite_all,
    rewrite_files,
    set_property,
)
from lakefmt.testing.simulated_table import SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter

COMMITTING = (
    append_rows,
    ingest_batch,
    overwrite_all,
    delete_positions,
    delete_matches,
    rewrite_files,
    set_property,
)
VICTIM = 1  # the number of its store
READ_FAULTS = (Fault.BEFORE,)  # who dies in a read has written as much as who has an error there
WRITE_FAULTS = (Fault.BEFORE, Fault.AFTER, Fault.LATE, Fault.THROTTLE, Fault.KILL_BEFORE, Fault.KILL_AFTER)
MIDWAY_FAULTS = (Fault.MIDWAY, Fault.KILL_MIDWAY)  # of what takes several steps


def play(operation, schedule, *, race):
    """Let one writer do ``operation``, with faults, on a table of three rows or more; return the calls it made."""
    table = SimulatedTable.create(1, schedule=lambda number: schedule if number == VICTIM else None)
    try:
        other, victim = SimulatedWriter(table), SimulatedWriter(table)
        for _ in range(3):
            other.run([append_rows])
        try:
            victim.refresh()
            if race:
                # Its version is taken when it comes to commit.
                other.run([overwrite_all if operation is append_rows else append_rows])
            operation(victim)
        except (StoreError, WriterKilledError):
            pass
        calls = [call for call, _ in table.stores[VICTIM].trace]
        # Whoever comes next finds a table that works.
        SimulatedWriter(table).run([append_rows, overwrite_all])
        model = table.check()
        assert model.commits[-1].outcome == "acknowledged"
    except Exception as error:
        raise AssertionError(f"{operation.__name__} {schedule}: {error!r}\n{table.format_trace()}") from error
    finally:
        table.store.clear()
    return calls


@pytest.mark.parametrize(
    ("operation", "race"),
    [(each, race) for each in OPERATIONS for race in (False, True) if each in COMMITTING or not race],
)
def test_operation_that_fails_at_any_call_leaves_the_table_as_before_or_after(operation, race):
    for call in play(operation, None, race=race):
        faults = WRITE_FAULTS if call.writes else READ_FAULTS
        if call.method in ("delete", "put_advisory", "open_output"):
            faults += MIDWAY_FAULTS
        for fault in faults:
            play(operation, FaultAt(call.number, fault), race=race)
