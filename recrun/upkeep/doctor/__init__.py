"""Check the installation and the machine, and say what to do about what is wrong."""
