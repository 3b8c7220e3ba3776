"""Each operation, failing in every way at every single store call it makes: the table is as before, or as after."""

from __future__ import annotations

import pytest

from lakefmt.errors import StoreError
from lakefmt.testing.fault_store import Fault, FaultAt, WriterKilledError
from lakefmt.testing.simulated_operations import OPERATIONS, append_rows, overwrite_all
from lakefmt.testing.simulated_table import SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter

VICTIM = 1  # the number of its store
READ_FAULTS = (Fault.BEFORE, Fault.KILL_BEFORE)
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


@pytest.mark.parametrize("race", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_operation_that_fails_at_any_call_leaves_the_table_as_before_or_after(operation, race):
    for call in play(operation, None, race=race):
        faults = WRITE_FAULTS if call.writes else READ_FAULTS
        if call.method in ("delete", "list", "open_output", "open_input"):
            faults += MIDWAY_FAULTS
        for fault in faults:
            play(operation, FaultAt(call.number, fault), race=race)
