"""Run sweeps: parse the grid, plan the trials, keep their states in a ledger, and run them on an engine."""
