"""What a handle shows of its table."""

import shutil

import lakefmt


def test_rows_that_are_shown_are_those_of_the_table_that_took_the_place_of_another(tmp_path):
    table = lakefmt.write(tmp_path / "t", {"id": [111]})
    assert "111" in repr(table)
    shutil.rmtree(tmp_path / "t")
    other = lakefmt.write(tmp_path / "t", {"name": ["anna"]})
    assert other.version == table.refresh().version
    assert "anna" in repr(table)
