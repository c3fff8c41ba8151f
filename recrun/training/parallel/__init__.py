"""Train one model by several processes that see the batches of one: each takes a share of the rows of every batch."""
