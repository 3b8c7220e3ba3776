"""Commits arbitrated by DynamoDB as Delta's S3DynamoDBLogStore does it, against moto's servers."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, StoreError
from lakefmt.log.paths import commit_key
from lakefmt.store import open_store
from lakefmt.store.retry import RetryPolicy
from lakefmt.store.s3_dynamodb import S3DynamoDbStore
from lakefmt.testing.servers import DynamoDbServer, Fault

ROWS = pa.table({"id": [1]})


@pytest.fixture(scope="module")
def dynamodb():
    with DynamoDbServer() as server:
        yield server


@pytest.fixture
def entries(dynamodb):
    """A DynamoDB table for one test."""
    dynamodb.gate.forget()
    yield dynamodb.create_table()
    dynamodb.gate.forget()


@pytest.fixture
def uri(s3_bucket):
    return f"{s3_bucket}/trips"


@pytest.fixture
def options(s3_options, dynamodb, entries, uri):
    return s3_options | {
        "lakefmt.log_store": "dynamodb",
        "lakefmt.dynamodb_table": entries,
        "lakefmt.dynamodb_table_path": uri.replace("s3://", "s3a://"),
        "lakefmt.dynamodb_endpoint_url": dynamodb.url,
    }


@pytest.fixture
def table(uri, options):
    return lakefmt.create(uri, ROWS.schema, storage_options=options)


def items(dynamodb, entries):
    found = dynamodb.client().scan(TableName=entries)["Items"]
    return sorted(found, key=lambda item: item["fileName"]["S"])


def begin(dynamodb, entries, table, version):
    """Another writer takes a version and dies: its bytes are under a temporary name, and the entry names them."""
    store, name = table._store, f"{version:020d}.json"
    data = store.read(commit_key(version - 1))
    store.put(f"_delta_log/.tmp/{name}.theirs", data)
    item = {
        "tablePath": {"S": store._table_path},
        "fileName": {"S": name},
        "tempPath": {"S": f".tmp/{name}.theirs"},
        "complete": {"S": "false"},
    }
    dynamodb.client().put_item(TableName=entries, Item=item)
    return data


def test_entries_are_those_that_spark_reads(table, dynamodb, entries, uri):
    table.append(ROWS)
    found = items(dynamodb, entries)
    assert [item["fileName"]["S"] for item in found] == [f"{version:020d}.json" for version in (0, 1)]
    for item in found:
        assert item["tablePath"] == {"S": uri.replace("s3://", "s3a://")}
        assert item["complete"] == {"S": "true"}
        assert item["tempPath"]["S"].startswith(f".tmp/{item['fileName']['S']}.")
        assert int(item["expireTime"]["N"]) == pytest.approx(time.time() + 86_400, abs=60)
        assert table._store.read(f"_delta_log/{item['tempPath']['S']}")


def test_of_many_writers_one_wins_even_where_s3_ignores_conditions(
    uri, options, s3_server, dynamodb, entries
):
    stores = [open_store(uri, options) for _ in range(8)]
    barrier = threading.Barrier(8)

    def put(number):
        barrier.wait()
        return stores[number].put_if_absent(commit_key(0), f"commit of {number}".encode())

    s3_server.gate.ignore_conditions = True
    try:
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))
    finally:
        s3_server.gate.ignore_conditions = False
    assert sum(won) == 1
    assert stores[0].read(commit_key(0)) == f"commit of {won.index(True)}".encode()
    assert [item["complete"]["S"] for item in items(dynamodb, entries)] == ["true"]


def test_readers_complete_what_a_dead_writer_began(table, dynamodb, entries, uri, options):
    table.append(ROWS)
    data = begin(dynamodb, entries, table, 2)
    newest = lakefmt.open(uri, storage_options=options)
    assert newest.version == 2
    assert newest._store.read(commit_key(2)) == data
    assert items(dynamodb, entries)[-1]["complete"] == {"S": "true"}


def test_writers_complete_what_is_in_their_way_and_take_the_next_version(
    table, dynamodb, entries, uri, options
):
    table.append(ROWS)
    data = begin(dynamodb, entries, table, 2)
    assert table.append(ROWS).version == 3
    assert table._store.read(commit_key(2)) == data
    assert {item["complete"]["S"] for item in items(dynamodb, entries)} == {"true"}
    assert lakefmt.open(uri, storage_options=options).version == 3


def test_a_version_whose_predecessor_is_incomplete_completes_it_first(table, dynamodb, entries):
    table.append(ROWS)
    begin(dynamodb, entries, table, 2)
    assert table._store.put_if_absent(commit_key(3), b"{}")
    assert table._store.info(commit_key(2)).size_bytes


def test_a_version_without_a_predecessor_is_refused(table):
    with pytest.raises(StoreError, match="the one before is not in the log"):
        table._store.put_if_absent(commit_key(7), b"{}")


@pytest.mark.parametrize("status", [500, 503])
def test_a_lost_answer_of_dynamodb_commits_once(table, dynamodb, entries, options, status):
    asks_for_the_version_before = Fault("POST", "", 0)
    dynamodb.gate.fail(asks_for_the_version_before, Fault("POST", "", status, code="Unknown", applied=True))
    table.append(ROWS)
    newest = lakefmt.open(table.uri, storage_options=options)
    assert (newest.version, newest.count()) == (1, 1)
    assert len(items(dynamodb, entries)) == 2


def test_throttling_is_waited_for(table, dynamodb):
    dynamodb.gate.fail(Fault("POST", "", 503, code="ThrottlingException", times=3))
    assert table.append(ROWS).version == 1


def test_a_commit_whose_file_could_not_be_put_is_completed_by_the_next_reader(
    table, s3_server, options, dynamodb, entries
):
    uri = table.uri
    s3_server.gate.fail(Fault("PUT", f"_delta_log/{1:020d}.json", 403, code="AccessDenied", times=1))
    assert table.append(ROWS).version == 1
    assert items(dynamodb, entries)[-1]["complete"] == {"S": "false"}
    newest = lakefmt.open(uri, storage_options=options)
    assert (newest.version, newest.count()) == (1, 1)
    assert table.append(ROWS).version == 2


def test_entries_of_a_table_that_was_here_before_are_not_committed_over(table, uri, options, s3_options):
    plain = open_store(uri, s3_options)
    plain.delete([info.key for info in plain.list("", recursive=True)])
    with pytest.raises(StoreError, match="still has entries"):
        lakefmt.create(uri, ROWS.schema, storage_options=options)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"lakefmt.dynamodb_table_path": None}, "must spell this table"),
        ({"lakefmt.dynamodb_table_path": "s3a://elsewhere/trips"}, "must spell this table"),
        ({"lakefmt.log_store": "zookeeper"}, "can be 'dynamodb'"),
        ({"lakefmt.dynamodb_tabel": "x"}, "dynamodb_tabel"),
    ],
)
def test_options_that_make_no_sense_are_refused(uri, options, changes, match):
    given = {name: value for name, value in (options | changes).items() if value is not None}
    with pytest.raises(InvalidInputError, match=match):
        open_store(uri, given)


def test_a_missing_dynamodb_table_is_named(uri, options):
    with pytest.raises(StoreError, match=r"no-such-table.*hash key tablePath"):
        lakefmt.create(
            uri, ROWS.schema, storage_options=options | {"lakefmt.dynamodb_table": "no-such-table"}
        )


def test_a_pickled_store_keeps_its_entries_and_no_secrets(table, options, monkeypatch):
    pickled = pickle.dumps(table._store)
    assert b"testing-secret" not in pickled
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    copy = pickle.loads(pickled)
    assert isinstance(copy, S3DynamoDbStore)
    assert copy.put_if_absent(commit_key(1), b"{}")
    assert copy._entries.load(f"{1:020d}.json").complete


def test_what_is_no_commit_is_none_of_dynamodbs_business(table, dynamodb):
    dynamodb.gate.forget()
    assert table._store.put_if_absent("_delta_log/x", b"1")
    assert not table._store.put_if_absent("_delta_log/x", b"2")
    assert dynamodb.gate.requests() == []


def test_an_outcome_that_stays_unknown_is_found_later(uri, options, dynamodb, entries):
    store = S3DynamoDbStore(uri, options, retry=RetryPolicy(attempts=1))
    dynamodb.gate.fail(
        Fault("POST", "", 0),  # the old entry of version 0
        Fault("POST", "", 500, code="Unknown", applied=True),
        Fault("POST", "", 500, code="Unknown"),  # reading it back
    )
    with pytest.raises(lakefmt.UnknownOutcomeError):
        store.put_if_absent(commit_key(0), b"{}")
    assert store.put_if_absent(commit_key(0), b"{}")
    assert [item["complete"]["S"] for item in items(dynamodb, entries)] == ["true"]
