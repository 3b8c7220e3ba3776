"""Row tracking: every row of a commit gets an id of its own and the commit's version ("Row Tracking").

Pure, but that the commit which enables it looks at all files of the version.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.log import DomainMetadata
from lakefmt.log.paths import canonical_path
from lakefmt.log.row_tracking import RowTracking, is_row_tracking_enabled
from lakefmt.scan.prune import PathPruner

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lakefmt.log import AddFile, Commit, Metadata, Protocol, RemoveFile
    from lakefmt.snapshot import Snapshot

__all__ = ["ROW_TRACKING_DOMAIN", "number_rows"]

ROW_TRACKING_DOMAIN: Final = "delta.rowTracking"
_HIGH_WATER_MARK: Final = "rowIdHighWaterMark"
_PRESERVED: Final = "delta.rowTracking.preserved"
_MOST_IDS: Final = 1 << 62  # no table has more; beyond, the log would have no place for an id


def number_rows(
    commit: Commit,
    base: Snapshot,
    protocol: Protocol,
    metadata: Metadata,
    moved: Collection[str] = (),
) -> Commit:
    """Return the commit of the version after ``base`` with its rows numbered, where the table asks for that.

    New files get row ids past all that were ever given, and the version. A file that the commit removes and adds
    again, as one whose deletion vector changes, keeps its ids ("Writer Requirements for Row Tracking").

    Args:
        commit: not numbered.
        base: the version before; it knows how far ids have been given.
        protocol: in force after the commit.
        metadata: in force after the commit.
        moved: paths of added files with rows of others, whose ids are in them.

    Raises:
        InvalidInputError: the log is not told how many rows a new file has, both properties of row tracking are on, or
            row tracking is enabled while there are files without ids.
        UnsupportedFeatureError: rows would move to other files, where they would lose their ids.
        CorruptTableError: the table does not say sensibly how far ids have been given.
    """
    if protocol.writer_features is None or "rowTracking" not in protocol.writer_features:
        return commit
    table, version = base.table_uri, base.version + 1
    if any(domain.domain == ROW_TRACKING_DOMAIN for domain in commit.domains):
        raise InvalidInputError(
            f"The domain {ROW_TRACKING_DOMAIN} is kept by writers themselves", table=table
        )
    enabled = is_row_tracking_enabled(protocol, metadata.configuration)
    if _is_on(metadata, "delta.rowTrackingSuspended"):
        if enabled:
            raise InvalidInputError(
                "Row tracking is enabled and suspended at once",
                table=table,
                hint="Unset one of the properties",
            )
        return replace(commit, adds=tuple([_without_ids(add) for add in commit.adds]))
    if enabled:
        _check_rows_stay(commit, moved, table, base.version)
        if not is_row_tracking_enabled(base.protocol, base.metadata.configuration):
            _check_all_numbered(commit, base, protocol, metadata)
    removed = {remove.path: remove for remove in commit.removes}
    before = mark = _high_water_mark(base)
    adds: list[AddFile] = []
    for given in commit.adds:
        add = _with_ids_of(given, removed.get(given.path))
        if add.base_row_id is None:
            add = replace(add, base_row_id=mark + 1)
            mark += _num_rows(add, table)
        if add.default_row_commit_version is None:
            add = replace(add, default_row_commit_version=version)
        adds.append(add)
    domains = commit.domains
    if mark != before:
        text = orjson.dumps({_HIGH_WATER_MARK: mark}).decode()
        domains = (*domains, DomainMetadata(ROW_TRACKING_DOMAIN, text))
    numbered = replace(commit, adds=tuple(adds), domains=domains)
    return _noting_what_is_kept(numbered) if enabled else numbered


def _is_on(metadata: Metadata, name: str) -> bool:
    return metadata.configuration.get(name, "false").lower() == "true"


def _noting_what_is_kept(commit: Commit) -> Commit:
    """Return the commit with a word on whether all rows that stay have kept their ids and versions.

    Where files come and others go by whole, whoever wrote them may have copied rows, and nobody says that it has not.
    """
    if commit.info is None:
        return commit
    paths = {add.path for add in commit.adds}
    gone = any(remove.data_change and remove.path not in paths for remove in commit.removes)
    known = {remove.path for remove in commit.removes}
    come = any(add.data_change and add.path not in known for add in commit.adds)
    tags = {**commit.info.more.get("tags", {}), _PRESERVED: "false" if gone and come else "true"}
    return replace(commit, info=replace(commit.info, more={**commit.info.more, "tags": tags}))


def _check_rows_stay(commit: Commit, moved: Collection[str], table: str, version: int) -> None:
    """Raise where rows move to other files without their ids."""
    added = {add.path for add in commit.adds if not add.data_change}
    if added - {remove.path for remove in commit.removes} - set(moved) and commit.removes:
        raise UnsupportedFeatureError(
            "The table tracks its rows (delta.enableRowTracking), and rows would move to other files without their ids",
            table=table,
            version=version,
            hint="Move them by Transaction.stage_rewrite, which keeps them",
        )


def _check_all_numbered(commit: Commit, base: Snapshot, protocol: Protocol, metadata: Metadata) -> None:
    """Raise where row tracking is switched on while a file has no ids ("Writer Requirements for Row Tracking")."""
    RowTracking.of(protocol, metadata, table=base.table_uri, version=base.version + 1)
    import pyarrow.compute as pc

    again = [canonical_path(path) for path in _paths(commit)]
    stay = pc.invert(PathPruner(frozenset(again)).choose(base.files))
    if base.files.table["base_row_id"].filter(stay).null_count:
        raise InvalidInputError(
            "Row tracking cannot be enabled: there are data files whose rows have no ids",
            table=base.table_uri,
            version=base.version,
            hint="Commit these files again first, once the table lists the feature rowTracking",
        )


def _paths(commit: Commit) -> list[str]:
    return [add.path for add in commit.adds] + [remove.path for remove in commit.removes]


def _high_water_mark(base: Snapshot) -> int:
    """Return the highest row id given so far, -1 for none. Raises CorruptTableError where that is not known."""
    domain = base.domains.get(ROW_TRACKING_DOMAIN)
    if domain is None:
        given: Any = base.files.table["base_row_id"]
        if given.null_count < len(given):
            raise CorruptTableError(
                f"Rows have ids, and there is no domain {ROW_TRACKING_DOMAIN} that says how many have been given",
                table=base.table_uri,
                version=base.version,
                hint="Set it right with the engine that wrote it",
            )
        return -1
    try:
        value: Mapping[str, Any] = orjson.loads(domain.configuration)
        mark = value[_HIGH_WATER_MARK]
    except (ValueError, KeyError, TypeError):
        mark = None
    if type(mark) is not int or not -1 <= mark < _MOST_IDS:
        raise CorruptTableError(
            f"The domain {ROW_TRACKING_DOMAIN} does not say how many row ids have been given: "
            f"{domain.configuration!r:.80}",
            table=base.table_uri,
            version=base.version,
            hint="Set it right with the engine that wrote it",
        )
    return mark


def _with_ids_of(add: AddFile, removed: RemoveFile | None) -> AddFile:
    if removed is None:
        return add
    return replace(
        add,
        base_row_id=removed.base_row_id if add.base_row_id is None else add.base_row_id,
        default_row_commit_version=removed.default_row_commit_version
        if add.default_row_commit_version is None
        else add.default_row_commit_version,
    )


def _without_ids(add: AddFile) -> AddFile:
    return replace(add, base_row_id=None, default_row_commit_version=None)


def _num_rows(add: AddFile, table: str) -> int:
    """Return the rows of a file, deleted ones included."""
    try:
        count = None if add.stats is None else orjson.loads(add.stats)["numRecords"]
    except (ValueError, KeyError, TypeError):
        count = None
    if type(count) is not int or count < 0:
        raise InvalidInputError(
            "The table tracks its rows, and the statistics of a new file do not say how many it has",
            table=table,
            path=add.path,
            hint="Give every file numRecords",
        )
    return count
