"""Run the `recrun` command with `python -m recrun`."""

from recrun.cli.main import main

main()
