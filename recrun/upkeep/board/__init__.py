"""Tables of results, made from run folders and kept in a file from which pages are written."""
