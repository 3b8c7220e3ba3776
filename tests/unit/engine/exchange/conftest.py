from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from lakefmt.engine.tasks import TaskContext
from lakefmt.engine.tasks.scratch import Scratch

if TYPE_CHECKING:
    from pathlib import Path

ContextMaker = Callable[..., TaskContext]


@pytest.fixture
def context_of(tmp_path: Path) -> Iterator[ContextMaker]:
    """Makes the context of a task in a job folder of its own, never cancelled."""
    scratch = Scratch()

    def make(
        number: int = 0,
        *,
        attempt: int = 0,
        memory_bytes: int = 64 << 20,
        stage: str = "map",
        folder: str | None = None,
    ) -> TaskContext:
        place = str(tmp_path) if folder is None else folder
        return TaskContext(stage, number, attempt, memory_bytes, 1, place, lambda: False, scratch)

    yield make
    scratch.delete()
