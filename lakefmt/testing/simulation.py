"""A whole run: writers of one table at once, under faults, and the check of all that they were promised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lakefmt.testing.faults import SeededFaults
from lakefmt.testing.simulated_operations import OPERATIONS
from lakefmt.testing.simulated_table import SimulatedTable
from lakefmt.testing.simulated_writer import SimulatedWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefmt.testing.faults import Fault

__all__ = ["simulate"]


def simulate(
    seed: int,
    *,
    writers: int = 3,
    operations: int = 4,
    rate: float = 0.0,
    faults: tuple[Fault, ...] = (),
    weights: Mapping[Callable[[SimulatedWriter], None], int] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Counter[str]:
    """Run and check what a seed decides; return how often each outcome came.

    Args:
        seed: decides all.
        writers: how many work at once.
        operations: how many each does.
        rate: how many of all store calls fail.
        faults: how they fail.
        weights: what writers do, and how often; None for ``OPERATIONS``.
        properties: of the table.

    Raises:
        AssertionError: a promise was broken; the message has the seed and every call.
    """
    weights = OPERATIONS if weights is None else weights
    table = SimulatedTable.create(
        seed,
        schedule=lambda number: SeededFaults(f"{seed} {number}", rate, faults) if rate else None,
        properties=properties,
    )
    for number in range(writers):
        chosen = table.draw.choices(list(weights), list(weights.values()), k=operations)
        writer = SimulatedWriter(table)
        table.scheduler.spawn(f"writer {number}", lambda writer=writer, chosen=chosen: writer.run(chosen))  # type: ignore[misc]
    try:
        table.scheduler.run()
        table.check()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}\n{table.format_trace()}") from error
    finally:
        table.store.clear()
    return Counter(f"{attempt.kind} {attempt.outcome}" for attempt in table.attempts.values())
