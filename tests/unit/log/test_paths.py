import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefmt.log.paths import (
    LogFileKind,
    canonical_path,
    commit_key,
    is_absolute_path,
    key_to_path,
    parse_log_file,
    path_to_key,
)
from lakefmt.store import ObjectInfo


def parse(name):
    return parse_log_file(ObjectInfo(f"_delta_log/{name}", 1, 2))


def test_commit_key_has_twenty_digits():
    assert commit_key(7) == "_delta_log/00000000000000000007.json"


@pytest.mark.parametrize(
    ("name", "kind", "version"),
    [
        ("00000000000000000012.json", LogFileKind.COMMIT, 12),
        ("00000000000000000012.crc", LogFileKind.CHECKSUM, 12),
        ("00000000000000000010.checkpoint.parquet", LogFileKind.CHECKPOINT, 10),
        (
            "00000000000000000010.checkpoint.0000000001.0000000003.parquet",
            LogFileKind.MULTI_PART_CHECKPOINT,
            10,
        ),
        (
            "00000000000000000010.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json",
            LogFileKind.UUID_CHECKPOINT,
            10,
        ),
        ("00000000000000000001.00000000000000000009.compacted.json", LogFileKind.COMPACTED, 1),
    ],
)
def test_names_of_the_protocol_are_read(name, kind, version):
    parsed = parse(name)
    assert (parsed.kind, parsed.version) == (kind, version)


def test_part_numbers_of_a_multi_part_checkpoint_are_read():
    parsed = parse("00000000000000000010.checkpoint.0000000002.0000000003.parquet")
    assert (parsed.part, parsed.parts) == (2, 3)


@pytest.mark.parametrize(
    "name",
    [
        "_last_checkpoint",
        "1.json",
        "00000000000000000001.json.tmp",
        ".00000000000000000001.json.tmp",
        "00000000000000000001.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json",
        "notes.txt",
    ],
)
def test_other_names_are_left_alone(name):
    assert parse(name) is None


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_key_survives_the_log(key):
    path = key_to_path(key)
    assert path_to_key(path) == key
    assert path.isascii()
    if not key.startswith("/"):
        assert not is_absolute_path(path)


def test_hive_folder_with_escapes_is_escaped_again():
    assert key_to_path("city=a%3Ab/x.parquet") == "city=a%253Ab/x.parquet"


@pytest.mark.parametrize(
    "path", ["/data/x.parquet", "s3://bucket/x.parquet", "file:/x.parquet", "abfss://c@a/x"]
)
def test_absolute_paths_are_told_apart(path):
    assert is_absolute_path(path)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("a b.parquet", "a%20b.parquet"),
        ("p=%C3%A4/x", "p=ä/x"),
        ("/data/x y", "file:/data/x%20y"),
        ("/data/x", "file:///data/x"),
        ("/data/x", "FILE://localhost//data/x"),
        ("s3://bucket/a%2Bb", "s3://bucket/a+b"),
    ],
)
def test_spellings_of_one_path_are_the_same(path, other):
    assert canonical_path(path) == canonical_path(other)


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("x", "/x"),
        ("%2Fx", "/x"),
        ("a%2520b", "a%20b"),
        ("s3://bucket/x", "s3://other/x"),
        ("s3://bucket/x", "/x"),
        ("file://host/x", "/x"),
        ("%FF", "\ufffd"),
    ],
)
def test_spellings_of_different_paths_are_not(path, other):
    assert canonical_path(path) != canonical_path(other)
