import json
import logging
import tracemalloc

import pytest

from lakefmt.errors import CorruptTableError
from lakefmt.log import (
    AddCDCFile,
    AddFile,
    Commit,
    CommitInfo,
    DeletionVectorDescriptor,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    TransactionId,
    decode_commit,
    encode_commit,
)

PLACE = {"table": "file:///t", "version": 3, "path": "_delta_log/00000000000000000003.json"}


def full_commit():
    vector = DeletionVectorDescriptor("u", "ab^-aqEH.-t@S}K{vb[*k^", 40, 6, 4)
    return Commit(
        info=CommitInfo(
            timestamp_ms=1_700_000_000_000,
            operation="WRITE",
            operation_parameters={"mode": "Append"},
            operation_metrics={"numFiles": "1"},
            engine_info="x",
            txn_id="t-1",
            is_blind_append=True,
            more={"userName": "me"},
        ),
        protocol=Protocol(3, 7, frozenset({"deletionVectors"}), frozenset({"deletionVectors", "appendOnly"})),
        metadata=Metadata("id", "{}", ("a", "b"), {"k": "v"}, name="n", created_time_ms=5),
        adds=(
            AddFile("p%20q", {"a": "1", "b": None}, 10, 20, stats='{"numRecords":1}', tags={"x": "y"}),
            AddFile("r", {"a": "1", "b": None}, 10, 20, data_change=False, deletion_vector=vector),
            AddFile("s", {}, 1, 2, base_row_id=7, default_row_commit_version=3, clustering_provider="liquid"),
        ),
        removes=(RemoveFile("old", 9, partition_values={"a": "1", "b": None}, size_bytes=3),),
        transactions=(TransactionId("job", 42, 7),),
        domains=(DomainMetadata("d", "{}"),),
        cdcs=(AddCDCFile("_change_data/c%20d", {"a": "1", "b": None}, 9, tags={"t": "u"}),),
    )


def test_a_commit_survives_its_bytes():
    commit = full_commit()
    assert decode_commit(encode_commit(commit), **PLACE) == commit


def test_commit_info_is_the_first_line():
    assert encode_commit(full_commit()).startswith(b'{"commitInfo"')


def test_unique_id_of_a_vector_names_its_offset():
    assert DeletionVectorDescriptor("u", "abc", 1, 1, 4).unique_id == "uabc@4"
    assert DeletionVectorDescriptor("i", "abc", 1, 1).unique_id == "iabc"


def test_unknown_actions_and_fields_are_ignored():
    data = b'{"newThing":{"x":1}}\n{"add":{"path":"a","partitionValues":{},"size":1,"modificationTime":2,"dataChange":true,"later":[1]}}\n'
    commit = decode_commit(data, **PLACE)
    assert [add.path for add in commit.adds] == ["a"]


def line(path):
    return json.dumps(
        {"add": {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 2, "dataChange": True}}
    )


def pretty(path):
    return json.dumps(json.loads(line(path)), indent=2)


@pytest.mark.parametrize(
    "text",
    [
        pretty("a") + "\n" + pretty("b"),
        line("a") + "\n" + pretty("b"),
        pretty("a") + line("b"),
        line("a") + line("b"),
        line("a") + " " + line("b") + "\n",
        "\n\n" + line("a") + "\r\n  \r\n" + line("b") + "\r\n",
        line("a") + "\r" + line("b"),
        "\ufeff" + line("a") + "\n" + line("b"),
        "\ufeff" + pretty("a") + "\n" + line("b"),
        json.dumps({"commitInfo": None, "add": json.loads(line("a"))["add"], "remove": None})
        + "\n"
        + line("b"),
        '{"commitInfo":{"x":NaN}}\n' + line("a") + "\n" + line("b"),
    ],
)
def test_actions_are_read_however_they_are_laid_out(text):
    assert [add.path for add in decode_commit(text.encode(), **PLACE).adds] == ["a", "b"]


@pytest.mark.parametrize(
    "rest", [b"garbage", b"\0\0\0\0", b"}", b'ize":1}}', b"\xff\xfe", b"\n---\n", b"[1, 2]", b"7"]
)
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_what_follows_the_last_action_and_is_part_of_none_is_passed_over_with_a_warning(rest, end, caplog):
    data = (line("a") + "\n" + line("b")).encode() + end + rest
    with caplog.at_level(logging.WARNING, "lakefmt.log"):
        assert [add.path for add in decode_commit(data, **PLACE).adds] == ["a", "b"]
    assert f"{len(rest.lstrip())} bytes after the last action" in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        line("a")[:-1],
        line("a") + "\n" + line("b")[:-1],
        line("a") + "\n{",
        line("a") + "\ngarbage\n" + line("b"),
        line("a") + "\n\0\0\0" + line("b"),
        pretty("a") + "\n" + pretty("b")[:40],
        line("a") + '\nrest":1}}\n' + line("b"),
    ],
)
def test_an_action_that_is_cut_off_or_follows_garbage_is_no_commit(data):
    with pytest.raises(CorruptTableError, match="not JSON, or cut off"):
        decode_commit(data.encode(), **PLACE)


