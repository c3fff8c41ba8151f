"""What is shown on the terminal; the only part of the library that imports rich."""
