"""Local disk and memory against a dictionary: the same objects, in the same order."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lakefmt.store.local import LocalStore
from lakefmt.store.location import parse_location
from lakefmt.store.memory import MemoryStore

# Few letters, so that names meet, and those that sort around "/".
names = st.text(st.sampled_from("a.-/0 %\u00e9\uffff\U0001f695"), min_size=1, max_size=6)
keys = names.filter(lambda name: all(part not in ("", ".", "..") for part in name.split("/")))


def fits(found: set[str], key: str) -> bool:
    """Return whether on a disk ``key`` can be beside the others: nothing is both a file and a folder."""
    return not any(key.startswith(other + "/") or other.startswith(key + "/") for other in found)


@settings(deadline=None, max_examples=60)
@given(st.lists(keys, max_size=12), keys, st.booleans())
def test_listings_agree_with_sorted_keys(wanted, after, recursive):
    model: set[str] = set()
    for key in wanted:
        if fits(model, key):
            model.add(key)
    with tempfile.TemporaryDirectory() as folder:
        for store in (LocalStore(folder, fsync=False), MemoryStore(f"memory://{uuid.uuid4().hex}")):
            for number, key in enumerate(sorted(model)):
                assert store.put_if_absent(key, str(number).encode())
            folders = {""} | {key.rpartition("/")[0] for key in model}
            for inside in sorted(folders):
                prefix = inside + "/" if inside else ""
                expected = sorted(
                    (
                        key
                        for key in model
                        if key.startswith(prefix) and (recursive or "/" not in key[len(prefix) :])
                    ),
                    key=lambda key: key.encode(),
                )
                found = [info.key for info in store.list(inside, recursive=recursive)]
                assert found == expected
                later = [info.key for info in store.list(inside, after=after, recursive=recursive)]
                assert later == [key for key in expected if key.encode() > (prefix + after).encode()]


@settings(deadline=None)
@given(st.lists(keys, min_size=1, max_size=5))
def test_path_survives_its_uri(parts):
    path = "/" + "/".join(parts)
    location = parse_location(path)
    assert location.path == str(Path(path))
    assert parse_location(location.uri) == location
