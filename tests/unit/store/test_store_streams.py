"""Range readers and part writers, without a server."""

from __future__ import annotations

import contextlib
import io
import threading

import pytest

from lakefmt.store.streams import TAIL_SIZE_BYTES, PartWriter, RangeReader, Upload


class Parts(Upload):
    def __init__(self, *, parallel=True, fail_at=None):
        self.parallel = parallel
        self.fail_at = fail_at
        self.sent = {}
        self.finished = None
        self.aborted = False
        self.lock = threading.Lock()

    def send(self, number, offset, data):
        if number == self.fail_at:
            raise OSError("part refused")
        with self.lock:
            self.sent[offset] = data

    def finish(self, number, offset, data):
        self.send(number, offset, data)
        self.finished = b"".join(data for _, data in sorted(self.sent.items()))

    def abort(self):
        self.aborted = True


def write(upload, chunks, part_size_bytes=10):
    put = []
    with PartWriter(put.append, lambda: upload, part_size_bytes) as file:
        for chunk in chunks:
            file.write(chunk)
    return put


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize(
    "chunks", [[b"x" * 95], [bytes([n]) for n in range(95)], [b"abc" * 7, b"", b"d" * 40]]
)
def test_long_content_goes_up_in_parts(parallel, chunks):
    upload = Parts(parallel=parallel)
    assert write(upload, chunks) == []
    assert upload.finished == b"".join(chunks)
    assert all(len(part) == 10 for part in list(dict(sorted(upload.sent.items())).values())[:-1])
    assert not upload.aborted


@pytest.mark.parametrize("size", [0, 1, 10])
def test_content_of_one_part_is_put_at_once(size):
    upload = Parts()
    assert write(upload, [b"x" * size]) == [b"x" * size]
    assert upload.sent == {}


@pytest.mark.parametrize("fail_at", [0, 3, 9])
def test_refused_part_aborts_the_upload(fail_at):
    upload = Parts(fail_at=fail_at)
    with pytest.raises(OSError, match="part refused"):
        write(upload, [b"x" * 95])
    assert upload.aborted
    assert upload.finished is None


def test_exception_of_the_caller_aborts_the_upload():
    upload, put = Parts(), []
    with contextlib.suppress(KeyError), PartWriter(put.append, lambda: upload, 10) as file:
        file.write(b"x" * 35)
        raise KeyError
    assert upload.aborted
    assert put == []


def test_parts_grow_so_that_ten_thousand_hold_any_object():
    upload = Parts(parallel=False)
    write(upload, [b"x"] * 5_001, part_size_bytes=1)
    sizes = [len(part) for _, part in sorted(upload.sent.items())]
    assert sizes[:1_000] == [1] * 1_000
    assert sizes[1_000:2_000] == [2] * 1_000
    assert sum(sizes) == 5_001


def test_reader_reads_anywhere_and_keeps_the_end():
    content = bytes(range(256)) * 4096
    asked = []

    def read_ranges(ranges):
        asked.extend(ranges)
        return [content[start:end] for start, end in ranges]

    reader = RangeReader(read_ranges, len(content))
    tail_start = len(content) - TAIL_SIZE_BYTES
    reader.seek(-8, io.SEEK_END)
    assert reader.read() == content[-8:]
    reader.seek(tail_start)
    assert reader.read(5) == content[tail_start : tail_start + 5]
    assert asked == [(tail_start, len(content))]
    reader.seek(10)
    assert reader.read(20) == content[10:30]
    assert reader.tell() == 30
    reader.seek(-20, io.SEEK_CUR)
    assert reader.read(1) == content[10:11]
    assert reader.seek(0, io.SEEK_END) == len(content)
    assert reader.read(10) == b""
    buffer = bytearray(7)
    reader.seek(3)
    assert reader.readinto(buffer) == 7
    assert buffer == content[3:10]
    file = reader.to_arrow()
    assert (file.size(), file.read_at(4, 100)) == (len(content), content[100:104])
