"""``python -m pylfr``: the command line."""

from pylfr.cli import main

main()
