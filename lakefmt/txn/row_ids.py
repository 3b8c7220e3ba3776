"""Row tracking: every row of a commit gets an id of its own and the commit's version ("Row Tracking"); pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from lakefmt.errors import CorruptTableError, InvalidInputError, UnsupportedFeatureError
from lakefmt.log import DomainMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakefmt.log import AddFile, Commit, Metadata, Protocol, RemoveFile
    from lakefmt.snapshot import Snapshot

__all__ = ["ROW_TRACKING_DOMAIN", "number_rows"]

ROW_TRACKING_DOMAIN: Final = "delta.rowTracking"
_HIGH_WATER_MARK: Final = "rowIdHighWaterMark"


def number_rows(commit: Commit, base: Snapshot, protocol: Protocol, metadata: Metadata) -> Commit:
    """Return the commit of the version after ``base`` with its rows numbered, where the table asks for that.

    New files get row ids past all that were ever given, and the version. A file that the commit removes and adds
    again, as one whose deletion vector changes, keeps its ids ("Writer Requirements for Row Tracking").

    Args:
        commit: not numbered.
        base: the version before; it knows how far ids have been given.
        protocol: in force after the commit.
        metadata: in force after the commit.

    Raises:
        InvalidInputError: the log is not told how many rows a new file has, or both properties of row tracking are on.
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
    enabled = _is_on(metadata, "delta.enableRowTracking")
    if _is_on(metadata, "delta.rowTrackingSuspended"):
        if enabled:
            raise InvalidInputError(
                "Row tracking is enabled and suspended at once",
                table=table,
                hint="Unset one of the properties",
            )
        return replace(commit, adds=tuple([_without_ids(add) for add in commit.adds]))
    if enabled:
        _check_rows_stay(commit, table, base.version)
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
    return replace(commit, adds=tuple(adds), domains=domains)


def _is_on(metadata: Metadata, name: str) -> bool:
    return metadata.configuration.get(name, "false").lower() == "true"


def _check_rows_stay(commit: Commit, table: str, version: int) -> None:
    """Raise where rows move to other files: their ids would have to be written into those, which is not done yet."""
    added = {add.path for add in commit.adds if not add.data_change}
    if added - {remove.path for remove in commit.removes} and commit.removes:
        raise UnsupportedFeatureError(
            "The table tracks its rows (delta.enableRowTracking): this release cannot move them to other files",
            table=table,
            version=version,
            hint="Do it with an engine that can, or switch row tracking off",
        )


def _high_water_mark(base: Snapshot) -> int:
    """Return the highest row id given so far, -1 for none."""
    domain = base.domains.get(ROW_TRACKING_DOMAIN)
    if domain is None:
        return -1
    try:
        value: Mapping[str, Any] = orjson.loads(domain.configuration)
        mark = value[_HIGH_WATER_MARK]
    except (ValueError, KeyError, TypeError):
        mark = None
    if type(mark) is not int or mark < -1:
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
