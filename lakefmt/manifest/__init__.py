"""File lists: the live data files as columns, their statistics and partition values, and checkpoints."""

from lakefmt.manifest.checkpoint import CheckpointState, read_checkpoint_files, read_checkpoint_state
from lakefmt.manifest.file_list import FileList

__all__ = ["CheckpointState", "FileList", "read_checkpoint_files", "read_checkpoint_state"]
