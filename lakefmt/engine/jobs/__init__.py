"""Jobs: stages of tasks, cut where rows change hands, run on an executor until all of it is there."""

from lakefmt.engine.jobs.folder import job_folder
from lakefmt.engine.jobs.metrics import JobMetrics, StageMetrics, TaskMetrics
from lakefmt.engine.jobs.run import describe_resources, run_job, start_metrics
from lakefmt.engine.jobs.stage import Job, Source, Stage, StageOutputs, TaskOutput
from lakefmt.engine.jobs.state import JobState
from lakefmt.engine.jobs.verdict import Bounds

__all__ = [
    "Bounds",
    "Job",
    "JobMetrics",
    "JobState",
    "Source",
    "Stage",
    "StageMetrics",
    "StageOutputs",
    "TaskMetrics",
    "TaskOutput",
    "describe_resources",
    "job_folder",
    "run_job",
    "start_metrics",
]
