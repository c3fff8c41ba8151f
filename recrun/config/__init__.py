"""From YAML and KEY=VALUE to one checked `Config`."""
