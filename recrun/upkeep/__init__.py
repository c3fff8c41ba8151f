"""Keep things in order: remove runs, check an installation, write tables of results."""
