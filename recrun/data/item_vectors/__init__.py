"""Read vectors of items, such as embeddings of texts or images, and match them to the items of a data set."""
