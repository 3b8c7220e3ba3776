"""What a worker process has in common with its driver: versions, which must agree, and surroundings, which follow."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass

import lakefmt
from lakefmt.errors import WorkerStartError

__all__ = ["Surroundings", "Versions", "check_versions"]


@dataclass(frozen=True, slots=True)
class Versions:
    """What a process runs. Tasks compute with it what other tasks rely on, such as hashes of keys."""

    python: str
    lakefmt: str
    pyarrow: str
    duckdb: str

    @classmethod
    def here(cls) -> Versions:
        """Return this process's."""
        return cls(
            platform.python_version(), lakefmt.__version__, _version_of("pyarrow"), _version_of("duckdb")
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What user code of a driver stands in: where modules are found, relative paths begin, and the environment."""

    path: tuple[str, ...]
    folder: str | None
    environment: tuple[tuple[str, str], ...]

    @classmethod
    def here(cls) -> Surroundings:
        """Return this process's, as they are now."""
        folder = None
        with contextlib.suppress(OSError):  # it may have been deleted
            folder = os.getcwd()  # noqa: PTH109 - a task takes microseconds
        return cls(tuple(map(str, sys.path)), folder, tuple(os.environ.items()))

    def take_on(self) -> None:
        """Make them this process's."""
        if sys.path != list(self.path):
            sys.path[:] = self.path
            sys.path_importer_cache.clear()
        if self.folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(self.folder)
        wanted = dict(self.environment)
        for name in os.environ.keys() - wanted.keys():
            del os.environ[name]
        for name, value in wanted.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def check_versions(driver: Versions, worker: Versions) -> None:
    """Raise WorkerStartError where a worker runs something else than its driver."""
    differences = [
        f"{name} {theirs} instead of {ours}"
        for name in Versions.__slots__
        if (ours := getattr(driver, name)) != (theirs := getattr(worker, name))
    ]
    if differences:
        raise WorkerStartError(
            f"A worker process runs {', '.join(differences)}",
            hint="Something was installed since this process began: start it again",
        )


def _version_of(package: str) -> str:
    # What is loaded counts, whatever has been installed since.
    loaded = getattr(sys.modules.get(package), "__version__", None)
    return importlib.metadata.version(package) if loaded is None else str(loaded)
