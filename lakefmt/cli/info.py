"""``lakefmt info``: what a table is and what state it is in, from its log alone."""

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefmt.cli.options import (
    AsJson,
    AtTimestamp,
    AtVersion,
    StorageOption,
    Uri,
    open_table_at,
    parse_storage_options,
)
from lakefmt.cli.output import print_facts, write_json
from lakefmt.wording import format_age, format_count, format_size, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakefmt.log.paths import LogFile
    from lakefmt.table import Table

__all__ = ["info"]

_SMALL_FILE_BYTES = 16 << 20
_MANY_FILES = 100
_MANY_COMMITS = 100


def info(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    version: AtVersion = None,
    timestamp: AtTimestamp = None,
    as_json: AsJson = False,
) -> None:
    """Show a table's version, protocol, rows, files, properties.

    Counts come from the log; no data file is opened. With --json: table, version, timestamp, operation, engine,
    name, description, protocol, columns, partition_columns, num_rows (null where files have no count),
    num_deleted_rows, num_files, size_bytes, smallest_file_bytes, largest_file_bytes, properties, log, hints.

    Example: lakefmt info s3://bucket/trips -o anon=true
    """
    from lakefmt.log.listing import list_log
    from lakefmt.store import open_store

    table = open_table_at(uri, storage_option, version, timestamp)
    log = list_log(open_store(uri, parse_storage_options(storage_option)))
    summary = summarize(table, log)
    if as_json:
        write_json(summary.to_dict())
    else:
        print_facts(_facts(summary, int(time.time() * 1000)))


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What is left of the log up to the version looked at.

    Attributes:
        oldest_commit: its version; None where no commit is left.
        last_checkpoint: version of the newest checkpoint that is complete; None, as what follows, where there is none.
        checkpoint_kind: ``classic``, ``multi-part``, or ``v2`` where its file is named by a UUID.
        checkpoint_ms: when it was written, milliseconds since the epoch.
    """

    num_commits: int
    oldest_commit: int | None
    last_checkpoint: int | None
    checkpoint_kind: str | None = None
    checkpoint_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table at one version.

    Attributes:
        timestamp_ms: when that version was committed, milliseconds since the epoch.
        num_rows: None where a file's statistics have no count.
        num_uncounted_files: how many such files there are.
        num_deleted_rows: rows that deletion vectors leave out of their files, and of ``num_rows``.
        hints: what its owner may want to do.
    """

    table: str
    version: int
    timestamp_ms: int
    operation: str | None
    engine: str | None
    name: str | None
    description: str | None
    min_reader_version: int
    min_writer_version: int
    features: tuple[str, ...]
    num_columns: int
    partition_columns: tuple[str, ...]
    num_rows: int | None
    num_uncounted_files: int
    num_deleted_rows: int
    num_files: int
    size_bytes: int
    smallest_file_bytes: int | None
    largest_file_bytes: int | None
    properties: dict[str, str]
    log: LogSummary

    @property
    def average_file_bytes(self) -> int | None:
        """The mean size of a data file; None for a table without files."""
        return self.size_bytes // self.num_files if self.num_files else None

    @property
    def hints(self) -> tuple[str, ...]:
        """What its owner may want to do, a sentence each."""
        found = []
        average = self.average_file_bytes
        if average is not None and average < _SMALL_FILE_BYTES and self.num_files > _MANY_FILES:
            found.append(
                f"{self.num_files:,} files of {format_size(average)} on average are many small ones: "
                "readers are faster with fewer, larger files; write larger batches"
            )
        since = self.version - (-1 if self.log.last_checkpoint is None else self.log.last_checkpoint)
        if since > _MANY_COMMITS:
            found.append(f"{since:,} commits since the last checkpoint are read at every open")
        if self.num_uncounted_files:
            found.append(
                f"{plural(self.num_uncounted_files, 'file')} without statistics: "
                "no count without opening them, and no query skips them"
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values, under the names that ``--json`` promises."""
        from lakefmt.log.timestamps import format_timestamp

        fields = dataclasses.asdict(self)
        protocol = {
            name: fields.pop(name) for name in ("min_reader_version", "min_writer_version", "features")
        }
        moment = format_timestamp(fields.pop("timestamp_ms"))
        written_ms = fields["log"].pop("checkpoint_ms")
        fields["log"]["checkpoint_timestamp"] = None if written_ms is None else format_timestamp(written_ms)
        return {
            "table": fields.pop("table"),
            "version": fields.pop("version"),
            "timestamp": moment,
            **fields,
            "protocol": protocol,
            "average_file_bytes": self.average_file_bytes,
            "hints": self.hints,
        }


def summarize(table: "Table", log: "Sequence[LogFile]") -> TableInfo:
    """Gather what is known of a table at its handle's version; ``log`` is the listing of its log."""
    import pyarrow.compute as pc

    snapshot = table.snapshot
    commit = next(iter(table.history(limit=1)), None)
    files = table.files()
    sizes, rows = files["size_bytes"], files["num_rows"]
    protocol = snapshot.protocol
    return TableInfo(
        table=table.uri,
        version=table.version,
        timestamp_ms=snapshot.timestamp_ms if commit is None else commit.timestamp_ms,
        operation=None if commit is None else commit.operation,
        engine=None if commit is None else commit.info.engine_info,
        name=snapshot.metadata.name,
        description=snapshot.metadata.description,
        min_reader_version=protocol.min_reader_version,
        min_writer_version=protocol.min_writer_version,
        features=tuple(
            sorted((protocol.reader_features or frozenset()) | (protocol.writer_features or frozenset()))
        ),
        num_columns=len(table.schema.fields),
        partition_columns=table.partition_columns,
        num_rows=None if rows.null_count else pc.sum(rows).as_py() or 0,
        num_uncounted_files=rows.null_count,
        num_deleted_rows=pc.sum(files["deleted_rows"]).as_py() or 0,
        num_files=files.num_rows,
        size_bytes=pc.sum(sizes).as_py() or 0,
        smallest_file_bytes=pc.min(sizes).as_py(),
        largest_file_bytes=pc.max(sizes).as_py(),
        properties=table.properties,
        log=summarize_log(log, table.version),
    )


def summarize_log(log: "Sequence[LogFile]", version: int) -> LogSummary:
    """Say what a listing of the log holds up to ``version`` (pure)."""
    from lakefmt.log.paths import LogFileKind
    from lakefmt.log.segment import complete_checkpoints

    kinds = {LogFileKind.CHECKPOINT: "classic", LogFileKind.MULTI_PART_CHECKPOINT: "multi-part"}
    until = [file for file in log if file.version <= version]
    commits = [file.version for file in until if file.kind is LogFileKind.COMMIT]
    checkpoints = complete_checkpoints(until)
    summary = LogSummary(len(commits), min(commits, default=None), max(checkpoints, default=None))
    if summary.last_checkpoint is None:
        return summary
    newest = checkpoints[summary.last_checkpoint][-1]
    return dataclasses.replace(
        summary, checkpoint_kind=kinds.get(newest.kind, "v2"), checkpoint_ms=newest.modified_ms
    )


def _facts(summary: TableInfo, now_ms: int) -> list[tuple[str, str]]:
    from lakefmt.log.timestamps import format_timestamp
    from lakefmt.schema import FIELD_IDS_PROPERTY

    log = summary.log
    who = f", {summary.operation}" if summary.operation else ""
    who += f" by {summary.engine}" if summary.engine else ""
    partitions = ", ".join(summary.partition_columns)
    files = format_count(summary.num_files)
    if summary.num_files:
        files += (
            f", {format_size(summary.size_bytes)} together; {format_size(summary.average_file_bytes)} on average, "
            f"{format_size(summary.smallest_file_bytes)} to {format_size(summary.largest_file_bytes)}"
        )
    facts = [
        ("table", summary.table),
        ("name", summary.name or ""),
        ("description", summary.description or ""),
        ("version", str(summary.version)),
        (
            "committed",
            f"{format_timestamp(summary.timestamp_ms)} ({format_age(now_ms - summary.timestamp_ms)}){who}",
        ),
        (
            "rows",
            format_count(summary.num_rows)
            + (f", {summary.num_deleted_rows:,} more deleted by vectors" if summary.num_deleted_rows else ""),
        ),
        ("files", files),
        ("columns", f"{summary.num_columns}" + (f", partitioned by {partitions}" if partitions else "")),
        (
            "protocol",
            f"reader {summary.min_reader_version}, writer {summary.min_writer_version}"
            + (f": {', '.join(summary.features)}" if summary.features else ""),
        ),
        (
            "log",
            f"{plural(log.num_commits, 'commit')}, "
            + (
                "no checkpoint"
                if log.last_checkpoint is None or log.checkpoint_ms is None
                else f"{log.checkpoint_kind} checkpoint at version {log.last_checkpoint} "
                f"({format_age(now_ms - log.checkpoint_ms)})"
            ),
        ),
    ]
    # The numbers of the columns are lakefmt's own book-keeping; --json has them.
    shown = {name: value for name, value in summary.properties.items() if name != FIELD_IDS_PROPERTY}
    facts += _numbered("properties", [f"{name} = {value}" for name, value in sorted(shown.items())])
    facts += _numbered("hints", summary.hints)
    return [(name, value) for name, value in facts if name == "" or value]


def _numbered(name: str, lines: "Sequence[str]") -> list[tuple[str, str]]:
    return [(name if index == 0 else "", line) for index, line in enumerate(lines)]
