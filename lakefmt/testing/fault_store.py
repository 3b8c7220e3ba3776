"""A store that fails on purpose, at any call, in every way that the store contract leaves open: see ``faults``."""

from __future__ import annotations

import contextlib
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar, cast

import pyarrow as pa

from lakefmt.errors import StoreError, UnknownOutcomeError
from lakefmt.store import ObjectInfo, Store, open_store
from lakefmt.testing.faults import KILLS, WRITES, Call, Fault, WriterKilledError

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

__all__ = ["FaultStore", "LateWrites"]

T = TypeVar("T")

_THROTTLED_CALLS = 4
_LONGEST_DELAY_S = 2.0
_LATEST_CALLS = 40


@dataclass(slots=True)
class LateWrites:
    """Writes that are still on their way although their callers have given them up; shared by the stores of one place."""

    _waiting: list[tuple[list[int], Callable[[], object]]] = field(default_factory=list)

    def add(self, calls: int, write: Callable[[], object]) -> None:
        """Let a write arrive after so many further calls."""
        self._waiting.append(([calls], write))

    def tick(self) -> None:
        """Count one call; carry out what arrives with it."""
        if not self._waiting:
            return
        for entry in list(self._waiting):
            entry[0][0] -= 1
            if entry[0][0] < 0:
                self._arrive(entry)

    def deliver(self) -> None:
        """Carry out all that is still on its way."""
        for entry in list(self._waiting):
            self._arrive(entry)

    def _arrive(self, entry: tuple[list[int], Callable[[], object]]) -> None:
        self._waiting.remove(entry)
        with contextlib.suppress(StoreError):
            entry[1]()


