"""What opening, refreshing and dating cost on an object store, in requests to a real server."""

import json

import pytest

import lakefmt
from lakefmt.store import open_store

SCHEMA = '{"type":"struct","fields":[{"name":"x","type":"long","nullable":true,"metadata":{}}]}'


@pytest.fixture
def table(s3_bucket, s3_options, s3_server):
    """Twenty commits with in-commit timestamps 0, 1000, 2000, ..., and none that any file time would tell."""
    store = open_store(f"{s3_bucket}/t", s3_options)
    for version in range(20):
        actions = [{"commitInfo": {"inCommitTimestamp": 1000 * version}}]
        if version == 0:
            actions += [
                {
                    "protocol": {
                        "minReaderVersion": 1,
                        "minWriterVersion": 7,
                        "writerFeatures": ["inCommitTimestamp"],
                    }
                },
                {
                    "metaData": {
                        "id": "m",
                        "schemaString": SCHEMA,
                        "partitionColumns": [],
                        "configuration": {"delta.enableInCommitTimestamps": "true"},
                    }
                },
            ]
        lines = "\n".join(map(json.dumps, actions))
        store.put(f"_delta_log/{version:020d}.json", lines.encode())
    table = lakefmt.open(f"{s3_bucket}/t", storage_options=s3_options)
    s3_server.gate.forget()
    return table


def test_refresh_with_nothing_new_is_one_listing(table, s3_server):
    table.refresh()
    assert [(r.method, "list-type" in r.query) for r in s3_server.gate.requests()] == [("GET", True)]


def test_refresh_reads_the_new_commits_only(table, s3_server):
    store = table.snapshot._store
    store.put(f"_delta_log/{20:020d}.json", b'{"commitInfo":{"inCommitTimestamp":20000}}')
    s3_server.gate.forget()
    assert table.refresh().version == 20
    assert table.snapshot.timestamp_ms == 20_000
    assert len(s3_server.gate.requests()) == 2


def test_a_search_by_time_reads_a_commit_for_every_bit_of_their_number(table, s3_server):
    from lakefmt.log import CommitTimes
    from lakefmt.log.listing import list_commits

    store = table.snapshot._store
    times = CommitTimes(store, list_commits(store), table.snapshot.in_commit_timestamps)
    s3_server.gate.forget()
    assert times.version_at(7_500) == 7
    assert len(s3_server.gate.requests()) <= 7
