"""Sweeps: the grid grammar, the plan of the trials, the ledger of their states, and the engines that run them."""