def test_numbers_and_flags_that_mean_one_thing_are_read_as_it():
    data = (
        b'{"add":{"path":"a","partitionValues":{"p":7,"q":true,"r":null},"size":"12","modificationTime":3.0,'
        b'"dataChange":"false","stats":{"numRecords":4}}}'
    )
    add = decode_commit(data, **PLACE).adds[0]
    assert add == AddFile(
        "a", {"p": "7", "q": "true", "r": None}, 12, 3, data_change=False, stats='{"numRecords":4}'
    )


def test_the_same_protocol_twice_says_nothing_new():
    data = b'{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}\n' * 2
    assert decode_commit(data, **PLACE).protocol == Protocol(1, 2)


@pytest.mark.parametrize("info", ["text", [1], 7, True, {}, {"operationParameters": "x", "tags": {"a": [1]}}])
def test_provenance_may_be_any_json(info):
    assert decode_commit(json.dumps({"commitInfo": info}).encode(), **PLACE).info is not None


def test_one_file_under_two_vectors_in_one_commit_is_corrupt():
    vectors = [DeletionVectorDescriptor("u", name, 1, 1, 1) for name in ("x", "y")]
    adds = tuple(AddFile("a", {}, 1, 2, deletion_vector=vector) for vector in vectors)
    with pytest.raises(CorruptTableError, match="a is added with two deletion vectors"):
        decode_commit(encode_commit(Commit(adds=adds)), **PLACE)


def test_a_commit_of_many_actions_is_decoded_in_memory_that_follows_its_size():
    data = b"\n".join(line(f"part-{i:05}-{'x' * 300}").encode() for i in range(20_000))
    tracemalloc.start()
    try:
        commit = decode_commit(data, **PLACE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(commit.adds) == 20_000
    assert peak < 3 * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"garbage",
        b'{"add":{"path":"a","partitionValues":{},"size":1,"modi',
        b"[1,2]",
        b"\xff\xfe\x00",
        b'{"add":{"partitionValues":{},"size":1}}',
        b'{"add":{"path":1,"partitionValues":{},"size":1}}',
        b'{"add":{"path":"a","partitionValues":{"x":1.5},"size":1}}',
        b'{"add":{"path":"a","partitionValues":{},"size":"one"}}',
        b'{"add":{"path":"a","partitionValues":{},"size":1.5}}',
        b'{"add":{"path":"a","partitionValues":{},"size":18446744073709551616}}',
        b'{"add":{"path":"a","partitionValues":{},"size":1,"dataChange":"maybe"}}',
        b'{"metaData":{"id":"x","partitionColumns":"day"}}',
        b'{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":"abc"}}',
        b'{"add":"a"}',
        b'{"protocol":{"minReaderVersion":true,"minWriterVersion":2}}',
        b'{"metaData":{"id":7}}',
        b'{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}\n{"protocol":{"minReaderVersion":1,"minWriterVersion":3}}',
    ],
)
def test_garbage_is_a_typed_error_that_names_the_file(data):
    with pytest.raises(CorruptTableError) as caught:
        decode_commit(data, **PLACE)
    assert caught.value.version == 3
    assert "00000000000000000003.json" in str(caught.value)


def test_free_form_commit_info_never_fails():
    data = b'{"commitInfo":{"timestamp":"yesterday","operation":7,"operationMetrics":[1]}}'
    info = decode_commit(data, **PLACE).info
    assert info.operation is None
    assert info.more == {"timestamp": "yesterday", "operation": 7, "operationMetrics": [1]}


@pytest.mark.parametrize(
    "action",
    [
        {"add": {"path": "a", "partitionValues": {}, "size": 2**63, "modificationTime": 1}},
        {"add": {"path": "a", "partitionValues": {}, "size": -1, "modificationTime": 1}},
        {"add": {"path": "a", "partitionValues": {}, "size": 1, "modificationTime": 2**63}},
        {"add": {"path": "\ud800", "partitionValues": {}, "size": 1, "modificationTime": 1}},
        {"remove": {"path": "a", "deletionTimestamp": 2**63}},
        {"remove": {"path": "a", "deletionTimestamp": "soon"}},
        {"remove": {"path": "a", "size": -1}},
        {"cdc": {"path": "a", "partitionValues": {}}},
        {"add": {"path": "a", "partitionValues": {}, "size": 1, "baseRowId": "seven"}},
        {"txn": {"appId": "a", "version": 2**63}},
        {"txn": {"appId": "a", "version": 1, "lastUpdated": "now"}},
    ],
)
def test_a_value_that_no_field_can_hold_names_the_commit(action):
    with pytest.raises(CorruptTableError, match=r"0003\.json"):
        decode_commit(json.dumps(action).encode(), **PLACE)


def test_json_nested_beyond_measure_names_the_commit():
    with pytest.raises(CorruptTableError, match=r"0003\.json"):
        decode_commit(b'{"x":' + b"[" * 100_000, **PLACE)


@pytest.mark.parametrize("field", ["timestamp", "inCommitTimestamp"])
@pytest.mark.parametrize("value", [1_700_000_000_000_000, -(10**17), True])
def test_provenance_of_no_calendar_date_is_kept_as_it_came(field, value):
    data = json.dumps({"commitInfo": {field: value}}).encode()
    commit = decode_commit(data, **PLACE)
    assert commit.info == CommitInfo(more={field: value})
    assert decode_commit(encode_commit(commit), **PLACE) == commit
