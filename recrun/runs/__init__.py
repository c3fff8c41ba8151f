"""Read, write, find, list and resume run folders."""
