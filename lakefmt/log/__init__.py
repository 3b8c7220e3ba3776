"""The commit log: file names, actions, their JSON, and which files make up a version."""

from lakefmt.log.actions import (
    AddCDCFile,
    AddFile,
    CommitInfo,
    DeletionVectorDescriptor,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    TransactionId,
)
from lakefmt.log.catalog import Catalog, RatifiedCommit, RatifiedCommits
from lakefmt.log.commit_file import Commit, decode_commit, encode_commit
from lakefmt.log.commit_times import CommitTimes, InCommitTimestamps
from lakefmt.log.history import History, HistoryEntry, load_history
from lakefmt.log.listing import list_commits_from
from lakefmt.log.segment import LogSegment, load_segment

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
