import datetime as dt
import decimal

import orjson
import pyarrow as pa
import pytest

from lakefmt.cli.output import Column, print_rows, print_table, write_json
from lakefmt.cli.values import json_rows, text_rows


def _every_type():
    instant = dt.datetime(2013, 1, 1, 10, 0, tzinfo=dt.UTC)
    return pa.table(
        {
            "id": pa.array([1, None]),
            "at": pa.array([instant, None], pa.timestamp("us", "UTC")),
            "local": pa.array([dt.datetime(2013, 1, 1, 10, 0, 0, 250_000), None], pa.timestamp("us")),
            "day": pa.array([dt.date(2013, 1, 1), None]),
            "price": pa.array([decimal.Decimal("1.50"), None]),
            "raw": pa.array([b"\x00\xff", None]),
            "nan": pa.array([float("nan"), None]),
            "part": pa.array([{"day": dt.date(2013, 1, 2)}, None]),
        }
    )


def test_rows_of_every_type_become_json(capsys):
    write_json({"rows": json_rows(_every_type())})
    first, second = orjson.loads(capsys.readouterr().out)["rows"]
    assert first == {
        "id": 1,
        "at": "2013-01-01T10:00:00Z",
        "local": "2013-01-01T10:00:00.250000",
        "day": "2013-01-01",
        "price": "1.50",
        "raw": "AP8=",
        "nan": None,
        "part": {"day": "2013-01-02"},
    }
    assert set(second.values()) == {None}


def test_rows_of_every_type_become_cells():
    first, second = text_rows(_every_type())
    assert first[:4] == ["1", "2013-01-01 10:00:00Z", "2013-01-01 10:00:00.250000", "2013-01-01"]
    assert second == ["NULL"] * 8


def test_times_past_the_years_of_datetime_are_shown():
    rows = pa.table({"at": pa.array([569_034_205_000_000_000], pa.timestamp("us"))})
    assert text_rows(rows) == [["20001-12-23 00:56:40"]]


def test_long_list_is_written_as_one_document(capsys):
    batches = iter([[{"path": "a"}, {"path": "b"}], [{"path": "c"}]])
    write_json({"table": "t"}, ("files", batches))
    assert orjson.loads(capsys.readouterr().out) == {
        "table": "t",
        "files": [{"path": "a"}, {"path": "b"}, {"path": "c"}],
    }


def test_empty_list_is_written_as_one_document(capsys):
    write_json({"table": "t"}, ("files", iter([])))
    assert orjson.loads(capsys.readouterr().out) == {"table": "t", "files": []}


def test_table_for_a_pipe_is_plain_and_whole(capsys):
    print_table(
        [Column("path", style="bold red"), Column("size", "right")], [("x" * 300, "1"), ("[b]y[/b]", "22")]
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["path", "size"], ["x" * 300, "1"], ["[b]y[/b]", "22"]]


@pytest.mark.parametrize(("width", "hidden"), [(10, 4), (24, 2), (200, 0)])
def test_rows_in_a_terminal_show_the_columns_that_fit(monkeypatch, capsys, width, hidden):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    rows = pa.table({name: [name * 6] for name in "abcde"})
    assert print_rows(rows) == hidden
    assert "eeeeee" in capsys.readouterr().out or hidden


def test_rows_for_a_pipe_show_every_column(capsys):
    rows = pa.table({f"column_{number}": [number] for number in range(100)})
    assert print_rows(rows) == 0
    assert capsys.readouterr().out.split()[-1] == "99"
