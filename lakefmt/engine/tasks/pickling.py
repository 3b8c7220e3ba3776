"""Values as they go from one process to another: functions too, whatever module they come from.

What another interpreter can import goes by name. What it cannot - functions and classes of ``__main__``, of a notebook, of
a function's inside, of a module that only this process knows how to find - goes by value, which is cloudpickle's work; it
is loaded only then. Arrow's buffers lie beside the pickle, uncopied; a slice of rows goes without the rows around it.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
from contextlib import ExitStack
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from lakefmt.engine.tasks.frames import Part

__all__ = ["decode", "encode"]


def encode(value: object) -> list[Part]:
    """Return a value as a pickle and its buffers. Raises whatever pickling raises: TypeError, PicklingError, ..."""
    try:
        return _dump(_ByName, value)
    except (_NotImportableError, pickle.PicklingError, TypeError, AttributeError):
        return _encode_by_value(value)  # which can do more, and says best what it cannot


def decode(parts: Sequence[Part]) -> Any:
    """Return the value; raises whatever unpickling raises: ModuleNotFoundError, AttributeError, ..."""
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - of this process's own worker, or its driver


class _NotImportableError(Exception):
    """A function or class is of a module that another interpreter does not find."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class _ByName(pickle.Pickler):
    """Stops at the first function or class that has to go by value."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type | FunctionType):
            module = value.__module__
            if "<" in value.__qualname__ or not _is_importable(module):
                raise _NotImportableError(module)
        return _reduce_rows(value)


def _encode_by_value(value: object) -> list[Part]:
    import cloudpickle

    class ByValue(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        """Stops where cloudpickle would name a module that another interpreter does not find."""

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, type | FunctionType):
                module = sys.modules.get(value.__module__)
                if (
                    module is not None
                    and module.__name__ not in by_value
                    and not _is_importable(module.__name__)
                ):
                    raise _NotImportableError(module.__name__)
            reduced = _reduce_rows(value)
            return super().reducer_override(value) if reduced is NotImplemented else reduced

    by_value = {"__main__"}  # to cloudpickle already
    while True:
        try:
            with _by_value, ExitStack() as registered:
                for name in by_value - {"__main__"}:
                    cloudpickle.register_pickle_by_value(sys.modules[name])
                    registered.callback(cloudpickle.unregister_pickle_by_value, sys.modules[name])
                return _dump(ByValue, value)
        except _NotImportableError as found:
            by_value.add(found.module)


def _dump(pickler: Callable[..., Any], value: object) -> list[Part]:
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    pickler(file, protocol=5, buffer_callback=buffers.append).dump(value)
    return [file.getbuffer(), *(buffer.raw() for buffer in buffers)]


def _reduce_rows(value: object) -> Any:
    """Return how rows are pickled that pyarrow would send with all that they hold on to, or not at all.

    The former are slices; the latter have no columns, and pyarrow forgets how many they are.
    """
    if not isinstance(value, pa.Table | pa.RecordBatch) or (
        value.num_columns and value.get_total_buffer_size() < 2 * value.nbytes + 4096
    ):
        return NotImplemented
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as stream:
        stream.write(value)
    return _read_rows, (pickle.PickleBuffer(sink.getvalue()), isinstance(value, pa.Table))


def _read_rows(stream: Any, is_table: bool) -> pa.Table | pa.RecordBatch:  # noqa: FBT001 - pickle calls it
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all() if is_table else reader.read_next_batch()


_by_value = threading.Lock()  # cloudpickle's list of modules is the process's
_importable: dict[str, bool] = {}
_importable_from: list[str] = []


def _is_importable(name: str | None) -> bool:
    """Whether another interpreter with this one's ``sys.path`` finds the module of this name, and finds this one."""
    global _importable_from
    module = None if name is None else sys.modules.get(name)
    if name is None or module is None or name == "__main__":
        return False
    if _importable_from != sys.path:
        _importable_from = list(sys.path)
        _importable.clear()
    known = _importable.get(name)
    if known is None:
        known = _importable[name] = _finds(name, module)
    return known


def _finds(name: str, module: ModuleType) -> bool:
    path: Any = None
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
        found = (find(".".join(parts[:depth]), path) for find in finders if find is not None)
        spec = next((each for each in found if each is not None), None)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    own = getattr(module, "__spec__", None)
    return spec is not None and own is not None and spec.origin == own.origin


def _begin_in_child() -> None:
    global _by_value
    _by_value = (
        threading.Lock()
    )  # a thread of the parent may have held it, and nobody in the child would release it


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_in_child)
