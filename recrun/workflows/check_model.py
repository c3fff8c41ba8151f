"""Check a model against the rules that every model must follow, for `recrun check` and for the tests of recrun.

The model is trained on small synthetic data. Each rule tests one property and explains what is wrong.

Shapes: U users, I items, N rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.base import RecSysArch
from recrun.config.family import Family, family_of
from recrun.config.find import bundled_configs, read_overrides
from recrun.config.monitor_names import MetricName
from recrun.config.resolve import Resolved, resolve, resolve_given
from recrun.config.yaml_reader import Given
from recrun.evaluation.predictions import measure, predict
from recrun.registry import MODELS
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.training.coach import Coach
from recrun.workflows.build import build

_DATA: Final[dict[str, dict[str, str | int]]] = {
    "ranking": {"dataset": "Synthetic", "n_users": 120, "n_items": 80, "n_interactions": 2400},
    "predictions": {"dataset": "SyntheticClicks", "n_rows": 6000, "n_users": 60, "n_items": 40},
}
"""The synthetic data, by the evaluation of a family."""
_CONFIGS: Final = "synthetic"
"""The folder of the bundled configs with settings for synthetic data."""
_EPOCHS: Final = 16
_MACHINE: Final = {"device": "cpu", "threads": 1}
_CUTOFF: Final = 10
_SEED: Final = 3


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

    @property
    def family(self) -> Family:
        """The family of the model."""
        return family_of(MODELS.describe(self.name))

    @property
    def quick(self) -> dict[str, float]:
        """The settings with which a short training is enough."""
        if not self.family.trains:
            return {}
        return {"epochs": _EPOCHS, "batch_size": self.family.check_batch_size, "lr": 0.01}

    def resolve(self, seed: int = _SEED) -> Resolved:
        """Return the config for training it on small data: its bundled config for synthetic data, if there is one.

        Raises:
            ConfigError, RegistryError: there is no such model, or it cannot take these settings.
        """
        values = {**_DATA[self.family.evaluation], **_MACHINE, **self.quick, "seed": seed}
        bundled = f"{_CONFIGS}/{self.name}"
        if bundled in bundled_configs():
            given = read_overrides(self.overrides)
            rest = [f"{key}={value}" for key, value in values.items() if key not in given]
            return resolve(bundled, [*self.overrides, *rest])  # theirs first: faults count arguments
        defaults = {key: Given(value) for key, value in {"model": self.name, **values}.items()}
        return resolve_given(defaults | read_overrides(self.overrides), self.name)

    def build(self, seed: int = _SEED) -> Coach:
        """Seed, and build the model and what trains it."""
        return build(self.resolve(seed))

    @cached_property
    def coach(self) -> Coach:
        """The trained model; `losses` then holds the loss of each epoch."""
        coach = self.build()
        self.losses = train(coach, self.family)
        return coach

    @cached_property
    def scores(self) -> Tensor:
        """The scores of the trained model, as `scores_of` returns them."""
        return scores_of(self.coach, self.family)


@dataclass(frozen=True)
class Verdict:
    """The result of one rule.

    Args:
        rule: its name.
        claim: what it requires.
        ok: whether the model follows it.
        message: what is wrong, or None.
    """

    rule: str
    claim: str
    ok: bool
    message: str | None = None


def check(name: str, overrides: Sequence[str] = ()) -> list[Verdict]:
    """Train a model on small data and check every rule.

    Args:
        name: a registered name, or `./file.py:Name`.
        overrides: `KEY=VALUE` settings for it.

    Raises:
        ConfigError, RegistryError: there is no such model, or it cannot take these settings.
    """
    subject = Subject(name, overrides)
    subject.resolve()
    verdicts = []
    for rule in RULES:
        claim = (rule.__doc__ or "").strip().rstrip(".")
        title = rule.__name__.replace("_", " ")
        try:
            rule(subject)
        except Broken as broken:
            verdicts.append(Verdict(title, claim, False, str(broken)))
        except Exception as error:  # an error in the model's code is a result as well
            verdicts.append(Verdict(title, claim, False, f"raised {type(error).__name__}: {error}"))
        else:
            verdicts.append(Verdict(title, claim, True))
            continue
        if rule is is_built:
            break  # the other rules need a model
    return verdicts


def train(coach: Coach, family: Family) -> list[float]:
    """Train without a run folder, and return the loss of each epoch; a closed-form model has none."""
    if not family.trains:
        coach.model.fit(coach.dataset.base.training_data())
        return []
    losses = []
    coach.model.train()
    for epoch in range(_EPOCHS):
        total = 0.0
        for batch in coach.dataset.iterate("train", seed=_SEED, epoch=epoch):
            loss = coach.model.training_loss(batch, coach.criterion)
            coach.optimizer.zero_grad()
            loss.backward()
            coach.optimizer.step()
            total += float(loss.detach())
        losses.append(total)
    return losses


def scores_of(coach: Coach, family: Family) -> Tensor:
    """Return a model's scores (U, I) of all users; for a model that predicts labels, those (N,) of valid's rows."""
    coach.model.eval()
    if family.evaluation == "predictions":
        return torch.from_numpy(predict(coach.model, coach.dataset.base, "valid", coach.device)[0])
    with torch.no_grad():
        scores: Tensor = coach.model.score(torch.arange(coach.dataset.base.n_users))
    return scores


def is_built(subject: Subject) -> None:
    """The model can be built from the training data and its settings, and trained."""
    model = subject.build().model
    if not isinstance(model, RecSysArch):
        raise Broken(f"expected a class derived from RecSysArch or ClosedFormArch, found {type(model).__name__}")
    assert subject.coach is not None


def shapes(subject: Subject) -> None:
    """score(users) returns a row for each user with a score for each item."""
    base = subject.coach.dataset.base
    if subject.family.evaluation == "predictions":
        if subject.scores.shape != (len(base.interactions("valid")),):
            raise Broken("forward(batch) must return one logit for each row")
        return
    expected, found = (base.n_users, base.n_items), tuple(subject.scores.shape)
    if found != expected:
        raise Broken(f"score(users) of all {base.n_users} users has shape {found}; expected {expected}")


def finite(subject: Subject) -> None:
    """All scores are finite."""
    wrong = int((~subject.scores.isfinite()).sum())
    if wrong:
        raise Broken(f"{wrong} of {subject.scores.numel()} scores are NaN or infinite")


def vectors(subject: Subject) -> None:
    """If vectors() is defined, its products are the scores."""
    model = subject.coach.model
    with torch.no_grad():
        pair = model.vectors()
    if pair is None:
        return
    products = pair[0] @ pair[1].T
    if products.shape != subject.scores.shape or not torch.allclose(products, subject.scores, rtol=1e-4, atol=1e-5):
        raise Broken(
            "the products of vectors() are not the scores of score(users); define only one of them, or make them agree"
        )


def rows(subject: Subject) -> None:
    """The scores of some users are the same as their rows in the scores of all users."""
    if subject.family.evaluation == "predictions":
        return
    users = torch.tensor([7, 0, 119])
    users = users[users < subject.coach.dataset.base.n_users]
    with torch.no_grad():
        some = subject.coach.model.score(users)
    wanted = subject.scores[users]
    if some.shape != wanted.shape or not torch.allclose(some, wanted, rtol=1e-4, atol=1e-5):
        raise Broken(f"score([{', '.join(map(str, users.tolist()))}]) differs from those rows of all users' scores")


def loss_falls(subject: Subject) -> None:
    """Training lowers the loss by at least 10 %; a closed-form model has no loss."""
    coach = subject.coach
    if not subject.family.trains:
        try:
            coach.model.training_loss({}, coach.criterion)
        except Exception as error:
            if "closed form" in str(error):
                return
        raise Broken("a closed-form model has no training loss; do not override training_loss() of ClosedFormArch")
    first, last = subject.losses[0], subject.losses[-1]
    if not last < 0.9 * first:
        raise Broken(f"the loss was {first:.6g} in the first epoch and is {last:.6g} after {len(subject.losses)}")


def same_seed(subject: Subject) -> None:
    """The same seed gives the same model, bit for bit."""
    again = subject.build()
    if train(again, subject.family) != subject.losses:
        raise Broken("trained again with the same seed, the losses differ; use only torch's global random generator")
    mine, other = subject.coach.model.state_dict(), again.model.state_dict()
    different = [key for key, tensor in mine.items() if not torch.equal(tensor, other[key])]
    if different:
        raise Broken(f"trained again with the same seed, {', '.join(different[:3])} differ")


def checkpoint(subject: Subject) -> None:
    """A checkpoint holds the whole model: loaded into a new model, it gives the same scores."""
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(f"{folder}/checkpoint.safetensors", {"model": subject.coach.model.state_dict()})
        fresh = subject.build(seed=_SEED + 1)
        fresh.model.load_state_dict(load_checkpoint(folder)["model"])
    if not torch.equal(subject.scores, scores_of(fresh, subject.family)):
        raise Broken("loaded into a new model, it gives different scores; keep all state in parameters or buffers")


def better_than_chance(subject: Subject) -> None:
    """The model finds more than 1.5 times as many held-out items as chance."""
    base = subject.coach.dataset.base
    if subject.family.evaluation == "predictions":
        _predicts_better_than_chance(subject)
        return
    scores = subject.scores.numpy().copy()
    seen, held_out = base.csr("train").to_scipy(base.n_items), base.csr("valid").to_scipy(base.n_items)
    scores[seen.nonzero()] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :_CUTOFF]
    hits = int(np.take_along_axis(held_out.toarray(), top, axis=1).sum())
    chance = held_out.nnz * _CUTOFF / (base.n_items - seen.nnz / base.n_users)
    if not hits > 1.5 * chance:
        raise Broken(f"finds {hits} of {held_out.nnz} held-out items in the top {_CUTOFF}; chance finds {chance:.0f}")


def _predicts_better_than_chance(subject: Subject) -> None:
    """Raise Broken unless the AUC on test is more than halfway from chance to that of the generating model."""
    base = subject.coach.dataset.base
    found = measure(*predict(subject.coach.model, base, "test", subject.coach.device), [MetricName("auc")])["auc"]
    best = getattr(base, "best", {"auc": 1.0})["auc"]
    if not found > 0.5 + 0.5 * (best - 0.5):
        raise Broken(f"the AUC of its predictions is {found:.3f}; chance has 0.5, the generating model {best:.3f}")


RULES: Final[tuple[Callable[[Subject], None], ...]] = (
    is_built,
    shapes,
    finite,
    vectors,
    rows,
    loss_falls,
    same_seed,
    checkpoint,
    better_than_chance,
)
"""The rules, in the order in which they are checked."""
