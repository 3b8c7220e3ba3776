"""Hypothesis looks for the shortest story that breaks a promise: writers with old snapshots, faults and races, step by step.

Where ``tests/simulation`` draws whole runs from seeds, here each step is chosen, and a failure is shrunk to few steps.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from lakefmt.testing.faults import Fault, FaultAt
from lakefmt.testing.simulated_operations import OPERATIONS
from lakefmt.testing.simulated_table import SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter

SOAK = int(os.environ.get("LAKEFMT_SOAK", "0"))
WRITERS = 3
DAY_S = 86_400

operations = st.sampled_from(list(OPERATIONS))
faults = st.none() | st.builds(FaultAt, st.integers(0, 14), st.sampled_from(list(Fault)))
writers = st.integers(0, WRITERS - 1)
races = st.dictionaries(writers, st.lists(operations, min_size=1, max_size=2), min_size=2)


class TableMachine(RuleBasedStateMachine):
    """Writers of one table; what they try is checked when the story ends."""

    plan = None  # the fault of the operation that runs

    @initialize(seed=st.integers(0, 3))
    def create(self, seed):
        self.table = SimulatedTable.create(seed, schedule=lambda _: self.fault_of_call)
        self.writers = [SimulatedWriter(self.table) for _ in range(WRITERS)]

    def fault_of_call(self, call):
        return None if self.plan is None else self.plan(call)

    @rule(writer=writers, operation=operations, fault=faults)
    def operate(self, writer, operation, fault):
        """One writer does one thing, during which one call may fail."""
        if fault is not None:
            made = len(self.writers[writer].store.trace)
            self.plan = FaultAt(made + fault.number, fault.fault)
        self.writers[writer].run([operation])
        self.plan = None

    @rule(chosen=races)
    def race(self, chosen):
        """Several writers do things at once."""
        for writer, todo in chosen.items():
            self.table.scheduler.spawn(
                f"writer {writer}", lambda writer=writer, todo=todo: self.writers[writer].run(todo)
            )
        self.table.scheduler.run()

    @rule(days=st.integers(1, 40))
    def wait(self, days):
        """Time passes: logs get old."""
        self.table.scheduler.sleep(days * DAY_S)

    def teardown(self):
        if hasattr(self, "table"):
            self.table.check()
            self.table.store.clear()


TestTableMachine = TableMachine.TestCase
TestTableMachine.settings = settings(
    max_examples=25 * max(SOAK, 1),
    stateful_step_count=12,
    deadline=None,
    derandomize=not SOAK,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
