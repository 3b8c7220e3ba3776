import json

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


def test_pretty_printed_json_is_read():
    action = {
        "add": {"path": "a", "partitionValues": {}, "size": 1, "modificationTime": 2, "dataChange": True}
    }
    data = (json.dumps(action, indent=2) + "\n" + json.dumps(action, indent=2)).encode()
    assert len(decode_commit(data, **PLACE).adds) == 2


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
        b'{"add":{"path":"a","partitionValues":{"x":1},"size":1}}',
        b'{"add":{"path":"a","partitionValues":{},"size":"1"}}',
        b'{"add":"a"}',
        b'{"protocol":{"minReaderVersion":true,"minWriterVersion":2}}',
        b'{"metaData":{"id":7}}',
        b'{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}\n{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}',
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
        {"add": {"path": "a", "partitionValues": {}, "size": 1, "baseRowId": "7"}},
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
