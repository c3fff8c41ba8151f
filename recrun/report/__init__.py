"""What a run shows on the terminal and writes into its folder."""
