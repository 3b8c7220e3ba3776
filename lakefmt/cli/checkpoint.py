"""``lakefmt checkpoint``: make a table quicker to open, and forget what of its log has expired."""

from typing import Annotated

import typer

from lakefmt.cli.options import AsJson, StorageOption, Uri, open_table_at
from lakefmt.cli.output import print_facts, write_json
from lakefmt.wording import format_count, format_size, plural

__all__ = ["checkpoint"]


def checkpoint(
    uri: Uri,
    *,
    storage_option: StorageOption = None,
    clean_log: Annotated[
        bool,
        typer.Option(
            "--clean-log",
            help="Then delete commits and checkpoints older than delta.logRetentionDuration (30 days). "
            "Versions before the checkpoint that is kept can no longer be opened.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --clean-log: only say what would be deleted.")
    ] = False,
    compact_log: Annotated[
        bool,
        typer.Option(
            "--compact-log",
            help="Instead of a checkpoint, write one log compaction file for the commits since the last one.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a checkpoint of a table's newest version.

    Readers then read it instead of the commits before. Writers do so every delta.checkpointInterval commits (10) by themselves. With --json: table, and one of checkpoint
    (version, kind, num_files, num_sidecars, size_bytes, written_bytes, seconds) and log_compaction (first_version,
    last_version, num_actions, size_bytes, commit_bytes, seconds); with --clean-log also log_cleanup (oldest_version,
    num_commits, num_checkpoint_files, num_sidecars, num_other_files, size_bytes, dry_run).

    Example: lakefmt checkpoint s3://bucket/trips --clean-log
    """
    if dry_run and not clean_log:
        raise typer.BadParameter("it is for --clean-log", param_hint="'--dry-run'")
    table = open_table_at(uri, storage_option)
    document: dict[str, object] = {"table": table.uri}
    facts = [("table", table.uri)]
    if compact_log:
        compacted = table.compact_log()
        document["log_compaction"] = compacted.to_dict()
        facts += [
            ("compaction", f"versions {compacted.first_version} to {compacted.last_version}"),
            (
                "size",
                f"{format_size(compacted.size_bytes)} for {format_size(compacted.commit_bytes)} of commits",
            ),
        ]
    elif not dry_run:
        written = table.checkpoint()
        document["checkpoint"] = written.to_dict()
        files = f"{format_count(written.num_files)} data files"
        if written.num_sidecars:
            files += f" in {plural(written.num_sidecars, 'sidecar')}"
        size = format_size(written.size_bytes)
        if written.written_bytes != written.size_bytes:
            size += f", of which {format_size(written.written_bytes)} were written"
        facts += [
            ("checkpoint", f"version {written.version}, {written.kind}"),
            ("holds", files),
            ("size", size),
            ("took", f"{written.seconds:.2f} s"),
        ]
    if clean_log:
        cleaned = table.clean_log(dry_run=dry_run)
        document["log_cleanup"] = cleaned.to_dict()
        facts.append(("log", repr(cleaned).removeprefix("clean_log: ")))
    if as_json:
        write_json(document)
    else:
        print_facts(facts)
