"""The ``lakefmt`` command: one file per command, the shared parts beside them."""

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process; ends it with exit code 0, 1 or 2."""
    from lakefmt.cli.without_pandas import do_without_pandas

    do_without_pandas()
    from lakefmt.cli.app import run

    run()
