"""Google Cloud Storage, against fake-gcs-server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakefmt.errors import StoreError
from lakefmt.store import open_store
from lakefmt.store.gcs import _SIGNS_OF_CREDENTIALS, GcsStore, _may_have_credentials
from lakefmt.testing.servers import Fault
from lakefmt.testing.store_contract import QUICK_RETRY, FaultyStoreContract


@pytest.fixture
def gcs_bucket(gcs_server):
    bucket = gcs_server.create_bucket()
    gcs_server.gate.forget()
    yield bucket
    gcs_server.gate.forget()


class TestGcsStore(FaultyStoreContract):
    write = "POST"
    overlong_s = 1.5
    reads_far_past_the_end = False

    @pytest.fixture
    def store(self, gcs_bucket, gcs_server):
        options = {**gcs_server.storage_options(), "requests_timeout": 0.5}
        return GcsStore(f"{gcs_bucket}/a table", options, retry=QUICK_RETRY, part_size_bytes=1024 * 1024)

    @pytest.fixture
    def patient_store(self, gcs_bucket, gcs_server):
        options = gcs_server.storage_options()
        return GcsStore(f"{gcs_bucket}/a table", options, part_size_bytes=1024 * 1024)

    @pytest.fixture
    def gate(self, gcs_server):
        return gcs_server.gate

    def open_again(self, store):
        return GcsStore(store.uri, store._options)

    def open_elsewhere(self, store):
        return GcsStore("gs://no-such-bucket-anywhere/table", store._options, retry=QUICK_RETRY)


def test_chunk_stored_but_answered_with_an_error_is_not_stored_twice(gcs_server, gcs_bucket):
    store = GcsStore(gcs_bucket, gcs_server.storage_options(), retry=QUICK_RETRY, part_size_bytes=256 * 1024)
    content = bytes(range(256)) * 4 * 1024
    with store.open_output("a") as file:
        gcs_server.gate.fail(Fault("PUT", "upload", 503, applied=True, times=1))
        file.write(content[:300_000])
        file.write(content[300_000:])
        gcs_server.gate.fail(Fault("PUT", "upload", 503, applied=True, times=1))
    assert store.read("a") == content


def test_missing_package_is_an_error_that_names_the_extra():
    code = (
        "import sys; sys.modules['gcsfs'] = None\n"
        "from lakefmt.store import open_store\n"
        "try: open_store('gs://bucket/t').read('a')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("StoreError")
    assert "pip install 'lakefmt[gcs]'" in shown


def test_token_that_is_no_token_is_an_error_that_says_how_to_log_in(tmp_path):
    (tmp_path / "key.json").write_text('{"type": "nothing"}')
    with pytest.raises(StoreError, match="gcloud auth"):
        open_store("gs://bucket/t", {"token": str(tmp_path / "key.json")}).read("a")


def test_machine_without_any_sign_of_credentials_is_not_probed_for_them(monkeypatch, tmp_path):
    for name in list(_SIGNS_OF_CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    product = Path("/sys/class/dmi/id/product_name")
    on_google = product.exists() and product.read_text().startswith("Google")
    assert _may_have_credentials() == on_google
    (tmp_path / "application_default_credentials.json").write_text("{}")
    assert _may_have_credentials()
