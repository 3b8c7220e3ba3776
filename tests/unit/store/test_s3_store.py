"""S3, against moto's server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakefmt
from lakefmt.errors import InvalidInputError, ObjectNotFoundError, StoreError, UnknownOutcomeError
from lakefmt.store import open_store
from lakefmt.store.remote import _keeps_condition
from lakefmt.store.s3 import S3Store
from lakefmt.testing.servers import Fault
from lakefmt.testing.store_contract import QUICK_RETRY, FaultyStoreContract

SECRET = "testing-secret"


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


class TestS3Store(FaultyStoreContract):
    secrets = (SECRET,)
    overlong_s = 1.5

    @pytest.fixture
    def store(self, s3_bucket, s3_options):
        options = {**s3_options, "config_kwargs": {"read_timeout": 0.5}}
        return S3Store(f"{s3_bucket}/a table", options, retry=QUICK_RETRY, part_size_bytes=5 * 1024 * 1024)

    @pytest.fixture
    def patient_store(self, s3_bucket, s3_options):
        return S3Store(f"{s3_bucket}/a table", s3_options, part_size_bytes=5 * 1024 * 1024)

    @pytest.fixture
    def gate(self, s3_server, s3_options):
        return s3_server.gate

    def open_again(self, store):
        return S3Store(store.uri, store._options)

    def open_elsewhere(self, store):
        return S3Store("s3://no-such-bucket-anywhere/table", store._options, retry=QUICK_RETRY)


def test_bucket_itself_is_a_place_for_a_table(s3_bucket, s3_options):
    store = open_store(s3_bucket + "/", s3_options)
    assert store.uri == s3_bucket
    store.put_if_absent("_delta_log/0", b"")
    assert [found.key for found in store.list("", recursive=True)] == ["_delta_log/0"]


def test_neighbour_with_the_same_beginning_is_not_listed(s3_bucket, s3_options):
    open_store(f"{s3_bucket}/trips2", s3_options).put("a", b"")
    assert list(open_store(f"{s3_bucket}/trips", s3_options).list("", recursive=True)) == []


def test_folder_markers_are_not_listed(s3_bucket, s3_options, s3_server):
    import http.client

    store = open_store(f"{s3_bucket}/t", s3_options)
    store.put("folder/a", b"")
    connection = http.client.HTTPConnection(s3_server.url.removeprefix("http://"))
    connection.request("PUT", f"/{s3_bucket.removeprefix('s3://')}/t/folder/")
    assert connection.getresponse().status == 200
    connection.close()
    assert [found.key for found in store.list("folder")] == ["folder/a"]


def test_thousands_of_keys_are_deleted_by_few_requests(s3_bucket, s3_options, s3_server):
    store = open_store(f"{s3_bucket}/t", s3_options)
    store.put("a", b"")
    s3_server.gate.forget()
    store.delete(f"none/{number}" for number in range(2_500))
    assert [request.method for request in s3_server.gate.requests()] == ["POST"] * 3


def test_small_parquet_file_is_read_by_one_request(s3_bucket, s3_options, s3_server):
    store = open_store(f"{s3_bucket}/t", s3_options)
    with store.open_output("a.parquet") as file:
        pq.write_table(pa.table({"id": range(10_000)}), file)
    assert len(s3_server.gate.requests("", "a.parquet")) == 1
    size_bytes = store.info("a.parquet").size_bytes
    s3_server.gate.forget()
    assert pq.read_table(store.open_input("a.parquet", size_bytes)).num_rows == 10_000
    assert len(s3_server.gate.requests()) == 1


def test_object_that_is_gone_fails_at_the_first_read_when_its_size_was_given(s3_bucket, s3_options):
    file = open_store(f"{s3_bucket}/t", s3_options).open_input("absent", 100)
    with pytest.raises(ObjectNotFoundError, match="absent"):
        file.read()


def test_upload_that_a_crash_left_behind_is_deleted(s3_bucket, s3_options):
    store = S3Store(f"{s3_bucket}/t", s3_options)
    other = S3Store(f"{s3_bucket}/other", s3_options)
    for place in (store, other):
        place._start_upload("data/a.parquet").send(0, 0, b"x" * 5 * 1024 * 1024)
    # moto says of every upload that it began in 2010.
    assert store.delete_leftovers(1_000_000_000_000) == 0
    now_ms = int(time.time() * 1000)
    assert store.delete_leftovers(now_ms) == 1
    assert store.delete_leftovers(now_ms) == 0
    assert other.delete_leftovers(now_ms) == 1


def test_upload_completed_but_answered_with_an_error_is_there(s3_bucket, s3_options, s3_server):
    store = S3Store(f"{s3_bucket}/t", s3_options, retry=QUICK_RETRY, part_size_bytes=5 * 1024 * 1024)
    content = b"x" * (6 * 1024 * 1024)
    with store.open_output("a") as file:
        file.write(content)
        s3_server.gate.fail(Fault("POST", "uploadId=", 503, applied=True))
    assert len(s3_server.gate.requests("POST", "uploadId=")) == 2
    assert store.read("a") == content


def test_missing_credentials_are_an_error_that_says_how_to_give_them(no_credentials, s3_bucket, s3_server):
    options = {"endpoint_url": s3_server.url, "client_kwargs": {"region_name": "us-east-1"}}
    store = open_store(f"{s3_bucket}/t", options)
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID"):
        store.read("a")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as caught:
        store.put_if_absent("a", b"")
    assert "unknown" not in str(caught.value)


def test_unpickled_store_says_which_secrets_it_came_without(no_credentials, s3_bucket, s3_options):
    copy = pickle.loads(pickle.dumps(open_store(f"{s3_bucket}/t", s3_options)))
    with pytest.raises(StoreError, match="without its key, secret"):
        copy.read("a")
    again = pickle.loads(pickle.dumps(copy))
    with pytest.raises(StoreError, match="without its key, secret"):
        again.read("a")


def test_unpickled_store_takes_credentials_from_the_environment(
    no_credentials, s3_bucket, s3_options, monkeypatch
):
    store = open_store(f"{s3_bucket}/t", s3_options)
    store.put("a", b"1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    assert pickle.loads(pickle.dumps(store)).read("a") == b"1"


def test_secrets_inside_client_arguments_are_not_pickled(s3_bucket):
    options = {
        "client_kwargs": {"region_name": "eu-north-1", "aws_secret_access_key": SECRET},
        "s3_additional_kwargs": {"SSECustomerKey": SECRET, "ServerSideEncryption": "AES256"},
    }
    pickled = pickle.dumps(open_store(f"{s3_bucket}/t", options))
    assert SECRET.encode() not in pickled
    assert b"eu-north-1" in pickled
    assert b"AES256" in pickled


def test_unknown_option_is_refused(s3_bucket):
    with pytest.raises(InvalidInputError, match="aws_access_key_id"):
        open_store(f"{s3_bucket}/t", {"aws_access_key_id": "x"}).read("a")


def test_user_information_in_a_uri_is_refused_and_not_repeated():
    with pytest.raises(InvalidInputError, match="storage_options") as caught:
        open_store(f"s3://key:{SECRET}@bucket/t")
    assert SECRET not in str(caught.value)


def test_directory_bucket_is_refused(s3_options):
    with pytest.raises(StoreError, match="directory bucket"):
        open_store("s3://bucket--use1-az4--x-s3/t", s3_options)


def test_missing_package_is_an_error_that_names_the_extra(tmp_path):
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from lakefmt.store import open_store\n"
        "try: open_store('s3://bucket/t').read('a')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("StoreError")
    assert "pip install 'lakefmt[s3]'" in shown


def test_stores_of_equal_options_share_a_connection(s3_bucket, s3_options):
    one, other = open_store(f"{s3_bucket}/a", s3_options), open_store(f"{s3_bucket}/b", dict(s3_options))
    third = open_store(f"{s3_bucket}/b", {**s3_options, "key": "another"})
    for store in (one, other, third):
        store.put("x", b"")
    assert one._connection.file_system() is other._connection.file_system()
    assert one._connection.file_system() is not third._connection.file_system()


def test_commit_on_a_server_that_ignores_conditions_is_told_as_one_that_was_written(
    s3_server, s3_bucket, s3_options
):
    """Tried again, its rows would be there twice."""
    uri = f"{s3_bucket}/t"
    table = lakefmt.create(uri, {"id": "long"}, storage_options=s3_options)
    table.close()  # its checksum file, written in the background, would be the first to find out
    _keeps_condition.clear()  # as in a new process, which has won nothing yet
    s3_server.gate.ignore_conditions = True
    try:
        with pytest.raises(UnknownOutcomeError, match="ignores the condition") as caught:
            table.append({"id": [1]})
    finally:
        s3_server.gate.ignore_conditions = False
    assert (caught.value.version, caught.value.was_applied) == (1, True)
    assert lakefmt.open(uri, version=1, storage_options=s3_options).to_arrow()["id"].to_pylist() == [1]
    with pytest.raises(lakefmt.StoreError, match="ignores the condition"):
        table.append({"id": [2]})
    assert lakefmt.open(uri, storage_options=s3_options).version == 1
