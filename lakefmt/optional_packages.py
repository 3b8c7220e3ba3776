"""Packages that only some calls need, such as pandas and polars: asked for before any work is done."""

from __future__ import annotations

import importlib.util

from lakefmt.errors import MissingPackageError

__all__ = ["require_package"]


def require_package(name: str, wanted_by: str) -> None:
    """Raise MissingPackageError where a package is not installed; nothing is imported.

    Args:
        name: of the package, as it is imported and installed.
        wanted_by: what was called, such as ``to_pandas``.
    """
    if importlib.util.find_spec(name) is None:
        raise MissingPackageError(
            f"{wanted_by} needs the package {name}, which is not installed", hint=f"pip install {name}"
        )
