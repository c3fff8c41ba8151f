"""Read interactions from files, split them, and turn them into batches."""
