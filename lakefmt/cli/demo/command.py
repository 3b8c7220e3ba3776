"""``lakefmt demo``: where the demo's table goes, and what is printed around its steps."""

from typing import Annotated

import typer

from lakefmt.cli.options import AsJson, StorageOption, parse_storage_options
from lakefmt.errors import InvalidInputError
from lakefmt.store.location import parse_location

__all__ = ["demo"]


def demo(
    uri: Annotated[
        str | None,
        typer.Argument(
            metavar="[URI]", help="Where to make the table; a fresh temporary folder without one."
        ),
    ] = None,
    storage_option: StorageOption = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show it on real data: four writers, time travel, SQL.

    The 336,776 flights that left New York in 2013 go into one table: four processes append the months at the same
    time; it is read with a filter and at an earlier version, has one month overwritten, and is queried in SQL, and by
    DuckDB. Each step checks what it shows; the table is kept. Needs the extra: pip install 'lakefmt[demo]'.

    With --json: table, seconds, steps: title, seconds, and what the step found.

    Example: lakefmt demo s3://bucket/flights
    """
    from lakefmt.cli.demo.stage import Stage
    from lakefmt.cli.demo.steps import STEPS, Scene, close, open_scene

    if uri is not None and parse_location(uri).kind == "memory":
        raise InvalidInputError(
            "memory:// is this process's own, and the demo's writers are four processes",
            hint="Give it a folder or an object store",
        )
    scene: Scene = open_scene(uri, parse_storage_options(storage_option))
    stage = Stage(quiet=as_json)
    stage.opening(scene.uri, scene.flights.num_rows)
    for step in STEPS:
        with stage.step(step.title):
            step.play(scene, stage)
    close(scene, stage)
    if as_json:
        stage.write_json(scene.uri)
