"""Report on runs: on the terminal and in files of the run folder."""
