"""What a config can choose, by name, and known without importing it."""

from __future__ import annotations

from recrun.registry.registry import Registry

MODELS = Registry("model", "MODELS", "recrun.models", "models")
LOSSES = Registry("loss", "LOSSES", "recrun.criterions", "losses")
DATASETS = Registry("dataset", "DATASETS", "recrun.data.datasets", "datasets")
FORMATS = Registry("format", "FORMATS", "recrun.data.formats", "formats")
METRICS = Registry("metric", "METRICS", "recrun.metrics", "metrics")
OPTIMIZERS = Registry("optimizer", "OPTIMIZERS", "recrun.training.optimizers", "optimizers")
SCHEDULERS = Registry("lr_scheduler", "SCHEDULERS", "recrun.training.schedulers", "lr_schedulers")
SAMPLERS = Registry("sampler", "SAMPLERS", "recrun.data.sampling", "samplers")
REPORTERS = Registry("reporter", "REPORTERS", "recrun.report.default_reporters", "reporters")
ENGINES = Registry("engine", "ENGINES", "recrun.sweep.engines", "engines")
REGISTRIES: dict[str, Registry] = {
    registry.plural: registry
    for registry in (MODELS, LOSSES, DATASETS, FORMATS, METRICS, OPTIMIZERS, SCHEDULERS, SAMPLERS, REPORTERS, ENGINES)
}
