"""Commands that train many runs: searches, and the last step after them."""
