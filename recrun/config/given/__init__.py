"""Settings that are given otherwise than in YAML: as Python values, and as flags of a script."""
