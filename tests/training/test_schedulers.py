"""Learning rate schedules: their series, and their continuation after a resume."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer

from recrun.errors import ConfigError
from recrun.registry import SCHEDULERS
from recrun.registry.read_object import describe_object
from recrun.training.schedulers import Schedule

EPOCHS = 12
VALUES = [0.10, 0.20, 0.19, 0.18, 0.20, 0.15, 0.21, 0.20, math.nan, 0.20, 0.20, 0.10]


def optimizer(*rates: float) -> Optimizer:
    return SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.1,)], lr=0.1)


def build(name: str, target: Optimizer, **settings: Any) -> Schedule:
    schedule: Schedule = SCHEDULERS.get(name)(target, EPOCHS, **settings)
    return schedule


def series(name: str, n: int = EPOCHS, **settings: Any) -> list[float]:
    """Return the rates with which epochs 0 to n - 1 are trained."""
    schedule = build(name, optimizer(), **settings)
    rates = []
    for epoch in range(n):
        rates.append(schedule.rates[0])
        schedule.step(VALUES[epoch % len(VALUES)])
    return rates


def test_what_is_read_from_the_source_is_what_the_functions_say() -> None:
    for component in SCHEDULERS:
        described = describe_object("lr_scheduler", component.name, SCHEDULERS.get(component.name), {})
        assert component.parameters == described.parameters
        assert component.summary
        assert all(parameter.help for parameter in component.parameters)


def test_only_plateau_needs_a_value() -> None:
    assert [component.name for component in SCHEDULERS if component.traits.needs_value] == ["plateau"]


def test_none_keeps_the_rate() -> None:
    assert series("none") == [0.1] * EPOCHS


def test_step_multiplies_every_few_epochs() -> None:
    assert series("step", 7, lr_step_size=3, lr_gamma=0.5) == pytest.approx([0.1] * 3 + [0.05] * 3 + [0.025])


def test_exponential_multiplies_every_epoch() -> None:
    assert series("exponential", 3, lr_gamma=0.5) == pytest.approx([0.1, 0.05, 0.025])


def test_cosine_falls_from_the_full_rate_to_the_smallest_and_stays() -> None:
    rates = series("cosine", EPOCHS + 3, lr_min=0.02)
    assert rates[0] == pytest.approx(0.1)
    assert rates[EPOCHS // 2] == pytest.approx(0.06)
    assert rates[EPOCHS:] == pytest.approx([0.02] * 3)
    assert rates == sorted(rates, reverse=True)


def test_warmup_rises_in_equal_steps_then_stays() -> None:
    assert series("warmup", 5, warmup_epochs=3) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert series("warmup", 2, warmup_epochs=0) == pytest.approx([0.1, 0.1])


def test_plateau_lowers_the_rate_after_patience_is_used_up() -> None:
    # After epoch 1 the best is 0.20; three values that do not beat it (epochs 2 to 4) lower the rate for epoch 5.
    # Epoch 6 improves; epochs 7 to 9, one of them NaN, do not: epoch 10 is trained with a quarter.
    rates = series("plateau", lr_gamma=0.5, lr_patience=2)
    assert rates == pytest.approx([0.1] * 5 + [0.05] * 5 + [0.025] * 2)


def test_plateau_stops_at_the_smallest_rate() -> None:
    rates = series("plateau", lr_gamma=0.1, lr_patience=0, lr_min=0.004)
    assert rates[2:5] == pytest.approx([0.1, 0.01, 0.004])
    assert min(rates) == 0.004


def test_plateau_ignores_epochs_without_an_evaluation() -> None:
    schedule = build("plateau", optimizer(), lr_patience=0)
    schedule.step(0.5)
    for _ in range(4):
        schedule.step(None)
    assert schedule.rates == [0.1]
    schedule.step(0.4)
    assert schedule.rates == [0.05]


@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_a_smallest_rate_above_the_starting_rate_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^lr_min: expected at most lr, 0.1, found 0.5$"):
        build(name, optimizer(), lr_min=0.5)


@pytest.mark.parametrize("name", SCHEDULERS.names())
def test_every_parameter_group_keeps_its_own_base_rate(name: str) -> None:
    schedule = build(name, optimizer(0.1, 0.4))
    for value in VALUES:
        assert schedule.rates[1] == pytest.approx(4 * schedule.rates[0])
        schedule.step(value)


@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("resumed_at", [0, 1, 4, 9])
@pytest.mark.parametrize("name", SCHEDULERS.names())
def test_a_resumed_schedule_continues_exactly(name: str, resumed_at: int, optimizer_first: bool) -> None:
    whole, before = optimizer(0.1, 0.3), optimizer(0.1, 0.3)
    uninterrupted, first = build(name, whole), build(name, before)
    for value in VALUES[:resumed_at]:
        uninterrupted.step(value)
        first.step(value)
    # A checkpoint is JSON, strictly: no Infinity, no objects.
    state = json.loads(json.dumps(first.state_dict(), allow_nan=False))
    after = optimizer(0.1, 0.3)
    if optimizer_first:
        after.load_state_dict(before.state_dict())
    second = build(name, after)
    if not optimizer_first:
        after.load_state_dict(before.state_dict())
    second.load_state_dict(state)
    assert second.rates == uninterrupted.rates
    for value in VALUES[resumed_at:]:
        second.step(value)
        uninterrupted.step(value)
        assert second.rates == uninterrupted.rates
    assert second.state_dict() == uninterrupted.state_dict()
