"""What a config can choose, by name, and known without importing it."""

from __future__ import annotations

from recrun.registry.registry import Registry
from recrun.types import Registered

MODELS = Registry("model", "MODELS", "recrun.models", "models")
LOSSES = Registry("loss", "LOSSES", "recrun.criterions", "losses")
DATASETS = Registry("dataset", "DATASETS", "recrun.data.datasets", "datasets")
FORMATS = Registry("format", "FORMATS", "recrun.data.formats", "formats")
METRICS = Registry("metric", "METRICS", "recrun.metrics", "metrics")
OPTIMIZERS = Registry("optimizer", "OPTIMIZERS", "recrun.training.optimizers", "optimizers")
SCHEDULERS = Registry("lr_scheduler", "SCHEDULERS", "recrun.training.schedulers", "lr_schedulers")
SAMPLERS = Registry("sampler", "SAMPLERS", "recrun.data.sampling", "samplers")
SPLITS = Registry("split", "SPLITS", "recrun.data.splits", "splits")
REPORTERS = Registry("reporter", "REPORTERS", "recrun.report.default_reporters", "reporters")
ENGINES = Registry("engine", "ENGINES", "recrun.sweep.engines", "engines")
_ALL = (MODELS, LOSSES, DATASETS, FORMATS, METRICS, OPTIMIZERS, SCHEDULERS, SAMPLERS, SPLITS, REPORTERS, ENGINES)
REGISTRIES: dict[str, Registry] = {registry.plural: registry for registry in _ALL}


def choices(registered: Registered) -> list[str]:
    """Return the names that a setting may have, besides a user's own `path/to/file.py:Name`."""
    names = [name for name in REGISTRIES[registered.kinds].names() if name not in registered.without]
    return [*names, *registered.also]