class FaultStore(Store):
    """A store in front of another one, whose calls fail as a schedule says.

    One of them stands for one process: once a fault has killed it, every further call raises ``WriterKilledError``.

    Args:
        inner: what does the work.
        schedule: what goes wrong with each call; None for nothing.
        name: of the writer, for the trace.
        before: called before each call; a scheduler of a simulation hands over to other writers there.
        sleep: waits seconds.
        late: where writes wait that arrive late; shared by the writers of one table.
        kill: called to die; None to raise ``WriterKilledError``.
        alone: whether it shares nothing with other stores of the same place in this process (``identity``).

    Attributes:
        trace: the calls so far, and what went wrong with each.
    """

    def __init__(
        self,
        inner: Store,
        schedule: Callable[[Call], Fault | None] | None = None,
        *,
        name: str = "",
        before: Callable[[Call], None] | None = None,
        sleep: Callable[[float], None] | None = None,
        late: LateWrites | None = None,
        kill: Callable[[], NoReturn] | None = None,
        alone: bool = True,
    ) -> None:
        self.uri = inner.uri
        self.read_only_reason = inner.read_only_reason
        self.requests_are_cheap = inner.requests_are_cheap
        self.name = name
        self.trace: list[tuple[Call, Fault | None]] = []
        self._inner = inner
        self._schedule = schedule
        self._before = before
        self._sleep = sleep
        self._late = LateWrites() if late is None else late
        self._kill = kill
        self._alone = alone
        self._dead = False
        self._throttled = 0
        # Counting is one step of the interpreter's each: no lock that a fork could copy in the wrong state.
        self._numbers = itertools.count()
        self._nths: dict[tuple[str, str], Iterator[int]] = {}

    @classmethod
    def from_options(cls, uri: str, options: Mapping[str, Any]) -> FaultStore:
        """Open a store without faults."""
        return cls(open_store(uri, options))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._inner, self._schedule, self.name, self._kill, self._alone)

    @property
    def identity(self) -> Hashable:
        """The store itself, as if it were in a process of its own, unless it is not ``alone``."""
        return self if self._alone else self._inner.identity

    @property
    def display(self) -> str:
        """The root as the inner store shows it."""
        return self._inner.display

    @property
    def dead(self) -> bool:
        """Whether a fault has killed this writer."""
        return self._dead

    def format_trace(self) -> str:
        """Return the calls so far, one a line."""
        lines = [
            f"{self.name} #{call.number} {call.method} {call.key}" + (f" -> {fault.name}" if fault else "")
            for call, fault in self.trace
        ]
        return "\n".join(lines)

    def key_of(self, uri: str) -> str | None:
        """Return what the inner store says."""
        return self._inner.key_of(uri)

    def read(self, key: str) -> bytes:
        """Return the object's bytes, or fail."""
        return self._run("read", key, lambda: self._inner.read(key))

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each range, or fail."""
        return self._run("read_ranges", key, lambda: self._inner.read_ranges(key, ranges))

    def info(self, key: str) -> ObjectInfo:
        """Return size and time of the object, or fail."""
        return self._run("info", key, lambda: self._inner.info(key))

    def list(self, folder: str, after: str = "", *, recursive: bool = False) -> Iterator[ObjectInfo]:
        """Yield the objects of a folder; a listing that fails half-way ends in an error."""
        fault = self._begin("list", folder)
        survived = fault and fault.survived
        if fault is not None and survived is not Fault.MIDWAY:
            raise self._failure(fault, "list", folder)
        if fault is None:
            yield from self._inner.list(folder, after, recursive=recursive)
            return
        found = list(self._inner.list(folder, after, recursive=recursive))
        yield from found[: len(found) // 2]
        raise self._failure(fault, "list", folder)

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, or fail."""
        self._run("put", key, lambda: self._inner.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if there is none, or fail; the error tells whether the outcome is known."""
        return self._run("put_if_absent", key, lambda: self._inner.put_if_absent(key, data))

    def put_advisory(self, key: str, data: bytes) -> bool:
        """Write an object that readers can do without, or fail; one that dies half-way leaves it empty."""
        return self._run(
            "put_advisory",
            key,
            lambda: self._inner.put_advisory(key, data),
            midway=lambda: self._inner.put_advisory(key, b""),
        )

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects, some of them, or none."""
        chosen = list(keys)
        half = chosen[: len(chosen) // 2]
        self._run(
            "delete",
            chosen[0] if chosen else "",
            lambda: self._inner.delete(chosen),
            midway=lambda: self._inner.delete(half),
        )

    def open_input(self, key: str, size_bytes: int | None = None) -> pa.NativeFile:
        """Open an object for random reads; one that fails half-way gives its first half and then an error."""
        fault = self._begin("open_input", key)
        if fault is None:
            return self._inner.open_input(key, size_bytes)
        if fault.survived is not Fault.MIDWAY:
            raise self._failure(fault, "open_input", key)
        dying = _DyingInput(
            self._inner.open_input(key, size_bytes), lambda: self._failure(fault, "open_input", key)
        )
        return pa.PythonFile(cast("Any", dying), mode="r")

    @contextlib.contextmanager
    def open_output(self, key: str) -> Iterator[BinaryIO]:
        """Write an object as a stream, or fail at its beginning, in its middle or at its end."""
        fault = self._begin("open_output", key)
        survived = fault and fault.survived
        if fault is not None and survived not in (Fault.MIDWAY, Fault.AFTER):
            raise self._failure(fault, "open_output", key)
        with self._inner.open_output(key) as stream:
            if fault is None or survived is Fault.AFTER:
                yield stream
            else:
                yield cast("BinaryIO", _DyingOutput(stream, lambda: self._failure(fault, "open_output", key)))
                raise self._failure(fault, "open_output", key)
        if fault is not None:
            raise self._failure(fault, "open_output", key)

    def delete_leftovers(self, before_ms: int) -> int:
        """Delete what the inner store finds; no fault is played."""
        return self._inner.delete_leftovers(before_ms)

    def local_path(self, key: str) -> str | None:  # noqa: ARG002 - part of the contract
        """Return None: every byte is to pass this store."""
        return None

    def _run(
        self, method: str, key: str, work: Callable[[], T], midway: Callable[[], object] | None = None
    ) -> T:
        fault = self._begin(method, key)
        if fault is None:
            return work()
        match fault.survived:
            case Fault.MIDWAY | Fault.AFTER as when:
                with contextlib.suppress(StoreError):  # nobody is told what storage would have said
                    (midway if midway is not None and when is Fault.MIDWAY else work)()
            case Fault.LATE if method in WRITES:
                draw = random.Random(f"late {method} {key}")  # noqa: S311 - no secret
                self._late.add(draw.randrange(_LATEST_CALLS), work)
        raise self._failure(fault, method, key)

    def _begin(self, method: str, key: str) -> Fault | None:
        """Count a call and return what is to go wrong with it, delays played already."""
        if self._dead:
            raise WriterKilledError(f"{self.name} is dead and called {method} {key}")
        nth = next(self._nths.setdefault((method, key), itertools.count()))
        call = Call(next(self._numbers), method, key, nth)
        if self._before is not None:
            self._before(call)
        self._late.tick()
        fault = None if self._schedule is None else self._schedule(call)
        if self._throttled:
            self._throttled -= 1
            fault = fault or Fault.BEFORE
        self.trace.append((call, fault))
        match fault:
            case Fault.DELAY:
                self._pause(call)
                return None
            case Fault.THROTTLE:
                self._throttled = _THROTTLED_CALLS
        return fault

    def _pause(self, call: Call) -> None:
        if self._sleep is not None:
            draw = random.Random(f"delay {call.method} {call.key} {call.nth}")  # noqa: S311 - no secret
            self._sleep(draw.random() * _LONGEST_DELAY_S)

    def _failure(self, fault: Fault, method: str, key: str) -> BaseException:
        """Return what a fault raises, or die."""
        if fault in KILLS:
            self._dead = True
            if self._kill is not None:
                self._kill()
            return WriterKilledError(f"{self.name} was killed at {method} {key}")
        if method == "put_if_absent" and fault is not Fault.BEFORE:
            return UnknownOutcomeError(
                "it is unknown whether the object was written: told to fail",
                table=self.uri,
                path=key,
                hint="Look at the newest version before writing again: the write may have been applied, or may yet be",
            )
        return StoreError(f"cannot {method} it: told to fail", table=self.uri, path=key)


def _unpickle(
    inner: Store,
    schedule: Callable[[Call], Fault | None] | None,
    name: str,
    kill: Callable[[], NoReturn] | None,
    alone: bool,  # noqa: FBT001 - called by pickle
) -> FaultStore:
    return FaultStore(inner, schedule, name=name, kill=kill, alone=alone)


class _DyingInput:
    """A file to read whose second half cannot be had."""

    closed = False

    def __init__(self, file: pa.NativeFile, die: Callable[[], BaseException]) -> None:
        self._file = file
        self._die = die

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int:
        return self._file.size()

    def read(self, nbytes: int = -1) -> bytes:
        half = self._file.size() // 2
        end = self._file.size() if nbytes < 0 else self._file.tell() + nbytes
        if end > half:
            raise self._die()
        return self._file.read(nbytes)

    def close(self) -> None:
        self.closed = True
        self._file.close()


class _DyingOutput:
    """A file to write that takes one piece and no more."""

    def __init__(self, stream: BinaryIO, die: Callable[[], BaseException]) -> None:
        self._stream = stream
        self._die = die
        self._pieces = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: Any) -> int:
        if self._pieces:
            raise self._die()
        self._pieces += 1
        return self._stream.write(data)
