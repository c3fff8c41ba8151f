"""`python -m recrun` is `recrun`."""

from recrun.cli.main import main

main()
