"""Names of a package that load when they are asked for, so that a program pays for the modules it uses (decision 6)."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` (PEP 562) of a package that exports what its modules define.

    No name may be that of one of the package's modules: an import of the module would put it in the name's place.

    Args:
        package: its ``__name__``.
        homes: the module of each name, with ``:other`` behind it where the name is another there.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own = homes[name].partition(":")
        value = getattr(importlib.import_module(module), own or name)
        setattr(sys.modules[package], name, value)
        return value

    return load
