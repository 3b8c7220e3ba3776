"""The store contract as tests: every backend's test class inherits these.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): return MyStore("my://place")

        def open_again(self, store): return MyStore(store.uri)

``FaultyStoreContract`` adds what stores behind HTTP must survive; it needs a server of ``lakefmt.testing.servers``.
"""

# ruff: noqa: S101, S301, D102 - tests: asserts are their point, they unpickle what they pickled, names say all
from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import pickle
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError
from lakefmt.store.retry import RetryPolicy
from lakefmt.testing.servers import Fault, Gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakefmt.store.contract import Store

__all__ = ["AWKWARD_NAMES", "QUICK_RETRY", "FaultyStoreContract", "StoreContract"]

QUICK_RETRY = RetryPolicy(first_delay_s=0.001, longest_delay_s=0.01)

AWKWARD_NAMES = (
    "plain.json",
    "with space",
    "100%",
    "a%20b",
    "a%2Fb",
    "[1]",
    "a]b[c",
    "a#b",
    "a+b",
    "day=2026-11-22",
    "12:30:00",
    "what?",
    "?versionId=1",
    "a&b",
    "it's",
    'say "hi"',
    "a*b",
    "~tilde",
    "^caret`",
    "{x}",
    "a,b;c",
    "$HOME",
    "@at",
    "Zürich",
    "日本",
    "🚕",
    "back\\slash",
    "a|b",
    "_underscore",
    ".hidden",
    "...",
)


