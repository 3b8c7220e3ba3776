"""``lakefmt sql``: a query over tables, its rows as a table, CSV, JSON or Parquet."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

from lakefmt.cli.options import AsJson, StorageOption, parse_storage_options
from lakefmt.cli.output import print_line, print_note, print_rows, write_json
from lakefmt.cli.values import json_rows, plain_rows
from lakefmt.errors import InvalidInputError, InvalidQueryError, StoreError
from lakefmt.wording import plural, printable

if TYPE_CHECKING:
    import pyarrow as pa

    from lakefmt.query import Query

__all__ = ["sql"]

_SHOWN = 50

Format = Literal["table", "csv", "json", "parquet"]


def sql(
    text: Annotated[
        str,
        typer.Argument(metavar="SQL", help="One statement in DuckDB's SQL that reads.", show_default=False),
    ],
    *,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            "-t",
            metavar="NAME=URI",
            help="What a name in the text stands for (repeatable); a URI between quotes may stand in FROM itself.",
            show_default=False,
        ),
    ] = None,
    storage_option: StorageOption = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="How rows are written; unless given, as --output ends, else a table."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Write to this file, not to stdout.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=0, metavar="N", help="Show at most so many rows of a table; 0: all."
        ),
    ] = _SHOWN,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show what would be read and how the query would run; run nothing."),
    ] = False,
    analyze: Annotated[
        bool,
        typer.Option(
            "--analyze",
            help="Run the query and show rows, time, memory, bytes read and spilled, and its plan; not its rows.",
        ),
    ] = False,
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit",
            metavar="SIZE",
            help="What the query may take, such as 2GB or 50%; by default 70 % of the memory. More is spilled to disk.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Query tables. Only files that may hold a row that matters are read; nothing else is, and nothing is written.

    With --json: columns (name, type), rows. Times are ISO 8601, decimals text, bytes base64, NaN null. With --explain or
    --analyze: tables, operators, planning_seconds, memory_limit, executor, reason, and seconds, rows, peak_memory_bytes,
    spilled_bytes.

    Example: lakefmt sql "SELECT city, sum(fare) FROM trips GROUP BY ALL" --table trips=s3://bucket/trips

    Example: lakefmt sql "FROM './trips' AT (VERSION => 3)" --output old.parquet
    """
    form = _choose_format(output_format, output, as_json=as_json)
    from lakefmt.query import sql as run_sql

    with _pointing_at(text):
        query = run_sql(
            text,
            _parse_tables(table),
            storage_options=parse_storage_options(storage_option) or None,
            memory_limit=memory_limit,
        )
    if explain or analyze:
        explanation = query.explain(analyze=analyze)
        if as_json:
            write_json(dataclasses.asdict(explanation))
        else:
            print_line(str(explanation))
        return
    match form:
        case "table":
            _print_table(query, limit)
        case "json" if output is None:
            write_json({"columns": _columns(query)}, ("rows", _json_batches(query)))
        case _:
            with _opened(output) as file:
                _WRITERS[form](query, file)


@contextlib.contextmanager
def _pointing_at(text: str) -> Iterator[None]:
    """Have a mistake in the text shown in its line, with a mark below it."""
    try:
        yield
    except InvalidQueryError as error:
        if error.line is not None and error.column is not None:
            line = printable(text.split("\n")[error.line - 1])
            sys.stderr.write(f"{line}\n{' ' * (error.column - 1)}^\n")
        raise


def _choose_format(form: Format | None, output: Path | None, *, as_json: bool) -> Format:
    if as_json:
        if form not in (None, "json"):
            raise typer.BadParameter("--json and another format", param_hint="'--format'")
        return "json"
    if form is None and output is not None:
        found = output.suffix.lower().removeprefix(".")
        if found not in _WRITERS:
            raise typer.BadParameter(
                "end it in .csv, .json or .parquet, or give --format", param_hint="'--output'"
            )
        return found  # type: ignore[return-value]
    if form == "table" and output is not None:
        raise typer.BadParameter(
            "a table is for a terminal; choose csv, json or parquet", param_hint="'--format'"
        )
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise typer.BadParameter(
            "Parquet is nothing for a terminal: give --output FILE", param_hint="'--format'"
        )
    return form or "table"


def _parse_tables(pairs: list[str] | None) -> dict[str, str]:
    tables: dict[str, str] = {}
    for pair in pairs or ():
        name, separator, uri = pair.partition("=")
        if not separator or not name.strip() or not uri:
            raise typer.BadParameter("write it as NAME=URI", param_hint="'--table'")
        if name.strip() in tables:
            raise typer.BadParameter(f"{name.strip()} is named twice", param_hint="'--table'")
        tables[name.strip()] = uri
    return tables


def _print_table(query: "Query", limit: int) -> None:
    """Print the first rows; the query is stopped once they are there."""
    import pyarrow as pa

    wanted = limit + 1 if limit else None
    batches, count = [], 0
    with contextlib.closing(query.to_batches()) as stream:
        for batch in stream:
            batches.append(batch)
            count += batch.num_rows
            if wanted is not None and count >= wanted:
                break
    rows = pa.Table.from_batches(batches, query.schema)
    shown = rows.slice(0, limit) if limit else rows
    hidden = print_rows(plain_rows(shown))
    if hidden:
        print_note(f"{plural(hidden, 'more column')} to the right")
    if shown.num_rows < rows.num_rows:
        print_note("... and more rows; --limit 0 shows all, --output FILE writes them")


def _columns(query: "Query") -> list[dict[str, str]]:
    return [{"name": field.name, "type": str(field.type)} for field in query.schema]


def _json_batches(query: "Query") -> Iterator[list[dict[str, Any]]]:
    import pyarrow as pa

    for batch in query.to_batches():
        if batch.num_rows:
            yield json_rows(plain_rows(pa.Table.from_batches([batch])))


def _write_json(query: "Query", file: BinaryIO) -> None:
    """Write one JSON object a row and line."""
    import orjson

    for rows in _json_batches(query):
        file.writelines(orjson.dumps(row, default=str, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _write_csv(query: "Query", file: BinaryIO) -> None:
    from pyarrow import csv

    writer = None
    for batch in _plain_batches(query):
        writer = writer or csv.CSVWriter(file, batch.schema)
        writer.write_table(batch)
    if writer is not None:
        writer.close()


def _write_parquet(query: "Query", file: BinaryIO) -> None:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(file, query.schema, compression="zstd") as writer:
            for batch in query.to_batches():
                writer.write_batch(batch)
    except NotImplementedError as error:
        raise InvalidInputError(
            f"A column has a type that Parquet does not: {error}", hint="CAST it in the query"
        ) from error


_WRITERS = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}


def _plain_batches(query: "Query") -> Iterator["pa.Table"]:
    """Yield the rows with columns of one value each; at least one batch."""
    import pyarrow as pa

    any_rows = False
    for batch in query.to_batches():
        any_rows = True
        yield plain_rows(pa.Table.from_batches([batch]), nested=False)
    if not any_rows:
        yield plain_rows(query.schema.empty_table(), nested=False)


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Open what is written to; a file has its name once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(output)
    except OSError as error:
        raise StoreError(f"cannot write {output}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
