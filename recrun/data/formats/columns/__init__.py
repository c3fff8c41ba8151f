"""Find out which column holds what, and which rows are used."""
