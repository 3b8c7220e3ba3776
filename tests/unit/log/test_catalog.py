"""A catalog in a folder: one JSON file says the newest ratified version and what is kept of it."""

import json
import pickle
import uuid
from pathlib import Path

import pytest

import lakefmt
from lakefmt.errors import CorruptTableError, UnsupportedFeatureError, VersionNotFoundError

SCHEMA = '{"type":"struct","fields":[{"name":"x","type":"long","nullable":true,"metadata":{}}]}'


def protocol(feature):
    return {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": [feature],
        "writerFeatures": [feature, "inCommitTimestamp"],
    }


METADATA = {
    "id": "m",
    "format": {"provider": "parquet", "options": {}},
    "schemaString": SCHEMA,
    "partitionColumns": [],
    "configuration": {"delta.enableInCommitTimestamps": "true"},
}


class FolderCatalog:
    """Ratifies commits for one table and remembers them in ``catalog.json`` until they are forgotten."""

    def __init__(self, folder: Path, table: Path) -> None:
        self.state = folder / "catalog.json"
        self.log = table / "_delta_log"
        (self.log / "_staged_commits").mkdir(parents=True)
        self.save(-1, {})

    def save(self, latest, kept):
        self.state.write_text(json.dumps({"latest": latest, "kept": kept}))

    def load(self):
        state = json.loads(self.state.read_text())
        return state["latest"], state["kept"]

    def ratified_commits(self, table_uri):
        latest, kept = self.load()
        commits = [
            lakefmt.RatifiedCommit(int(version), path=entry["path"])
            if "path" in entry
            else lakefmt.RatifiedCommit(int(version), content=entry["content"].encode())
            for version, entry in kept.items()
        ]
        return lakefmt.RatifiedCommits(latest, commits)

    def commit(self, *actions, how):
        latest, kept = self.load()
        version = latest + 1
        text = "\n".join(
            json.dumps(a)
            for a in [
                {"commitInfo": {"inCommitTimestamp": 1000 * version, "txnId": str(uuid.uuid4())}},
                *actions,
            ]
        )
        match how:
            case "published":
                (self.log / f"{version:020d}.json").write_text(text)
            case "staged":
                name = f"{version:020d}.{uuid.uuid4()}.json"
                (self.log / "_staged_commits" / name).write_text(text)
                kept[str(version)] = {"path": name}
            case "inline":
                kept[str(version)] = {"content": text}
        self.save(version, kept)

    def publish(self, version, *, forget):
        latest, kept = self.load()
        entry = kept[str(version)]
        text = (
            (self.log / "_staged_commits" / entry["path"]).read_text()
            if "path" in entry
            else entry["content"]
        )
        (self.log / f"{version:020d}.json").write_text(text)
        if forget:
            del kept[str(version)]
        self.save(latest, kept)


def add(path):
    return {
        "add": {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True}
    }


def paths(table):
    return sorted(table.snapshot.files.table["path"].to_pylist())


@pytest.fixture
def place(tmp_path):
    return tmp_path / "table"


@pytest.fixture
def catalog(tmp_path, place):
    """Versions 0 and 1 published, 2 staged, 3 inline; each adds a file named after it."""
    catalog = FolderCatalog(tmp_path, place)
    catalog.commit(
        {"protocol": protocol("catalogManaged")}, {"metaData": METADATA}, add("0"), how="published"
    )
    catalog.commit(add("1"), how="published")
    catalog.commit(add("2"), how="staged")
    catalog.commit(add("3"), how="inline")
    return catalog


def test_commits_the_catalog_keeps_are_part_of_the_table(place, catalog):
    table = lakefmt.open(place, catalog=catalog)
    assert (table.version, paths(table)) == (3, ["0", "1", "2", "3"])


def test_a_staged_commit_that_was_never_ratified_is_not_read(place, catalog):
    (place / "_delta_log" / "_staged_commits" / f"{4:020d}.{uuid.uuid4()}.json").write_text(
        json.dumps(add("4"))
    )
    assert lakefmt.open(place, catalog=catalog).version == 3


def test_what_is_published_past_the_newest_ratified_version_does_not_count(place, catalog):
    (place / "_delta_log" / f"{4:020d}.json").write_text(json.dumps(add("4")))
    table = lakefmt.open(place, catalog=catalog)
    assert table.version == 3
    assert table.refresh().version == 3


def test_the_commit_of_the_catalog_counts_where_there_is_a_published_one_too(place, catalog):
    catalog.publish(2, forget=False)
    (place / "_delta_log" / f"{2:020d}.json").write_text(json.dumps(add("not this one")))
    assert paths(lakefmt.open(place, catalog=catalog)) == ["0", "1", "2", "3"]


def test_publishing_changes_nothing(place, catalog):
    table = lakefmt.open(place, catalog=catalog)
    catalog.publish(2, forget=True)
    catalog.publish(3, forget=True)
    assert paths(table.refresh()) == paths(lakefmt.open(place, catalog=catalog)) == ["0", "1", "2", "3"]


