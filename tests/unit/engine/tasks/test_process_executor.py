"""Tasks on worker processes: the executor contract, and what processes alone do."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lakefmt.engine.tasks.processes import ProcessExecutor
from lakefmt.testing.executor_contract import ExecutorContract

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestProcessExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[ProcessExecutor]:
        with closing(ProcessExecutor(2, memory_bytes=64 << 20)) as executor:
            yield executor
