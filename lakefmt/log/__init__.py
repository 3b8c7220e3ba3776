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
from lakefmt.log.commit_file import Commit, decode_commit, encode_commit
from lakefmt.log.history import History, HistoryEntry, load_history
from lakefmt.log.segment import LogSegment, list_commits_after, load_segment
from lakefmt.log.timestamps import load_commit_times, resolve_timestamp

__all__ = [
    "AddCDCFile",
    "AddFile",
    "Commit",
    "CommitInfo",
    "DeletionVectorDescriptor",
    "DomainMetadata",
    "History",
    "HistoryEntry",
    "LogSegment",
    "Metadata",
    "Protocol",
    "RemoveFile",
    "TransactionId",
    "decode_commit",
    "encode_commit",
    "list_commits_after",
    "load_commit_times",
    "load_history",
    "load_segment",
    "resolve_timestamp",
]
