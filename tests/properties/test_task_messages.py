"""Messages between a process and its workers: whatever is sent is what is received."""

from __future__ import annotations

import pickle
import socket
import threading
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lakefmt.engine.tasks.frames import receive_message, send_message
from lakefmt.engine.tasks.pickling import decode, encode

PARTS = st.lists(
    st.one_of(st.binary(max_size=200), st.integers(0, 300_000).map(lambda size: b"x" * size)), max_size=8
)
ROWS = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=5)), max_size=50)


def through_a_socket(messages: list[list[Any]]) -> list[list[Any]]:
    here, there = socket.socketpair()
    with here, there:
        sender = threading.Thread(target=lambda: [send_message(here, parts) for parts in messages])
        sender.start()
        received = [receive_message(there) for _ in messages]
        sender.join()
    return received


@given(st.lists(PARTS, max_size=4))
def test_parts_arrive_as_they_were_sent(messages: list[list[bytes]]) -> None:
    assert [[bytes(part) for part in parts] for parts in through_a_socket(messages)] == messages


@given(rows=ROWS, offset=st.integers(0, 60), length=st.integers(0, 60), dictionary=st.booleans())
def test_rows_arrive_as_they_were_sent(
    rows: list[tuple[int, str | None]], offset: int, length: int, *, dictionary: bool
) -> None:
    text = pa.array([text for _, text in rows], pa.string())
    columns = {
        "n": pa.array([number for number, _ in rows], pa.int64()),
        "s": text.dictionary_encode() if dictionary else text,
        "l": pa.array([[number] * (number % 3) for number, _ in rows], pa.list_(pa.int64())),
    }
    table = pa.table(columns).slice(offset, length)
    value = {"table": table, "batches": table.to_batches(), "also": [1, "two", None]}
    (received,) = through_a_socket([encode(value)])
    found = decode(received)
    assert found == pickle.loads(pickle.dumps(value))
    found["table"].validate(full=True)
