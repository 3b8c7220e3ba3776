"""File lists: the live data files as columns, their statistics and partition values, and checkpoints."""

from lakefmt.manifest.candidates import Candidates, Pruner
from lakefmt.manifest.checkpoint import Checkpoint, CheckpointState
from lakefmt.manifest.file_list import FileList

__all__ = ["Candidates", "Checkpoint", "CheckpointState", "FileList", "Pruner"]
