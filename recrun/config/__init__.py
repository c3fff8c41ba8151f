"""Read YAML files and KEY=VALUE arguments into one checked `Config`."""
