"""Users' Python functions over rows, as jobs."""

from lakefmt.engine.functions.map_job import MapSettings, Step, map_job
from lakefmt.engine.functions.row_function import RowFunction

__all__ = ["MapSettings", "RowFunction", "Step", "map_job"]