def test_refresh_reads_what_was_ratified_since(place, catalog):
    table = lakefmt.open(place, catalog=catalog)
    catalog.commit(add("4"), how="staged")
    catalog.commit(add("5"), how="inline")
    assert paths(table.refresh()) == ["0", "1", "2", "3", "4", "5"]


def test_time_travel_and_history_reach_over_all_kinds_of_commits(place, catalog):
    table = lakefmt.open(place, catalog=catalog)
    assert [paths(table.at(version=v))[-1] for v in range(4)] == ["0", "1", "2", "3"]
    assert table.at(timestamp="1970-01-01T00:00:02.500Z").version == 2
    assert [entry.timestamp_ms for entry in table.history()] == [3000, 2000, 1000, 0]
    assert table.snapshot.timestamp_ms == 3000
    with pytest.raises(VersionNotFoundError, match="newest is 3"):
        table.at(version=4)


def test_a_handle_pickles_with_its_catalog(place, catalog):
    table = pickle.loads(pickle.dumps(lakefmt.open(place, catalog=catalog)))
    catalog.commit(add("4"), how="inline")
    assert table.refresh().version == 4


@pytest.mark.parametrize("feature", ["catalogManaged", "catalogOwned-preview"])
def test_without_the_catalog_the_table_is_refused(tmp_path, feature):
    catalog = FolderCatalog(tmp_path, tmp_path / "t")
    catalog.commit({"protocol": protocol(feature)}, {"metaData": METADATA}, how="published")
    with pytest.raises(UnsupportedFeatureError, match=rf"managed by a catalog \({feature}\).*catalog="):
        lakefmt.open(tmp_path / "t")
    assert lakefmt.open(tmp_path / "t", catalog=catalog).version == 0


def test_the_retired_feature_is_refused_even_with_a_catalog(tmp_path):
    catalog = FolderCatalog(tmp_path, tmp_path / "t")
    catalog.commit({"protocol": protocol("catalogOwned")}, {"metaData": METADATA}, how="published")
    with pytest.raises(UnsupportedFeatureError, match="feature catalogOwned"):
        lakefmt.open(tmp_path / "t", catalog=catalog)


def test_nothing_is_written_to_a_managed_table(place, catalog):
    with pytest.raises(UnsupportedFeatureError, match=r"cannot write.*catalogManaged"):
        lakefmt.open(place, catalog=catalog).append({"x": [1]})


@pytest.mark.parametrize(
    "path",
    [
        f"{3:020d}.80a083e8-7026-4e79-81be-64bd76c43a11.json",
        "../../elsewhere/00000000000000000002.80a083e8-7026-4e79-81be-64bd76c43a11.json",
        "file:///elsewhere/_delta_log/_staged_commits/00000000000000000002.80a083e8-7026-4e79-81be-64bd76c43a11.json",
        "00000000000000000002.json",
        "..%2F00000000000000000002.80a083e8-7026-4e79-81be-64bd76c43a11.json",
        "",
    ],
)
def test_a_commit_file_that_is_no_staged_commit_of_its_version_is_refused(place, catalog, path):
    latest, kept = catalog.load()
    catalog.save(latest, {**kept, "2": {"path": path}})
    with pytest.raises(CorruptTableError, match="no staged commit of this table and version"):
        lakefmt.open(place, catalog=catalog)


@pytest.mark.parametrize("prefix", ["", "_delta_log/_staged_commits/", "{uri}/_delta_log/_staged_commits/"])
def test_a_staged_commit_may_be_named_by_file_path_or_uri(place, catalog, prefix):
    latest, kept = catalog.load()
    path = prefix.format(uri=place.as_uri()) + kept["2"]["path"]
    catalog.save(latest, {**kept, "2": {"path": path}})
    assert paths(lakefmt.open(place, catalog=catalog)) == ["0", "1", "2", "3"]


def test_a_catalog_that_contradicts_itself_is_named(place, catalog):
    latest, kept = catalog.load()
    catalog.save(latest, {"1": kept["3"], "3": kept["3"]})
    with pytest.raises(CorruptTableError, match="keeps version 3 where 2 follows"):
        lakefmt.open(place, catalog=catalog)
    catalog.save(2, kept)
    with pytest.raises(CorruptTableError, match="past its newest version 2"):
        lakefmt.open(place, catalog=catalog)
    catalog.save(9, kept)
    with pytest.raises(CorruptTableError, match="newest version is 9"):
        lakefmt.open(place, catalog=catalog)


def test_a_staged_commit_that_is_gone_is_named(place, catalog):
    for file in (place / "_delta_log" / "_staged_commits").iterdir():
        file.unlink()
    with pytest.raises(CorruptTableError, match="gone since the log was listed"):
        lakefmt.open(place, catalog=catalog)
