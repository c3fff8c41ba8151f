"""Plan the trials of a study, decide which is next, run them on an engine, and keep their states in a ledger."""
