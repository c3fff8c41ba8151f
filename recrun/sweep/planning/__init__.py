"""From a sweep's arguments and configs to its checked trials."""
