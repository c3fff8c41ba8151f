"""Whatever `validate` accepts is built: no setting is refused later that could have been refused from the config."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from recrun.config.find import bundled_configs
from recrun.config.resolve import Resolved, resolve
from recrun.config.settings import COMPONENTS, TRAINING
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, DataError
from recrun.registry import LOSSES, OPTIMIZERS, SAMPLERS, SCHEDULERS, choices
from recrun.registry.component import Parameter
from recrun.types import Registered
from recrun.workflows.build import build

GENERAL = sorted(name for name in bundled_configs() if "/" not in name)
SMALL = ["device=cpu", "threads=1", "verbose=0", "seed=1"]
SIZES = {"n_users": 60, "n_items": 40, "n_interactions": 900, "n_rows": 600, "batch_size": 64}
"""Small data, so that a configuration is built in milliseconds; no size of a model below exceeds it."""


def _values(parameter: Parameter) -> list[Any]:
    """Return some values that a setting can take, small and large."""
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        base, *bounds = get_args(annotation)
        names = next((choices(bound) for bound in bounds if isinstance(bound, Registered)), None)
        if names is not None:
            return names
        within = Parameter(parameter.name, base)
        return [
            value
            for value in _values(within)
            if all(value >= bound.ge for bound in bounds if hasattr(bound, "ge"))
            and all(value > bound.gt for bound in bounds if hasattr(bound, "gt"))
            and all(value <= bound.le for bound in bounds if hasattr(bound, "le"))
            and all(value < bound.lt for bound in bounds if hasattr(bound, "lt"))
        ]
    if annotation is bool:
        return [True, False]
    if annotation is int:
        return [0, 1, 2, 3, 4, 6, 8]
    if annotation is float:
        return [0.0, 0.1, 0.5, 0.6, 0.9, 1.0, 3.0]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is str or get_origin(annotation) is list:
        return []
    return [None, *(value for each in get_args(annotation) for value in _values(Parameter(parameter.name, each)))]


def _mutated(name: str, draw: random.Random) -> list[str]:
    """Return overrides of some settings of a config, and of the settings of what they choose."""
    resolved = resolve(name)
    chosen = {"loss": LOSSES, "optimizer": OPTIMIZERS, "lr_scheduler": SCHEDULERS, "sampler": SAMPLERS}
    overrides: dict[str, Any] = {}
    components = dict(resolved.components)
    for setting, registry in chosen.items():
        if setting in components and draw.random() < 0.3:
            overrides[setting] = draw.choice(registry.names())
            components[setting] = registry.describe(overrides[setting])
    free = ("root", "description", "checkpoint_minutes", "compile_model", "num_workers")
    own = [each for component in components.values() for each in component.parameters]
    training = [each for each in TRAINING if each.name in resolved.config and each.name not in (*COMPONENTS, *free)]
    for parameter in [*own, *training]:
        values = _values(parameter)
        if values and parameter.name not in SIZES and draw.random() < 0.15:
            overrides[parameter.name] = draw.choice(values)
    overrides |= {key: value for key, value in SIZES.items() if key in resolved.config}
    return [*SMALL, *(f"{key}={dump_value(value)}" for key, value in overrides.items())]


def _accepted(name: str, overrides: list[str]) -> Resolved | None:
    try:
        return resolve(name, overrides)
    except ConfigError:
        return None


@pytest.mark.parametrize("name", GENERAL)
def test_what_is_accepted_is_built(name: str) -> None:
    draw = random.Random(name)
    n_accepted, refused = 0, []
    for _ in range(300):
        overrides = _mutated(name, draw)
        resolved = _accepted(name, overrides)
        if resolved is None:
            continue
        n_accepted += 1
        try:
            build(resolved)
        except (ConfigError, DataError, ValueError, TypeError) as error:
            # What is known when the data is drawn or built; sessions cut at gaps of a second hold one item.
            of_data = (
                *("is left for train", "nothing would decay", "train interactions, the fewest for"),
                "needs a column with a history",
            )
            if not any(known in str(error) for known in of_data):
                refused.append((overrides, f"{type(error).__name__}: {error}"))
        if n_accepted == 6:
            break
    assert refused == []
    assert n_accepted > 0


@pytest.mark.parametrize("name", GENERAL)
def test_every_optimizer_that_is_accepted_takes_the_model(name: str) -> None:
    sizes = [f"{key}={value}" for key, value in SIZES.items() if key in resolve(name).config]
    for optimizer in OPTIMIZERS.names():
        resolved = _accepted(name, [*SMALL, *sizes, f"optimizer={optimizer}"])
        if resolved is not None:
            build(resolved)
