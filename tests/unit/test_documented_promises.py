"""What ``docs/transactions.md`` and ``docs/engine.md`` name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "transactions.md").read_text()
ENGINE = (ROOT / "docs" / "engine.md").read_text()


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`((?:tests|lakefmt)/[\w/]+(?:\.py)?)`", PAGE))))
def test_every_place_that_the_page_names_is_there(place):
    assert (ROOT / place).exists()


@pytest.mark.parametrize(
    "place", sorted(set(re.findall(r"\b(?:engine|query|scan)/[\w/]+\.py\b", ENGINE)) | {"process_folders.py"})
)
def test_every_module_on_the_paths_of_the_engine_is_there(place):
    assert (ROOT / "lakefmt" / place).exists()


def test_every_promise_has_its_test():
    table = PAGE.partition("## How each promise is tested")[2]
    rows = [
        line
        for line in table.splitlines()
        if line.startswith("|") and not line.startswith(("|--", "| promise"))
    ]
    assert rows
    assert [row for row in rows if "`tests/" not in row and "`lakefmt/testing/" not in row] == []
