"""Hold one registry for each kind of component that a config can choose by name."""

from __future__ import annotations

from recrun.registry.registry import Registry
from recrun.registry.traits import (
    DatasetTraits,
    FormatTraits,
    LossTraits,
    MetricKindTraits,
    MetricTraits,
    ModelTraits,
    OptimizerTraits,
    ReporterTraits,
    SamplerTraits,
    SchedulerTraits,
    SplitTraits,
    Traits,
)
from recrun.types import Registered

MODELS = Registry("model", "MODELS", "recrun.models", "models", ModelTraits)
LOSSES = Registry("loss", "LOSSES", "recrun.criterions", "losses", LossTraits)
DATASETS = Registry("dataset", "DATASETS", "recrun.data.datasets", "datasets", DatasetTraits)
FORMATS = Registry("format", "FORMATS", "recrun.data.formats", "formats", FormatTraits)
METRICS = Registry("metric", "METRICS", "recrun.metrics", "metrics", MetricTraits)
METRIC_KINDS = Registry("metric kind", "METRIC_KINDS", "recrun.metrics", "metric_kinds", MetricKindTraits)
OPTIMIZERS = Registry("optimizer", "OPTIMIZERS", "recrun.training.optimizers", "optimizers", OptimizerTraits)
SCHEDULERS = Registry("lr_scheduler", "SCHEDULERS", "recrun.training.schedulers", "lr_schedulers", SchedulerTraits)
SAMPLERS = Registry("sampler", "SAMPLERS", "recrun.data.sampling", "samplers", SamplerTraits)
SPLITS = Registry("split", "SPLITS", "recrun.data.splits", "splits", SplitTraits)
REPORTERS = Registry("reporter", "REPORTERS", "recrun.report.default_reporters", "reporters", ReporterTraits)
ENGINES = Registry("engine", "ENGINES", "recrun.sweep.engines", "engines", Traits)
_ALL = (
    MODELS,
    LOSSES,
    DATASETS,
    FORMATS,
    METRICS,
    METRIC_KINDS,
    OPTIMIZERS,
    SCHEDULERS,
    SAMPLERS,
    SPLITS,
    REPORTERS,
    ENGINES,
)
REGISTRIES: dict[str, Registry] = {registry.plural: registry for registry in _ALL}


def choices(registered: Registered) -> list[str]:
    """Return the names that a setting accepts, besides `path/to/file.py:Name`."""
    names = [name for name in REGISTRIES[registered.kinds].names() if name not in registered.without]
    return [*names, *registered.also]
