"""Azure Blob Storage, against Azurite."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lakefmt.errors import InvalidInputError, StoreError
from lakefmt.store import open_store
from lakefmt.store.azure import AzureStore
from lakefmt.testing.servers import AzureServer
from lakefmt.testing.store_contract import AWKWARD_NAMES, QUICK_RETRY, FaultyStoreContract

# The Azure SDK hands aiohttp whole bodies.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture
def azure_container(azure_server):
    container = azure_server.create_bucket()
    azure_server.gate.forget()
    yield container
    azure_server.gate.forget()


class SmallPages(AzureStore):
    page_size = 25


class TestAzureStore(FaultyStoreContract):
    secrets = (AzureServer.KEY,)
    unmasks_servers = False
    overlong_s = 1.5
    keys_past_a_page = 110
    awkward_names = tuple(name for name in AWKWARD_NAMES if "\\" not in name)
    rounds = 10  # SDK and Azurite take 20 ms a request

    @pytest.fixture
    def store(self, azure_container, azure_server):
        options = {**azure_server.storage_options(), "read_timeout": 0.5}
        return SmallPages(
            f"{azure_container}/a table", options, retry=QUICK_RETRY, part_size_bytes=1024 * 1024
        )

    @pytest.fixture
    def patient_store(self, azure_container, azure_server):
        return SmallPages(
            f"{azure_container}/a table", azure_server.storage_options(), part_size_bytes=1024 * 1024
        )

    @pytest.fixture
    def gate(self, azure_server):
        return azure_server.gate

    def open_again(self, store):
        return SmallPages(store.uri, store._options)

    def open_elsewhere(self, store):
        return AzureStore("az://no-such-container/table", store._options, retry=QUICK_RETRY)


def test_backslash_that_azure_would_turn_into_a_slash_is_refused(azure_container, azure_server):
    store = open_store(azure_container, azure_server.storage_options())
    with pytest.raises(InvalidInputError, match="backslash"):
        store.put("a\\b", b"")
    assert list(store.list("", recursive=True)) == []


def test_uri_with_the_account_in_it_is_kept(azure_container, azure_server):
    name = azure_container.removeprefix("az://")
    uri = f"abfss://{name}@devstoreaccount1.dfs.core.windows.net/a table"
    store = open_store(uri + "/", azure_server.storage_options())
    assert store.uri == uri
    store.put("a", b"1")
    assert open_store(f"{azure_container}/a table", azure_server.storage_options()).read("a") == b"1"


def test_missing_account_is_an_error_that_says_how_to_name_it(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="account_name"):
        open_store("az://container/t", {"anon": True}).read("a")


def test_missing_package_is_an_error_that_names_the_extra():
    code = (
        "import sys; sys.modules['adlfs'] = None\n"
        "from lakefmt.store import open_store\n"
        "try: open_store('az://container/t').read('a')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("StoreError")
    assert "pip install 'lakefmt[azure]'" in shown
