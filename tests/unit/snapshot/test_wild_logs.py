"""Logs as some writers leave them, through the public face."""

import json

import pytest

import lakefmt
from lakefmt.errors import CorruptTableError


@pytest.fixture
def table(tmp_path):
    table = lakefmt.write(tmp_path / "t", {"x": [1, 2]})
    table.append({"x": [3]})
    return tmp_path / "t"


def commit_of(table, version):
    return table / "_delta_log" / f"{version:020d}.json"


def rewrite(table, version, layout):
    path = commit_of(table, version)
    path.write_bytes(layout([json.loads(line) for line in path.read_text().splitlines()]))


def rows(table):
    return sorted(lakefmt.open(table).to_arrow()["x"].to_pylist())


@pytest.mark.parametrize(
    "layout",
    [
        lambda actions: "\n".join(json.dumps(a, indent=4) for a in actions).encode(),
        lambda actions: "\r\n".join(json.dumps(a) for a in actions).encode() + b"\r\n\r\n",
        lambda actions: b"\xef\xbb\xbf" + "\n".join(json.dumps(a) for a in actions).encode(),
        lambda actions: "".join(json.dumps(a) for a in actions).encode() + b"\0" * 512,
        lambda actions: "\n".join(json.dumps(a) for a in actions + actions[-1:] * 3).encode(),
        lambda actions: "\n".join(
            json.dumps({**a, "remove": None, "new": {"a": 1}}) for a in actions
        ).encode(),
        lambda actions: json.dumps({k: v for a in actions for k, v in a.items()}).encode(),
    ],
    ids=["pretty", "crlf", "byte order mark", "padded", "duplicated", "nulls and unknowns", "one object"],
)
def test_rows_are_the_same_however_the_commits_are_laid_out(table, layout):
    for version in range(lakefmt.open(table).version + 1):
        rewrite(table, version, layout)
    assert rows(table) == [1, 2, 3]


def test_a_file_added_again_by_a_later_commit_is_there_once(table):
    last = lakefmt.open(table).version
    adds = [line for line in commit_of(table, last).read_text().splitlines() if '"add"' in line]
    commit_of(table, last + 1).write_text("\n".join(adds))
    assert rows(table) == [1, 2, 3]


def test_a_commit_that_is_cut_off_is_refused(table):
    path = commit_of(table, 2)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CorruptTableError, match=r"cut off.*0002\.json"):
        lakefmt.open(table)
