"""Contenders called turn by turn, and what each call took."""

from __future__ import annotations

import gc
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.answers import check_same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Contender", "Role", "Run", "run_rounds"]

Role = Literal["subject", "peer", "shown"]

WARM_UP_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One contender, set up for one round.

    Attributes:
        call: what is timed; its result is kept alive until the clock has stopped.
        answer: turns the last call's result (or the state that the calls left) into a value that must be equal
            for all contenders; not timed.
    """

    call: Callable[[], Any]
    answer: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job.

    Attributes:
        name: unique within a comparison.
        start: sets up one round; not timed.
        role: the ``subject`` is compared with each other one; only a ``peer`` counts for the bar; ``shown`` ones
            are there to be looked at (a floor, a peer doing more than the bar asks).
    """

    name: str
    start: Callable[[], Run]
    role: Role = "peer"


def run_rounds(
    contenders: Sequence[Contender], *, rounds: int, calls_per_round: int = 1, seed: int = 0
) -> tuple[dict[str, list[float]], str, list[float]]:
    """Time every contender once (or ``calls_per_round`` times, added up) in each round.

    Contenders alternate call by call, in an order drawn anew each time, so that none always follows the same other.
    Two rounds of warm-up come first: one checks that all give the same answer, the other finds the fastest peer,
    which then runs against itself in every round (the A/A pair: what this machine's noise looks like as a ratio).

    Returns:
        Seconds per round for each contender; the name of the peer that ran twice; the seconds of its second self.

    Raises:
        AssertionError: two contenders gave different answers.
    """
    draw = random.Random(seed)
    warm_up: dict[str, float] = {}
    for number in range(WARM_UP_ROUNDS):
        warm_up = _one_round(contenders, calls_per_round, draw, check=number == 0)
    peers = [contender for contender in contenders if contender.role == "peer"]
    twin_of = min(peers, key=lambda peer: warm_up[peer.name])
    twin = Contender(f"{twin_of.name} (again)", twin_of.start, role="shown")

    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, took in _one_round([*contenders, twin], calls_per_round, draw, check=False).items():
            seconds[name].append(took)
    again = seconds.pop(twin.name)
    return dict(seconds), twin_of.name, again


def _one_round(
    contenders: Sequence[Contender], calls: int, draw: random.Random, *, check: bool
) -> dict[str, float]:
    runs = {contender.name: contender.start() for contender in contenders}
    took = dict.fromkeys(runs, 0.0)
    answers: dict[str, object] = {}
    order = list(runs)
    gc.collect()
    for number in range(calls):
        draw.shuffle(order)
        for name in order:
            call = runs[name].call
            started = time.perf_counter()
            result = call()
            took[name] += time.perf_counter() - started
            if check and number == calls - 1:
                answers[name] = runs[name].answer(result)
            # Freed between the clocks: giving back a gigabyte is nobody's scan.
            del result
    if check:
        check_same(answers)
    return took
