"""Many writers of one table, in thousands of orders, with storage that fails and writers that die.

A failure names its seed; ``LAKEFMT_SEED=<seed> pytest tests/simulation/test_schedules.py`` plays that run again.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from simulation.runs import play, seeds

from lakefmt.testing.faults import ERRORS, KILLS, SeededFaults
from lakefmt.testing.simulated_operations import append_rows, overwrite_all, read_rows, set_property
from lakefmt.testing.simulated_table import JournalingStore, SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter
from lakefmt.testing.simulation import simulate


def outcomes(runs):
    return sum(runs, Counter())


def test_promises_are_kept_whatever_happens():
    found = outcomes(map(play, seeds(70)))
    if len(seeds(70)) > 1:
        kinds = {"append", "overwrite", "delete", "rewrite", "metadata"}
        assert set(found) == {
            f"{kind} {end}" for kind in kinds for end in ("acknowledged", "refused", "unknown")
        }


def test_blind_appends_never_conflict():
    runs = (simulate(seed, writers=4, weights={append_rows: 3, read_rows: 1}) for seed in seeds(15))
    assert set(outcomes(runs)) == {"append acknowledged"}


def test_without_faults_every_outcome_is_known():
    found = outcomes(simulate(seed) for seed in seeds(15))
    assert not [name for name in found if name.endswith("unknown")]


def test_one_seed_is_one_run():
    def calls():
        table = SimulatedTable.create(11, schedule=lambda number: SeededFaults(number, 0.1, ERRORS + KILLS))
        for _ in range(3):
            writer = SimulatedWriter(table)
            table.scheduler.spawn(
                "w", lambda writer=writer: writer.run([append_rows, overwrite_all, set_property])
            )
        table.scheduler.run()
        table.check()
        # The library reads several commits at once; in what order their reads come is not the seed's to decide.
        trace = [
            (store.name, call.method, call.key, call.nth, fault)
            for store in table.stores
            for call, fault in store.trace
        ]
        return sorted(trace, key=repr)

    assert calls() == calls()


# The checks themselves: storage that breaks its contract is found out.


class ReplacingStore(JournalingStore):
    """Its put-if-absent looks first and writes then, now and then too late."""

    def put_if_absent(self, key, data):
        if key in self.log_writes and random.random() < 0.5:
            return False
        self.put(key, data)
        return True


class ForgettingStore(JournalingStore):
    """Says that it wrote and has not, once in a while."""

    def put_if_absent(self, key, data):
        if not key.endswith("00.json") and hash(data) % 3 == 0 and key not in self.log_writes:
            return True
        return super().put_if_absent(key, data)


class DoublingStore(JournalingStore):
    """Applies a lost write a second time under the next name."""

    def put_if_absent(self, key, data):
        won = super().put_if_absent(key, data)
        if won and key.endswith("3.json"):
            super().put_if_absent(key.replace("3.json", "4.json"), data)
        return won


class LosingStore(JournalingStore):
    """Loses a data file."""

    def put(self, key, data):
        if not (key.endswith(".parquet") and hash(data) % 5 == 0):
            super().put(key, data)


@pytest.mark.parametrize("broken", [ReplacingStore, ForgettingStore, DoublingStore, LosingStore])
def test_storage_that_breaks_its_contract_is_found_out(broken, monkeypatch):
    monkeypatch.setattr("lakefmt.testing.simulated_table.JournalingStore", broken)
    with pytest.raises(AssertionError, match=r"seed \d+"):
        outcomes(map(simulate, range(20)))