class StoreContract:
    """What every store does.

    Attributes:
        writers: threads that race for one key.
        rounds: how many keys they race for.
        shared_with_processes: whether another process sees the same objects.
        keys_past_a_page: how many keys one listing request does not give.
        secrets: texts that may be in no pickle, repr or log line.
        reads_far_past_the_end: False for an emulator that dies of it.
        awkward_names: the last parts of keys that must survive.
    """

    writers: ClassVar[int] = 64
    rounds: ClassVar[int] = 50
    shared_with_processes: ClassVar[bool] = True
    keys_past_a_page: ClassVar[int] = 1_030
    secrets: ClassVar[tuple[str, ...]] = ()
    reads_far_past_the_end: ClassVar[bool] = True
    awkward_names: ClassVar[tuple[str, ...]] = AWKWARD_NAMES

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def patient_store(self, store: Store) -> Store:
        """The store for a request that takes long: with the time limits that users have, where tests have shorter ones."""
        return store

    def open_again(self, store: Store) -> Store:
        """Return another store of the same place."""
        raise NotImplementedError

    # One object.

    def test_put_then_read_gives_the_bytes(self, store: Store) -> None:
        store.put("a/b/c.bin", b"\x00\xff text")
        assert store.read("a/b/c.bin") == b"\x00\xff text"
        assert self.open_again(store).read("a/b/c.bin") == b"\x00\xff text"

    def test_put_over_an_object_replaces_it(self, store: Store) -> None:
        store.put("key", b"a longer first content")
        store.put("key", b"second")
        assert store.read("key") == b"second"
        assert store.info("key").size_bytes == len(b"second")

    def test_empty_object_is_an_object(self, store: Store) -> None:
        store.put("empty", b"")
        assert store.put_if_absent("also", b"")
        assert store.read("empty") == b""
        assert store.read_ranges("empty", [(0, 10)]) == [b""]
        assert [(found.key, found.size_bytes) for found in store.list("")] == [("also", 0), ("empty", 0)]
        with store.open_input("empty") as file:
            assert file.read() == b""

    def test_absent_object_is_a_typed_error_that_names_it(self, store: Store) -> None:
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.read("a/absent"),
            lambda: store.read_ranges("a/absent", [(0, 1)]),
            lambda: store.info("a/absent"),
            lambda: store.open_input("a/absent"),
        )
        for call in calls:
            with pytest.raises(ObjectNotFoundError, match="a/absent") as caught:
                call()
            assert caught.value.table == store.uri

    def test_folder_is_no_object(self, store: Store) -> None:
        store.put("folder/key", b"1")
        for call in (store.read, store.info, store.open_input):
            with pytest.raises(ObjectNotFoundError):
                call("folder")

    def test_info_tells_size_and_time(self, store: Store) -> None:
        before_ms = int(time.time() * 1000)
        store.put("key", b"12345")
        found = store.info("key")
        assert (found.key, found.size_bytes) == ("key", 5)
        # Several services tell whole seconds.
        assert before_ms - 2_000 <= found.modified_ms <= int(time.time() * 1000) + 1_000
        assert [found] == list(store.list(""))

    def test_ranges_are_cut_like_slices(self, store: Store) -> None:
        content = bytes(range(256)) * 40
        store.put("key", content)
        ranges = [(0, 1), (5, 5), (100, 300), (10_000, 20_000), (10_240, 10_241), (0, 10_240)]
        if self.reads_far_past_the_end:
            ranges.append((50_000, 50_001))
        assert store.read_ranges("key", ranges) == [content[start:end] for start, end in ranges]
        assert store.read_ranges("key", []) == []

    def test_long_object_comes_back_whole(self, patient_store: Store) -> None:
        content = os.urandom(1024) * 20_000
        patient_store.put("key", content)
        assert patient_store.read("key") == content
        assert patient_store.read_ranges("key", [(0, len(content))]) == [content]

    def test_key_outside_the_table_is_refused(self, store: Store) -> None:
        for key in ("", "/", "/a/../b", "//a", "../other", "a/../../other", "a//b", "./a", "a/", "a/.", ".."):
            calls: tuple[Callable[[str], Any], ...] = (
                store.read,
                store.info,
                store.open_input,
                lambda key: store.put(key, b""),
                lambda key: store.put_if_absent(key, b""),
                lambda key: store.delete([key]),
                lambda key: store.read_ranges(key, [(0, 1)]),
            )
            for call in calls:
                with pytest.raises(InvalidInputError):
                    call(key)
            with pytest.raises(InvalidInputError), store.open_output(key):
                pass

    def test_key_elsewhere_in_the_container_is_read_only(self, store: Store) -> None:
        store.put("a b/content", b"0123456789")
        uri = f"{store.uri}/a%20b/content"  # no root here has anything to encode
        assert store.key_of(uri) == "a b/content"
        other: Any = type(store)
        other = other.from_options(f"{store.uri}/other", getattr(store, "_options", {}))
        key = other.key_of(uri)
        assert key.startswith("/")
        assert key.endswith("/a b/content")
        assert other.read(key) == b"0123456789"
        assert other.read_ranges(key, [(2, 4)]) == [b"23"]
        assert other.info(key).size_bytes == 10
        with other.open_input(key) as file:
            assert file.read() == b"0123456789"
        writes: tuple[Callable[[], Any], ...] = (
            lambda: other.put(key, b""),
            lambda: other.put_if_absent(key, b""),
            lambda: other.delete([key]),
        )
        for write in writes:
            with pytest.raises(InvalidInputError):
                write()
        with pytest.raises(InvalidInputError), other.open_output(key):
            pass
        assert store.read("a b/content") == b"0123456789"

    # Names.

    def test_awkward_names_survive_everything(self, store: Store) -> None:
        for folder in ("plain", "f o%20l/dér=1+2"):
            keys = [f"{folder}/{name}" for name in self.awkward_names]
            for number, key in enumerate(keys):
                content = f"{number} {key}".encode()
                if number % 3 == 0:
                    store.put(key, content)
                elif number % 3 == 1:
                    assert store.put_if_absent(key, content)
                else:
                    with store.open_output(key) as file:
                        file.write(content)
                assert store.read(key) == content
                assert store.put_if_absent(key, b"other") is False
                assert store.info(key).size_bytes == len(content)
                assert store.read_ranges(key, [(0, 2)]) == [content[:2]]
                with store.open_input(key) as file:
                    assert file.read() == content
            assert [found.key for found in store.list(folder)] == sorted(keys)
            assert list(store.list("", recursive=True)) == list(store.list(folder, recursive=True))
            for key in keys[::2]:
                assert key not in [found.key for found in store.list(folder, after=key.rpartition("/")[2])]
                store.delete([key])
            assert [found.key for found in store.list(folder)] == sorted(keys[1::2])
            store.delete(keys)
            assert list(store.list(folder)) == []

    # Listing.

    def test_listing_is_ordered_and_leaves_out_folders(self, store: Store) -> None:
        for key in ("b", "a/2", "a/10", "a/1", "a.b", "a/sub/x", "z/y", "é", "日", "B"):
            store.put(key, b"")
        assert [found.key for found in store.list("")] == ["B", "a.b", "b", "é", "日"]
        assert [found.key for found in store.list("a")] == ["a/1", "a/10", "a/2"]
        assert [found.key for found in store.list("a/sub")] == ["a/sub/x"]
        assert [found.key for found in store.list("", recursive=True)] == [
            *("B", "a.b", "a/1", "a/10", "a/2", "a/sub/x", "b", "z/y", "é", "日")
        ]
        assert [found.key for found in store.list("a", recursive=True)] == ["a/1", "a/10", "a/2", "a/sub/x"]

    def test_listing_of_a_folder_that_is_not_there_is_empty(self, store: Store) -> None:
        store.put("folder2/key", b"")
        assert list(store.list("folder")) == []
        assert list(store.list("folder", recursive=True)) == []

    def test_listing_after_a_name_starts_behind_it(self, store: Store) -> None:
        for key in ("log/01", "log/02", "log/02.sub/1", "log/03", "log/a/b", "log/a/c", "other/01"):
            store.put(key, b"")
        assert [found.key for found in store.list("log", after="01")] == ["log/02", "log/03"]
        assert [found.key for found in store.list("log", after="00")] == ["log/01", "log/02", "log/03"]
        assert [found.key for found in store.list("log", after="03")] == []
        assert [found.key for found in store.list("log", after="02", recursive=True)] == [
            *("log/02.sub/1", "log/03", "log/a/b", "log/a/c")
        ]
        assert [found.key for found in store.list("log", after="a/b", recursive=True)] == ["log/a/c"]
        assert [found.key for found in store.list("", after="log/a/b", recursive=True)] == [
            "log/a/c",
            "other/01",
        ]

    def test_listing_is_complete_past_a_page(self, store: Store) -> None:
        keys = [f"log/{number:05}.json" for number in range(self.keys_past_a_page)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda key: store.put(key, b""), keys))
        store.put("log/sub/1", b"")
        assert [found.key for found in store.list("log")] == keys
        assert [found.key for found in store.list("log", after="00014.json")] == keys[15:]
        assert [found.key for found in store.list("", recursive=True)] == [*keys, "log/sub/1"]
        store.delete(found.key for found in store.list("log"))
        assert [found.key for found in store.list("log", recursive=True)] == ["log/sub/1"]

    def test_delete_of_an_absent_object_is_no_error(self, store: Store) -> None:
        store.put("b", b"")
        store.delete(["a", "b", "folder/c"])
        store.delete([])
        assert list(store.list("", recursive=True)) == []

    # Put if absent.

    def test_second_put_if_absent_loses_and_changes_nothing(self, store: Store) -> None:
        assert store.put_if_absent("log/1.json", b"first") is True
        assert store.put_if_absent("log/1.json", b"second") is False
        assert store.read("log/1.json") == b"first"
        assert [found.key for found in store.list("log")] == ["log/1.json"]

    def test_put_if_absent_after_a_delete_wins_again(self, store: Store) -> None:
        store.put_if_absent("key", b"1")
        store.delete(["key"])
        assert store.put_if_absent("key", b"2") is True

    def test_of_many_writers_of_a_key_one_wins_with_its_own_bytes(self, store: Store) -> None:
        wins: list[list[int]] = [[] for _ in range(self.rounds)]
        together = threading.Barrier(self.writers)

        def content(turn: int, writer: int) -> bytes:
            return f"{turn} {writer} ".encode() * 200

        def write(writer: int) -> None:
            try:
                for turn in range(self.rounds):
                    together.wait(60)
                    if store.put_if_absent(f"_delta_log/{turn:020}.json", content(turn, writer)):
                        wins[turn].append(writer)
            except BaseException:
                together.abort()  # the others would wait for this one
                raise

        with ThreadPoolExecutor(self.writers) as threads:
            for done in [threads.submit(write, writer) for writer in range(self.writers)]:
                done.result()
        assert [len(winners) for winners in wins] == [1] * self.rounds
        for turn, (winner,) in enumerate(wins):
            assert store.read(f"_delta_log/{turn:020}.json") == content(turn, winner)
        assert len(list(store.list("_delta_log"))) == self.rounds

    # Whole or not at all.

    def test_reader_never_sees_part_of_an_object(self, store: Store) -> None:
        contents = {bytes([mark]) * size for mark, size in ((1, 300_000), (2, 700_000), (3, 10))}
        store.put("key", next(iter(contents)))
        ended = threading.Event()

        def write() -> None:
            try:
                for _ in range(10):
                    for content in contents:
                        store.put("key", content)
            finally:
                ended.set()

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            while not ended.is_set():
                assert store.read("key") in contents
            writing.result()

    def test_new_object_is_seen_whole_or_not_at_all(self, store: Store) -> None:
        started, ended = threading.Event(), threading.Event()
        content = b"x" * 500_000

        def write() -> None:
            started.wait(10)
            try:
                for number in range(10):
                    store.put_if_absent(f"log/{number}", content)
            finally:
                ended.set()

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            started.set()
            while not ended.is_set():
                for found in store.list("log"):
                    assert found.size_bytes == len(content)
                    assert len(store.read(found.key)) == len(content)
            writing.result()
        assert len(list(store.list("log"))) == 10

    def test_output_is_there_when_the_block_ends_and_not_before(self, store: Store) -> None:
        with store.open_output("data/file.bin") as file:
            file.write(b"first ")
            assert list(store.list("", recursive=True)) == []
            with pytest.raises(ObjectNotFoundError):
                store.read("data/file.bin")
            assert file.tell() == len(b"first ")
            file.write(b"second")
        assert store.read("data/file.bin") == b"first second"
        assert [found.key for found in store.list("", recursive=True)] == ["data/file.bin"]

    def test_output_that_fails_is_never_there(self, store: Store) -> None:
        def write_and_fail() -> NoReturn:
            with store.open_output("data/file.bin") as file:
                file.write(b"x" * 1000)
                raise KeyError("the rows ran out")

        with pytest.raises(KeyError):
            write_and_fail()
        with pytest.raises(ObjectNotFoundError):
            store.read("data/file.bin")
        assert list(store.list("", recursive=True)) == []

    def test_output_closed_by_its_user_is_there_at_the_end_of_the_block(self, store: Store) -> None:
        with store.open_output("key") as file:
            file.write(b"content")
            file.close()
        assert store.read("key") == b"content"

    def test_parquet_file_goes_in_and_out(self, store: Store) -> None:
        table = pa.table(
            {"id": pa.array(range(200_000)), "name": [f"name {n % 977}" for n in range(200_000)]}
        )
        with store.open_output("part.parquet") as file:
            pq.write_table(table, file, row_group_size=50_000)
        size_bytes = store.info("part.parquet").size_bytes
        for size in (None, size_bytes):
            with store.open_input("part.parquet", size) as file:
                assert file.size() == size_bytes
                found = pq.ParquetFile(file)
                assert found.read() == table
                assert found.read_row_group(2, ["name"]).column(0) == table.column(1).slice(100_000, 50_000)

    # One store in many hands.

    def test_store_is_shared_by_threads(self, store: Store) -> None:
        def work(number: int) -> bytes:
            store.put(f"key{number}", str(number).encode())
            return store.read(f"key{number}")

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(work, range(64))) == [str(number).encode() for number in range(64)]
        assert len(list(store.list(""))) == 64

    def test_pickle_repr_and_log_hold_no_secret(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, logger="lakefmt"):
            store.put("key", b"")
            with contextlib.suppress(StoreError):
                store.read("absent")
        assert "key" in caplog.text, "there is a DEBUG line a request"
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("lakefmt")]
        shown = (*lines, repr(store), store.uri, store.display, pickle.dumps(store).decode("latin-1"))
        for secret in self.secrets:
            assert not any(secret in text for text in shown)
        copy = pickle.loads(pickle.dumps(store))
        assert (copy.uri, type(copy), copy.read_only_reason) == (
            store.uri,
            type(store),
            store.read_only_reason,
        )

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
    def test_store_works_after_a_fork(self, store: Store) -> None:
        store.put("from the parent", b"1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the fork leaves behind
            child = os.fork()
        if child == 0:
            status = 1
            faulthandler.dump_traceback_later(30, exit=True)  # a deadlock becomes a traceback and a failure
            try:
                assert store.read("from the parent") == b"1"
                assert store.put_if_absent("from the child", b"2")
                assert not store.put_if_absent("from the child", b"3")
                assert len(list(store.list(""))) == 2
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        if self.shared_with_processes:
            assert store.read("from the child") == b"2"
        assert store.put_if_absent("after the child", b"4")

    def test_leftovers_of_nothing_are_none(self, store: Store) -> None:
        store.put("key", b"")
        assert store.delete_leftovers(int(time.time() * 1000) + 10_000) == 0
        assert store.read("key") == b""


class FaultyStoreContract(StoreContract):
    """What stores behind HTTP do when requests fail.

    Attributes:
        write: the HTTP method of a conditional write.
        overlong_s: how long an answer takes that the store's client does not wait for; 0 if that cannot be set.
        unmasks_servers: whether servers are around that ignore the condition of a write.
    """

    write: ClassVar[str] = "PUT"
    overlong_s: ClassVar[float] = 0.0
    unmasks_servers: ClassVar[bool] = True

    @pytest.fixture
    def gate(self) -> Gate:
        raise NotImplementedError

    @pytest.mark.parametrize("status", [500, 503, 409, 412])
    def test_write_applied_but_answered_with_an_error_is_won_once(
        self, store: Store, gate: Gate, status: int
    ) -> None:
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-1", status, applied=True))
        assert store.put_if_absent("commit-1", b"ours") is True
        assert len(gate.requests(self.write, "commit-1")) == 1, "the client sent it again by itself"
        assert store.put_if_absent("commit-1", b"theirs") is False
        assert store.read("commit-1") == b"ours"

    @pytest.mark.parametrize("status", [500, 503, 409, 412])
    def test_write_not_applied_is_sent_again(self, store: Store, gate: Gate, status: int) -> None:
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-2", status, times=2))
        assert store.put_if_absent("commit-2", b"ours") is True
        assert len(gate.requests(self.write, "commit-2")) == 3
        assert store.read("commit-2") == b"ours"

    @pytest.mark.parametrize("applied", [False, True])
    def test_write_that_loses_behind_errors_is_lost(self, store: Store, gate: Gate, *, applied: bool) -> None:
        store.put_if_absent("commit-3", b"theirs")
        gate.fail(Fault(self.write, "commit-3", 503, applied=applied))
        assert store.put_if_absent("commit-3", b"ours") is False
        assert store.read("commit-3") == b"theirs"

    def test_write_whose_answer_comes_too_late_is_won(self, store: Store, gate: Gate) -> None:
        if not self.overlong_s:
            pytest.skip("this client's patience cannot be set")
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-4", status=0, delay_s=self.overlong_s))
        assert store.put_if_absent("commit-4", b"ours") is True
        assert store.read("commit-4") == b"ours"

    def test_write_that_arrives_after_its_second_sending_is_won_once(self, store: Store, gate: Gate) -> None:
        if not self.overlong_s:
            pytest.skip("this client's patience cannot be set")
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-late", status=0, delay_s=self.overlong_s, late=True))
        assert store.put_if_absent("commit-late", b"ours") is True
        store.put("commit-late", b"what the late one must not replace")
        deadline = time.monotonic() + 10 * self.overlong_s
        while len(gate.requests(self.write, "commit-late")) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        answers = {request.status for request in gate.requests(self.write, "commit-late")}
        assert answers & {409, 412}, "the late one arrived, and was refused"
        assert store.read("commit-late") == b"what the late one must not replace"

    def test_write_whose_outcome_stays_unknown_says_so(self, store: Store, gate: Gate) -> None:
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-5", 503, times=100))
        with pytest.raises(StoreError, match="unknown whether"):
            store.put_if_absent("commit-5", b"ours")

    def test_write_that_cannot_be_read_back_says_so(self, store: Store, gate: Gate) -> None:
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-6", 503, applied=True), Fault("GET", "commit-6", 403, times=100))
        with pytest.raises(StoreError, match="unknown whether"):
            store.put_if_absent("commit-6", b"ours")

    def test_denied_write_is_refused_without_a_retry(self, store: Store, gate: Gate) -> None:
        self._settle(store, gate)
        gate.fail(Fault(self.write, "commit-7", 403, "AccessDenied"))
        with pytest.raises(StoreError, match="denies access") as caught:
            store.put_if_absent("commit-7", b"ours")
        assert "unknown" not in str(caught.value)
        assert len(gate.requests("", "commit-7")) == 1

    def test_server_that_ignores_conditions_is_unmasked(self, store: Store, gate: Gate) -> None:
        if not self.unmasks_servers:
            pytest.skip("no such server of this kind is known")
        gate.ignore_conditions = True
        try:
            with pytest.raises(StoreError, match="ignores the condition"):
                store.put_if_absent("commit-8", b"ours")
        finally:
            gate.ignore_conditions = False
        with pytest.raises(StoreError, match="ignores the condition"):
            store.put_if_absent("commit-9", b"ours")

    def test_transient_errors_of_reads_lists_and_deletes_are_retried(self, store: Store, gate: Gate) -> None:
        store.put("folder/key", b"content")
        for status, code in ((500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")):
            gate.forget()
            gate.fail(Fault("GET|HEAD|DELETE|POST|PUT", "", status, code, times=2))
            assert store.read("folder/key") == b"content"
            gate.fail(Fault("GET", "", status, code, times=2))
            assert store.read_ranges("folder/key", [(0, 2), (3, 5)]) == [b"co", b"te"]
            gate.fail(Fault("GET|HEAD", "", status, code, times=2))
            assert store.info("folder/key").size_bytes == 7
            gate.fail(Fault("GET", "", status, code, times=2))
            assert [found.key for found in store.list("folder")] == ["folder/key"]
            gate.fail(Fault("DELETE|POST", "", status, code, times=2))
            store.delete(["folder/key"])
            gate.fail(Fault("PUT|POST", "", status, code, times=2))
            store.put("folder/key", b"content")

    def test_errors_without_end_become_one_that_names_the_object(self, store: Store, gate: Gate) -> None:
        gate.fail(Fault("GET", "", 503, times=1000))
        with pytest.raises(StoreError, match="does not answer") as caught:
            store.read("folder/key")
        assert (caught.value.table, caught.value.path) == (store.uri, "folder/key")
        assert len(gate.requests("GET")) == QUICK_RETRY.attempts

    def test_denied_read_is_refused_without_a_retry(self, store: Store, gate: Gate) -> None:
        gate.fail(Fault("GET", "", 403, "AccessDenied", times=100))
        with pytest.raises(StoreError, match="denies access"):
            store.read("key")
        assert len(gate.requests("GET")) == 1

    def test_each_call_is_one_request(self, store: Store, gate: Gate) -> None:
        self._settle(store, gate)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.put("key", b"content"),
            lambda: store.put_if_absent("key2", b"content"),
            lambda: store.read("key"),
            lambda: store.read_ranges("key", [(0, 3)]),
            lambda: store.info("key"),
            lambda: list(store.list("", after="k")),
            lambda: store.open_input("key", 7).read(),
            lambda: store.delete(["key"]),
        )
        counts = []
        for call in calls:
            gate.forget()
            call()
            counts.append(len(gate.requests()))
        assert counts == [1] * len(calls)

    def test_output_in_parts_survives_errors(self, store: Store, gate: Gate) -> None:
        content = os.urandom(1024) * 1024 * 17
        with store.open_output("data/long.bin") as file:
            gate.fail(Fault("PUT|POST", "", 503, times=2))
            for start in range(0, len(content), 1_000_003):
                file.write(content[start : start + 1_000_003])
            gate.fail(Fault("PUT|POST", "", 503, times=2))
        assert store.read("data/long.bin") == content
        assert len(gate.requests("PUT")) > 3, "it was meant to go up in parts"

    def test_output_in_parts_that_fails_is_never_there(self, store: Store) -> None:
        def write_and_fail() -> NoReturn:
            with store.open_output("data/long.bin") as file:
                file.write(b"x" * (1024 * 1024 * 17))
                raise KeyError("the rows ran out")

        with pytest.raises(KeyError):
            write_and_fail()
        assert list(store.list("", recursive=True)) == []
        assert store.delete_leftovers(int(time.time() * 1000) + 10_000) == 0

    def test_output_that_storage_refuses_is_an_error_at_the_end(self, store: Store, gate: Gate) -> None:
        def write() -> None:
            with store.open_output("data/file.bin") as file:
                file.write(b"x")
                gate.fail(Fault("PUT|POST", "", 403, "AccessDenied", times=100))

        with pytest.raises(StoreError, match="denies access"):
            write()
        gate.forget()
        assert list(store.list("", recursive=True)) == []

    def test_missing_bucket_is_an_error_that_says_so(self, store: Store) -> None:
        other = self.open_elsewhere(store)
        with pytest.raises(StoreError, match="no bucket or container"):
            list(other.list(""))
        with pytest.raises(StoreError, match="no bucket or container"):
            other.put_if_absent("key", b"")

    def open_elsewhere(self, store: Store) -> Store:
        """Return a store in a bucket that does not exist."""
        raise NotImplementedError

    @staticmethod
    def _settle(store: Store, gate: Gate) -> None:
        """Connect, and let the store find out whether the server keeps conditions, so that requests can be counted."""
        store.put_if_absent("settle", b"")
        gate.forget()
