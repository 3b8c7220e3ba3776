"""Local folders for what does not outlive an attempt of a task, such as spilled rows.

A folder is named after its process (``process_folders``), so that those of a process that was killed are found; who has
workers deletes them. Every read runs tasks, and hardly any makes a folder: what that needs is imported then.
"""

from __future__ import annotations

import os
from itertools import count

from lakefmt.errors import ResourceError

__all__ = ["Scratch", "delete_own_scratch", "sweep_scratch"]

_PURPOSE = "scratch"


class Scratch:
    """The folder of one attempt, made when it is first asked for."""

    __slots__ = ("_path",)

    def __init__(self) -> None:
        self._path: str | None = None

    def folder(self) -> str:
        """Return the folder's path; it is there, and readable by this user alone.

        Raises:
            ResourceError: it cannot be made.
        """
        if self._path is None:
            try:
                path = f"{_prefix()}{next(_numbers):08x}"
                os.mkdir(path, 0o700)  # noqa: PTH102
            except OSError as error:
                raise ResourceError(
                    f"There is no folder for rows that do not fit into memory: {error}",
                    hint="TMPDIR names the folder for temporary files",
                ) from error
            self._path = path
        return self._path

    def delete(self) -> None:
        """Delete the folder, if there is one, and all that is in it."""
        if self._path is not None:
            import shutil

            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None


def sweep_scratch() -> None:
    """Delete the folders of processes that are dead, those that their own databases spilled to included."""
    import tempfile
    from pathlib import Path

    from lakefmt.process_folders import sweep_folders

    for purpose in (_PURPOSE, "spill"):
        sweep_folders(purpose, Path(tempfile.gettempdir()))


def delete_own_scratch() -> None:
    """Delete the folders of this process, whose tasks are over."""
    import shutil
    from pathlib import Path

    prefix = Path(_prefix())
    for folder in prefix.parent.glob(f"{prefix.name}*"):
        shutil.rmtree(folder, ignore_errors=True)


_numbers = count()
_known_prefix: tuple[int, str] | None = None


def _prefix() -> str:
    """Return what the paths of this process's folders begin with; a child that was forked has its own."""
    global _known_prefix
    pid, known = os.getpid(), _known_prefix
    if known is None or known[0] != pid:
        import tempfile

        from lakefmt.process_folders import name_folder

        name = name_folder(_PURPOSE)
        known = _known_prefix = pid, os.path.join(tempfile.gettempdir(), name[: name.rindex("-") + 1])  # noqa: PTH118
    return known[1]
