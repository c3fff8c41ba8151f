"""Build and train the model that `recrun check` tests, on small synthetic data.

Shapes: U users, I items, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.axes import Sizes, grown
from recrun.config.family import Family, family_of
from recrun.config.find import bundled_config
from recrun.config.given.arguments import read_overrides
from recrun.config.reading import Given
from recrun.config.resolve import Resolved, resolve, resolve_given
from recrun.criterions.base import checked_loss
from recrun.data.interactions import Interactions, TrainingData
from recrun.evaluation.predictions import predict
from recrun.registry import MODELS
from recrun.training.coach import Coach
from recrun.workflows.build import build

_DATA: Final[dict[str, dict[str, str | int]]] = {
    "ranking": {"dataset": "Synthetic", "n_users": 120, "n_items": 80, "n_interactions": 2400},
    "predictions": {"dataset": "SyntheticClicks", "n_rows": 6000, "n_users": 60, "n_items": 40},
}
"""The synthetic data, by the evaluation of a family."""
_STRONG_TASTES: Final = {"n_interactions": 1200, "n_clusters": 8, "taste_strength": 1, "popularity_exponent": 1.2}
"""Data from which models of histories, too, learn within a few epochs."""
_CONFIGS: Final = "synthetic"
"""The folder of the bundled configs with settings for synthetic data."""
_EPOCHS: Final = 16
EARLY: Final = 6
"""The epochs after which a model that is trained again must be the same."""
_MACHINE: Final = {"device": "cpu", "threads": 1}
SEED: Final = 3


class Broken(Exception):
    """A model breaks a rule; the message says what was expected and what was found."""


@dataclass
class Subject:
    """A model that is checked.

    Args:
        name: a registered name, or `./file.py:Name`.
        overrides: `KEY=VALUE` settings for it.
    """

    name: str
    overrides: Sequence[str] = ()
    losses: list[float] = field(default_factory=list)
    early: dict[str, Tensor] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """The family of the model."""
        return family_of(MODELS.describe(self.name))

    @property
    def quick(self) -> dict[str, float]:
        """The settings with which a short training is enough."""
        if not self.family.trains:
            return {}
        has_short_rows = MODELS.describe(self.name).traits.states == "last"  # a row is one item with those before it
        batch_size = Family().check_batch_size if has_short_rows else self.family.check_batch_size
        return {"epochs": _EPOCHS, "batch_size": batch_size, "lr": 0.01}

    def resolve(self, seed: int = SEED) -> Resolved:
        """Return the config for training it on small data: its bundled config for synthetic data, if there is one.

        Raises:
            ConfigError, RegistryError: there is no such model, or it cannot take these settings.
        """
        data = _DATA[self.family.evaluation] | (_STRONG_TASTES if self.family.histories else {})
        values = {**data, **_MACHINE, **self.quick, "seed": seed}
        bundled = f"{_CONFIGS}/{self.name}"
        if bundled_config(bundled) is not None:
            given = read_overrides(self.overrides)
            rest = [f"{key}={value}" for key, value in values.items() if key not in given]
            return resolve(bundled, [*self.overrides, *rest])  # theirs first: faults count arguments
        defaults = {key: Given(value) for key, value in {"model": self.name, **values}.items()}
        return resolve_given(defaults | read_overrides(self.overrides), self.name)

    def build(self, seed: int = SEED) -> Coach:
        """Seed, and build the model and what trains it."""
        return build(self.resolve(seed))

    @cached_property
    def coach(self) -> Coach:
        """The trained model; `losses` then holds the loss of each epoch, `early` the state after `EARLY` of them."""
        coach = self.build()
        self.losses = train(coach, self.family, range(EARLY))
        self.early = {key: tensor.clone() for key, tensor in coach.model.state_dict().items()}
        self.losses += train(coach, self.family, range(EARLY, _EPOCHS)) if self.family.trains else []
        return coach

    @cached_property
    def scores(self) -> Tensor:
        """The scores of the trained model, as `scores_of` returns them."""
        return scores_of(self.coach, self.family)


def train(coach: Coach, family: Family, epochs: range) -> list[float]:
    """Train without a run folder, and return the loss of each epoch; a closed-form model is fitted, and has none."""
    if not family.trains:
        coach.model.fit(coach.dataset.base.training_data())
        return []
    losses = []
    coach.model.train()
    for epoch in epochs:
        total = 0.0
        for batch in coach.dataset.iterate("train", seed=SEED, epoch=epoch):
            loss: Any = checked_loss(coach.model.training_loss(batch, coach.criterion), coach.model, coach.criterion)
            coach.optimizer.zero_grad()
            loss.backward()
            coach.optimizer.step()
            total += float(loss.detach())
        losses.append(total)
    return losses


def renumbered(data: TrainingData, users_U: np.ndarray, items_I: np.ndarray, more: Sizes) -> TrainingData:
    """Return train data in which users and items have other numbers, and in which there are a few more of them.

    Args:
        data: the train part.
        users_U: the new number of each user.
        items_I: the new number of each item.
        more: how many users and items are added, as "user" and "item".
    """
    rows = data.interactions
    moved = Interactions(
        users_U[rows.users].astype(rows.users.dtype), items_I[rows.items].astype(rows.items.dtype), rows.columns
    )
    larger = grown(data, more)
    vectors = {name: np.zeros_like(each) for name, each in larger.item_vectors.items()}
    for name, each in data.item_vectors.items():
        vectors[name][items_I] = each
    return replace(larger, interactions=moved, item_vectors=vectors)


def scores_of(coach: Coach, family: Family) -> Tensor:
    """Return a model's scores (U, I) of all users; for a model that predicts labels, those (N,) of valid's rows."""
    coach.model.eval()
    if family.evaluation == "predictions":
        return torch.from_numpy(predict(coach.model, coach.dataset.base, "valid", coach.device)[0])
    with torch.no_grad():
        scores: Tensor = coach.model.score(torch.arange(coach.dataset.base.n_users))
    return scores
