import pyarrow as pa
import pytest

import lakefmt


class Recorder:
    def __init__(self):
        self.rows = {}
        self.finished = []
        self.names = []

    def start(self, what, total_rows):
        self.names.append(what)
        self.rows[len(self.names)] = 0
        return len(self.names)

    def advance(self, number, rows):
        self.rows[number] += rows

    def finish(self, number):
        self.finished.append(number)


def batches(count, fail_at=None):
    for number in range(count):
        if number == fail_at:
            raise RuntimeError("broken")
        yield pa.record_batch({"id": list(range(100))})


def test_rows_of_writes_and_reads_are_told(tmp_path):
    seen = Recorder()
    with lakefmt.show_progress(seen):
        table = lakefmt.write(tmp_path / "t", batches(7))
        table.to_arrow()
        assert sum(batch.num_rows for batch in table.to_batches()) == 700
    table.to_arrow()
    assert seen.names == ["write", "read", "read"]
    assert list(seen.rows.values()) == [700, 700, 700]
    assert seen.finished == [1, 2, 3]


def test_a_failed_write_ends_its_progress(tmp_path):
    seen = Recorder()
    with lakefmt.show_progress(seen), pytest.raises(RuntimeError):
        lakefmt.write(tmp_path / "t", batches(7, fail_at=3))
    assert seen.finished == [1]


def test_bars_are_drawn_and_nothing_without_asking(tmp_path, capsys):
    with lakefmt.show_progress():
        table = lakefmt.write(tmp_path / "t", batches(2))
    assert "write" in capsys.readouterr().out
    table.to_arrow()
    assert capsys.readouterr().out == ""
