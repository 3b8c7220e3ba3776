"""Reading checkpoints, as little of them as a question takes."""

from lakefmt.manifest.checkpoint.checkpoint import Checkpoint
from lakefmt.manifest.checkpoint.state import CheckpointState

__all__ = ["Checkpoint", "CheckpointState"]
