"""Sample negatives: items that a user has not interacted with."""
