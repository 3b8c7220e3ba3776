"""The commit log: file names, actions, their JSON, and which files make up a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefmt.lazy_names import lazy_names

if TYPE_CHECKING:
    from lakefmt.log.actions import AddCDCFile as AddCDCFile
    from lakefmt.log.actions import AddFile as AddFile
    from lakefmt.log.actions import CommitInfo as CommitInfo
    from lakefmt.log.actions import DeletionVectorDescriptor as DeletionVectorDescriptor
    from lakefmt.log.actions import DomainMetadata as DomainMetadata
    from lakefmt.log.actions import Metadata as Metadata
    from lakefmt.log.actions import Protocol as Protocol
    from lakefmt.log.actions import RemoveFile as RemoveFile
    from lakefmt.log.actions import TransactionId as TransactionId
    from lakefmt.log.catalog import Catalog as Catalog
    from lakefmt.log.catalog import RatifiedCommit as RatifiedCommit
    from lakefmt.log.catalog import RatifiedCommits as RatifiedCommits
    from lakefmt.log.commit_file import Commit as Commit
    from lakefmt.log.commit_file import decode_commit as decode_commit
    from lakefmt.log.commit_file import encode_commit as encode_commit
    from lakefmt.log.commit_times import CommitTimes as CommitTimes
    from lakefmt.log.commit_times import InCommitTimestamps as InCommitTimestamps
    from lakefmt.log.history import History as History
    from lakefmt.log.history import HistoryEntry as HistoryEntry
    from lakefmt.log.history import load_history as load_history
    from lakefmt.log.listing import list_commits_from as list_commits_from
    from lakefmt.log.segment import LogSegment as LogSegment
    from lakefmt.log.segment import load_segment as load_segment

_HOMES = {
    "AddCDCFile": "lakefmt.log.actions",
    "AddFile": "lakefmt.log.actions",
    "Catalog": "lakefmt.log.catalog",
    "Commit": "lakefmt.log.commit_file",
    "CommitInfo": "lakefmt.log.actions",
    "CommitTimes": "lakefmt.log.commit_times",
    "DeletionVectorDescriptor": "lakefmt.log.actions",
    "DomainMetadata": "lakefmt.log.actions",
    "History": "lakefmt.log.history",
    "HistoryEntry": "lakefmt.log.history",
    "InCommitTimestamps": "lakefmt.log.commit_times",
    "LogSegment": "lakefmt.log.segment",
    "Metadata": "lakefmt.log.actions",
    "Protocol": "lakefmt.log.actions",
    "RatifiedCommit": "lakefmt.log.catalog",
    "RatifiedCommits": "lakefmt.log.catalog",
    "RemoveFile": "lakefmt.log.actions",
    "TransactionId": "lakefmt.log.actions",
    "decode_commit": "lakefmt.log.commit_file",
    "encode_commit": "lakefmt.log.commit_file",
    "list_commits_from": "lakefmt.log.listing",
    "load_history": "lakefmt.log.history",
    "load_segment": "lakefmt.log.segment",
}

__all__ = [
    "AddCDCFile",
    "AddFile",
    "Catalog",
    "Commit",
    "CommitInfo",
    "CommitTimes",
    "DeletionVectorDescriptor",
    "DomainMetadata",
    "History",
    "HistoryEntry",
    "InCommitTimestamps",
    "LogSegment",
    "Metadata",
    "Protocol",
    "RatifiedCommit",
    "RatifiedCommits",
    "RemoveFile",
    "TransactionId",
    "decode_commit",
    "encode_commit",
    "list_commits_from",
    "load_history",
    "load_segment",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_names(__name__, _HOMES)
