"""How long to go on, and how long to wait between two attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lakefmt.txn.environment import Environment

__all__ = ["Patience"]

# Bounds of a pause: in attempts, and in seconds.
_MOST_ATTEMPTS: Final = 8
_SHORTEST_S: Final = 0.0005
_LONGEST_S: Final = 5.0


class Patience:
    """The time that is left to one commit, and its pauses.

    Pauses follow how long attempts take: on a disk that commits in a millisecond nobody waits for a tenth of a second,
    and on a slow store nobody asks ten times while one other commits. Their bound doubles with every loss, up to some
    attempts; each is drawn anew below it (full jitter), so that writers who lost to one another part.

    Args:
        environment: clock and randomness.
        timeout_s: for how long, None for ever.
    """

    def __init__(self, environment: Environment, timeout_s: float | None) -> None:
        self._environment = environment
        self._deadline_s = None if timeout_s is None else environment.monotonic_s() + timeout_s
        self._attempts = 1

    def left_s(self) -> float | None:
        """Return the seconds that are left, 0 where none are, None where there is no end."""
        if self._deadline_s is None:
            return None
        return max(self._deadline_s - self._environment.monotonic_s(), 0.0)

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.left_s() == 0.0

    def pause(self, attempt_s: float) -> None:
        """Wait after an attempt that took ``attempt_s`` seconds and was lost, no longer than there is time."""
        self._attempts = min(2 * self._attempts, _MOST_ATTEMPTS)
        bound_s = min(max(attempt_s, _SHORTEST_S) * self._attempts, _LONGEST_S)
        left_s = self.left_s()
        pause_s = bound_s * self._environment.random()
        self._environment.sleep(pause_s if left_s is None else min(pause_s, left_s))
