"""What Spark is asked to write: named cases, each a function of a session and a place.

Nothing here needs Spark: the test process lists the cases, Spark's process carries them out.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Settings = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One table that Spark writes.

    ``write(spark, path)`` makes the table at ``path``. ``settings`` are Spark settings while it does.
    ``versions`` asks for the rows of earlier versions, beside those of the newest; ``changes`` for the change feed.
    ``folder`` is the name of the table's own folder. ``refused`` is a word of lakefmt's refusal to read it, where it is refused.
    """

    name: str
    group: str
    write: Callable[[Any, str], None]
    settings: Settings = field(default_factory=dict)
    versions: bool = False
    changes: bool = False
    folder: str = "table"
    refused: str | None = None


_CASES: dict[str, Case] = {}


def table(**options: Any) -> Callable[[Callable[[Any, str], None]], Callable[[Any, str], None]]:
    """Register a function as a case of that name."""

    def add(write: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
        add_case(write.__name__, write, **options)
        return write

    return add


def add_case(name: str, write: Callable[[Any, str], None], **options: Any) -> None:
    """Register a case; its group is the module of ``write``."""
    if name in _CASES:
        raise ValueError(f"two cases have the name {name}")
    _CASES[name] = Case(name, write.__module__.rpartition(".")[2], write, **options)


def all_cases() -> dict[str, Case]:
    """Return every case, by name."""
    package = importlib.import_module("interop_spark.tables")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"interop_spark.tables.{module.name}")
    return dict(_CASES)
