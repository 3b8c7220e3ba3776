import json
import logging
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import lakefmt
from lakefmt.errors import CorruptTableError
from lakefmt.log import AddFile, Metadata, Protocol
from lakefmt.log import DeletionVectorDescriptor as Vector
from lakefmt.log.checksum import decode_checksum
from lakefmt.manifest import FileList
from lakefmt.snapshot.verify import find_discrepancies


@pytest.fixture
def table(tmp_path):
    table = lakefmt.write(tmp_path / "t", {"x": [1, 2]})
    table.append({"x": [3]})
    return table


def log_of(table):
    return Path(url2pathname(urlsplit(table.uri).path)) / "_delta_log"


def write_checksum(table, **changes):
    snapshot = table.snapshot
    actions = {}
    for version in range(snapshot.version + 1):
        for line in (log_of(table) / f"{version:020d}.json").read_text().splitlines():
            actions |= json.loads(line)
    content = {
        "tableSizeBytes": snapshot.files.size_bytes,
        "numFiles": snapshot.files.num_files,
        "numMetadata": 1,
        "numProtocol": 1,
        "numDeletedRecordsOpt": 0,
        "numDeletionVectorsOpt": 0,
        "metadata": actions["metaData"],
        "protocol": actions["protocol"],
    }
    (log_of(table) / f"{snapshot.version:020d}.crc").write_text(json.dumps(content | changes))


def test_a_version_that_adds_up_says_nothing(table, caplog):
    write_checksum(table)
    again = lakefmt.open(table.uri)
    assert again.files().num_rows == 2
    assert (again.snapshot.discrepancies, caplog.text) == ((), "")
    again.overwrite({"x": [9]})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"numFiles": 7}, "data files: 2 by the log, 7 by the checksum file"),
        ({"tableSizeBytes": 1}, "bytes of data files"),
        ({"numDeletionVectorsOpt": 3}, "deletion vectors: 0 by the log, 3"),
        ({"numDeletedRecordsOpt": 5}, "rows deleted by vectors: 0 by the log, 5"),
        ({"protocol": {"minReaderVersion": 1, "minWriterVersion": 1}}, "protocol:"),
        ({"metadata": {"id": "other", "schemaString": "{}", "configuration": {}}}, "id of the table"),
    ],
)
def test_a_version_that_does_not_add_up_is_read_with_a_warning_and_not_written_on(
    table, caplog, changes, said
):
    write_checksum(table, **changes)
    again = lakefmt.open(table.uri)
    with caplog.at_level(logging.WARNING, "lakefmt.log"):
        assert sorted(again.to_arrow()["x"].to_pylist()) == [1, 2, 3]
    assert said in caplog.text
    with pytest.raises(CorruptTableError, match=r"does not add up.*0002\.crc.*delete that file"):
        again.overwrite({"x": [9]})
    assert again.refresh().version == 2


@pytest.mark.parametrize("content", ["", "garbage", "[]", '"x"', '{"numFiles":"many"}', "null", "[" * 2000])
def test_a_malformed_checksum_file_is_passed_over(table, caplog, content):
    (log_of(table) / f"{table.version:020d}.crc").write_text(content)
    again = lakefmt.open(table.uri)
    with caplog.at_level(logging.WARNING, "lakefmt.log"):
        again.overwrite({"x": [9]})
    assert caplog.text == ""


def test_opening_and_appending_read_no_checksum(table):
    write_checksum(table, numFiles=7)
    again = lakefmt.open(table.uri)
    again.append({"x": [4]})
    assert again.snapshot.discrepancies == ()


def test_schemas_are_compared_by_meaning_and_figures_left_out_are_not():
    there = Metadata("m", '{"type":"struct","fields":[]}', created_time_ms=5)
    said = {"metadata": {"id": "m", "schemaString": '{ "fields": [], "type": "struct" }'}}
    files = FileList.from_adds([AddFile("a", {}, 1, 2, deletion_vector=Vector("u", "x", 1, 4, 1))], [])
    checksum = decode_checksum(json.dumps(said).encode())
    assert find_discrepancies(checksum, files, Protocol(1, 2), there) == []
    counts = decode_checksum(b'{"numDeletedRecordsOpt":4,"numDeletionVectorsOpt":1}')
    assert find_discrepancies(counts, files, Protocol(1, 2), there) == []
