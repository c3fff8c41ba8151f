"""Say what a file of interactions or labelled rows is, and what is wrong with it."""
