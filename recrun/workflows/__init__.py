"""What a command calls: one verb a module."""
