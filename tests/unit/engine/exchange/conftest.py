from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lakefmt.engine.tasks import TaskContext

if TYPE_CHECKING:
    from pathlib import Path

ContextMaker = Callable[..., TaskContext]


@pytest.fixture
def context_of(tmp_path: Path) -> ContextMaker:
    """Makes the context of a task in a job folder of its own, never cancelled."""

    def make(
        number: int = 0,
        *,
        attempt: int = 0,
        memory_bytes: int = 64 << 20,
        stage: str = "map",
        folder: str | None = None,
    ) -> TaskContext:
        scratch = str(tmp_path / f"scratch-{stage}-{number}-{attempt}")
        place = str(tmp_path) if folder is None else folder
        return TaskContext(stage, number, attempt, memory_bytes, 1, place, scratch, lambda: False)

    return make
