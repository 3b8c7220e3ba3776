"""Deletion vectors of strangers: bytes and descriptors that are not what they say end in typed errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

import lakefmt
from lakefmt.manifest.deletion_vectors import DeletedRows, decode_deletion_vector, encode_deletion_vector
from lakefmt.testing.mutations import mutate_bytes, mutate_json

fuzz = settings.get_profile("fuzz")
draws = st.randoms(use_true_random=False)
positions = st.lists(st.integers(0, 2**20) | st.integers(0, 2**63 - 1), max_size=30)


@settings(fuzz, max_examples=10 * fuzz.max_examples)
@given(rows=positions, draw=draws)
def test_damaged_bytes_are_a_vector_or_a_value_error(rows, draw):
    data = mutate_bytes(encode_deletion_vector(DeletedRows(BitMap64(rows))), draw)
    try:
        found = decode_deletion_vector(data)
    except ValueError:
        return
    # What passes holds together: its numbers can be asked for.
    assert found.end > 0 or found.cardinality == 0


@settings(fuzz, max_examples=10 * fuzz.max_examples)
@given(data=st.binary(max_size=200))
@example(b"")
def test_any_bytes_behind_a_magic_number_are_a_vector_or_a_value_error(data):
    for magic in (1681511377, 1681511376):
        for order in ("little", "big"):
            try:
                decode_deletion_vector(magic.to_bytes(4, order) + data)
            except ValueError:
                continue


@fuzz
@given(draw=draws)
def test_damaged_vector_files_never_bring_rows_back(seed_tables, damaged, read_in_every_way, draw):
    table, file = draw.choice(
        [(t, f) for t in seed_tables for f in sorted(t.glob("**/deletion_vector*.bin"))]
    )
    folder = damaged(table, file, mutate_bytes(file.read_bytes(), draw))
    read_in_every_way(folder)
    expected, found = rows_or_error(table), rows_or_error(folder)
    assert isinstance(found, lakefmt.CorruptTableError) or found == expected


def test_every_flipped_byte_of_a_vector_file_is_noticed(seed_tables, damaged):
    table = seed_tables[0]
    (file,) = table.glob("deletion_vector*.bin")
    data = file.read_bytes()
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        folder = damaged(table, file, flipped)
        assert isinstance(rows_or_error(folder), lakefmt.CorruptTableError), f"byte {place}"


@fuzz
@given(draw=draws)
def test_damaged_descriptors_end_in_rows_or_typed_errors(seed_tables, damaged, read_in_every_way, draw):
    table, commit, number = draw.choice(list(lines_with_vectors(seed_tables)))
    lines = commit.read_text().splitlines()
    action = json.loads(lines[number])
    action["add"]["deletionVector"] = mutate_json(action["add"]["deletionVector"], draw)
    lines[number] = json.dumps(action)
    read_in_every_way(damaged(table, commit, "\n".join(lines).encode()))


def rows_or_error(table):
    try:
        return lakefmt.open(table).count(), lakefmt.open(table).to_arrow()
    except lakefmt.LakefmtError as error:
        return error


def lines_with_vectors(tables):
    for table in tables:
        for commit in sorted(table.glob("_delta_log/*.json")):
            for number, line in enumerate(commit.read_text().splitlines()):
                if '"deletionVector":{' in line and line.startswith('{"add"'):
                    yield table, commit, number


def test_there_is_a_vector_of_every_kind_to_damage(seed_tables):
    kinds = {
        json.loads(commit.read_text().splitlines()[number])["add"]["deletionVector"]["storageType"]
        for _, commit, number in lines_with_vectors(seed_tables)
    }
    assert kinds >= {"i", "u"}, pytest.fail(f"only {kinds}")
