"""``python -m lakefmt.cli``: the ``lakefmt`` command where no script is installed."""

from lakefmt.cli import main

main()
