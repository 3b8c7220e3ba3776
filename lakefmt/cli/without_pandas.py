"""A process without pandas: pyarrow imports it, where it is installed, with its first array, and no command has a use for it.

That is a third of what a short command takes.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["do_without_pandas"]


def do_without_pandas() -> None:
    """Have this process find no pandas, unless it has it already."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed, and leaves all else to others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("A command does without pandas", name=fullname)
        return None
