"""recrun: train, evaluate, sweep and compare top-k recommenders from YAML configs."""

__version__ = "0.1.0"
