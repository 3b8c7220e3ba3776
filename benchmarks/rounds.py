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

__all__ = ["WARM_UP_ROUNDS", "Contender", "Role", "Run", "run_rounds"]

Role = Literal["subject", "peer", "shown"]

WARM_UP_ROUNDS = 2
"""The first checks answers, the second knows the fastest peer once all are warm."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender, set up for one round.

    Attributes:
        call: what is timed; its result is kept alive until the clock has stopped.
        answer: turns the last call's result (or the state that the calls left) into a value that must be equal
            for all contenders; not timed.
        seconds: reads the time out of the result of a ``call`` that took it itself (in another process, say); None
            where the clock around ``call`` counts.
    """

    call: Callable[[], Any]
    answer: Callable[[Any], object]
    seconds: Callable[[Any], float] | None = None


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
    contenders: Sequence[Contender],
    *,
    rounds: int,
    calls_per_round: int = 1,
    warm_up_rounds: int = WARM_UP_ROUNDS,
    seed: int = 0,
) -> tuple[dict[str, list[float]], str, list[float]]:
    """Time every contender once (or ``calls_per_round`` times, added up) in each round.

    Contenders alternate call by call, in an order drawn anew each time, so that none always follows the same other.
    Rounds of warm-up come first: the first checks that all give the same answer, the last finds the fastest peer,
    which then runs against itself in every round (the A/A pair: what this machine's noise looks like as a ratio). One
    is enough for contenders that start anew in every call.

    Returns:
        Seconds per round for each contender; the name of the peer that ran twice; the seconds of its second self.

    Raises:
        AssertionError: two contenders gave different answers.
    """
    draw = random.Random(seed)
    warm_up: dict[str, float] = {}
    for number in range(warm_up_rounds):
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
            run = runs[name]
            call = run.call
            started = time.perf_counter()
            result = call()
            around = time.perf_counter() - started
            took[name] += run.seconds(result) if run.seconds else around
            if check and number == calls - 1:
                answers[name] = run.answer(result)
            # Freed between the clocks: giving back a gigabyte is nobody's scan.
            del result
    if check:
        check_same(answers)
    return took
