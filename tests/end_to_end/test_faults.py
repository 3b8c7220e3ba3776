"""Storage that fails under a commit: what was acknowledged is there once, what failed is not there at all."""

import pyarrow as pa
import pytest

import lakefmt
from lakefmt.errors import StoreError
from lakefmt.testing.servers import Fault

ROWS = pa.table({"id": [1, 2]})


@pytest.fixture
def table(s3_bucket, s3_options):
    return lakefmt.create(f"{s3_bucket}/t", ROWS.schema, storage_options=s3_options)


def reopen(table, s3_options):
    return lakefmt.open(table.uri, storage_options=s3_options)


@pytest.mark.parametrize("status", [409, 412, 500, 503])
def test_append_after_lost_response_commits_once(table, s3_server, s3_options, status):
    s3_server.gate.fail(Fault("PUT", "_delta_log", status, applied=True))
    result = table.append(ROWS)
    newest = reopen(table, s3_options)
    assert (result.version, newest.version) == (1, 1)
    assert newest.count() == 2
    assert len({entry.info.txn_id for entry in newest.history()}) == 2


def test_append_that_was_not_applied_is_sent_again(table, s3_server, s3_options):
    s3_server.gate.fail(Fault("PUT", "_delta_log", 503, times=2))
    table.append(ROWS)
    assert reopen(table, s3_options).version == 1


def test_another_writers_commit_in_the_way_is_not_taken_for_ours(table, s3_server, s3_options):
    reopen(table, s3_options).append(ROWS)
    s3_server.gate.fail(Fault("PUT", "_delta_log", 503, applied=True))
    assert table.append(ROWS).version == 2
    assert reopen(table, s3_options).count() == 4


def test_commit_that_storage_denies_is_not_there(table, s3_server, s3_options):
    s3_server.gate.fail(Fault("PUT", "_delta_log", 403, code="AccessDenied", times=100))
    with pytest.raises(StoreError):
        table.append(ROWS)
    s3_server.gate.forget()
    assert table.version == reopen(table, s3_options).version == 0


def test_an_append_takes_few_requests(table, s3_server):
    table.append(ROWS)
    table.close()
    s3_server.gate.forget()
    table.append(ROWS)
    table.close()
    requests = [request.method for request in s3_server.gate.requests()]
    # What is read is the handle's own last commit: still there? What is written: data, commit, checksum.
    assert sorted(requests) == ["GET", "PUT", "PUT", "PUT"]
