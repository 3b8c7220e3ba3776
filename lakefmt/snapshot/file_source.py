"""What the files of a version follow from: those of an earlier one, and the commits since."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lakefmt.manifest.checkpoint import Checkpoint
from lakefmt.manifest.logical_files import LogicalFiles
from lakefmt.manifest.tombstones import Tombstones

if TYPE_CHECKING:
    from lakefmt.log import Commit
    from lakefmt.manifest.file_list import FileList
    from lakefmt.snapshot.replay import FileChanges

__all__ = ["FileSource", "Lineage"]

# Past this many unreconciled commits they are made into one, so that a handle that only appends neither pays for a
# new list at every commit nor holds commits without end.
_FOLD_AFTER_COMMITS = 256


class Lineage:
    """What snapshots that follow from each other in one process share: the newest checkpoint that was written from one.

    Attributes:
        checkpoint: that checkpoint; None before there is one. Whoever sets it later wins: any is right.
    """

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class FileSource:
    """The base of a version's files and what came after it.

    Attributes:
        base: the files of an earlier version; None before the first commit.
        base_version: that version, -1 for none.
        commits: those since, oldest first.
        ends: for each of the commits the last version that it stands for.
        tombstones: of files removed up to ``base``, where that is no checkpoint, which has its own.
    """

    base: Checkpoint | FileList | None
    base_version: int
    commits: tuple[Commit, ...]
    ends: tuple[int, ...]
    tombstones: Tombstones = field(default_factory=Tombstones.none)

    @classmethod
    def of(cls, base: Checkpoint | FileList | None, commits: tuple[Commit, ...], version: int) -> FileSource:
        """Return the source of ``version``: its base, a checkpoint or none, and all commits since."""
        base_version = base.version if isinstance(base, Checkpoint) else -1
        # Where a log compaction file stands for some of them, each may be of any version up to the last.
        plain = base_version + len(commits) == version
        ends = tuple(range(base_version + 1, version + 1)) if plain else (version,) * len(commits)
        return cls(base, base_version, commits, ends)

    @property
    def is_long(self) -> bool:
        """Whether there are so many commits that they should be made into one, or into a list."""
        return len(self.commits) > _FOLD_AFTER_COMMITS

    def fold(self, changes: FileChanges, files: FileList | None) -> FileSource:
        """Return the same with all commits, which make ``changes``, as one; or in ``files``, the list after them."""
        last = self.ends[-1] if self.ends else self.base_version
        folded = changes.to_commit()
        if files is None:
            return FileSource(self.base, self.base_version, (folded,), (last,), self.tombstones)
        removed = Tombstones.from_removes(folded.removes)
        tombstones = self.tombstones.without(LogicalFiles(changes.newest)).concat(removed)
        return FileSource(files, last, (), (), tombstones)

    def extend(self, commits: tuple[Commit, ...], version: int) -> FileSource:
        """Return the source of a later version, all commits up to which are given."""
        first = version - len(commits) + 1
        ends = self.ends + tuple(range(first, version + 1))
        return FileSource(self.base, self.base_version, self.commits + commits, ends, self.tombstones)

    def follow(self, checkpoint: Checkpoint | None, version: int) -> FileSource:
        """Return the source of the same ``version`` from a checkpoint, where that is later than the base; else itself.

        A commit that stands for versions before the checkpoint and after it stays as it is: the last actions on its
        files come out the same if they are applied to a state that has some of them already.
        """
        if checkpoint is None or not self.base_version < checkpoint.version <= version:
            return self
        since = [place for place, end in enumerate(self.ends) if end > checkpoint.version]
        return FileSource(
            checkpoint,
            checkpoint.version,
            tuple([self.commits[place] for place in since]),
            tuple([self.ends[place] for place in since]),
        )
