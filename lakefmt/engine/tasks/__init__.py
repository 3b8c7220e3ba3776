"""Tasks, and where they run: threads of this process, worker processes of this machine."""

from lakefmt.engine.tasks.executor import Executor, Resources
from lakefmt.engine.tasks.run import map_tasks
from lakefmt.engine.tasks.task import Task, TaskContext
from lakefmt.engine.tasks.threads import ThreadExecutor

__all__ = ["Executor", "Resources", "Task", "TaskContext", "ThreadExecutor", "map_tasks"]
