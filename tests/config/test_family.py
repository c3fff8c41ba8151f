"""Model families: what follows from a model's base class, and a family from outside the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.family import (
    CLOSED_FORM,
    FAMILIES,
    LABELLED_ROWS,
    SAMPLED_ITEMS,
    SEQUENCES,
    WHOLE_ROWS,
    Family,
    family_of,
    family_of_class,
)
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.registry import MODELS
from recrun.runs.history import read_history
from recrun.workflows.build import prepare
from recrun.workflows.check_model import check

OUTSIDE = '''
import torch

from recrun.architectures import RecSysArch
from recrun.config.family import Family
from recrun.training.pipes import register_pipe


@register_pipe("pairs")
def pairs(resolved, dataset, data, device):
    return dataset.shuffle_().tensor_().split_(resolved.config.batch_size)


class PairsArch(RecSysArch):
    """Base of models that are trained on bare pairs of users and items."""

    family = Family(rows="pairs", without=("sampler", "positives", "draw_on"))

    def training_loss(self, batch, criterion):
        scores = (self.users(batch["user"]) * self.items(batch["item"])).sum(-1)
        return -torch.nn.functional.logsigmoid(scores).mean()


class Pairs(PairsArch):
    """Score by the product of embeddings.

    Args:
        embedding_dim: length of the embeddings.
    """

    def __init__(self, data, *, embedding_dim: int = 8) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, embedding_dim)
        self.items = torch.nn.Embedding(data.n_items, embedding_dim)
        self.initialize(0.1)

    def vectors(self):
        return self.users.weight, self.items.weight
'''


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file outside the package with a family and a model of it."""
    path = tmp_path / "pairs.py"
    path.write_text(OUTSIDE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("bprmf", SAMPLED_ITEMS),
        ("lightgcn", SAMPLED_ITEMS),
        ("multvae", WHOLE_ROWS),
        ("sasrec", SEQUENCES),
        ("deepfm", LABELLED_ROWS),
        ("ease", CLOSED_FORM),
    ],
)
def test_a_model_is_of_the_family_of_its_base_class(model: str, family: object) -> None:
    assert family_of(MODELS.describe(model)) is family


def test_every_family_is_named_by_a_base_class_that_exists() -> None:
    import recrun.architectures

    assert all(isinstance(getattr(recrun.architectures, name), type) for name in FAMILIES)


def test_a_family_from_outside_trains(outside: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("model: ./pairs.py:Pairs\ndataset: Synthetic\nn_users: 60\nn_items: 40\nn_interactions: 700\n")
    resolved = resolve(config, ["epochs=3", "lr=0.05", "device=cpu", "verbose=0"])
    assert resolved.family.rows == "pairs"
    assert "sampler" not in resolved.config
    coach = prepare(resolved, runs=tmp_path / "runs")
    assert coach.fit()["status"] == "done"
    losses = [line["values"]["loss"] for line in read_history(coach.run.metrics_lines_file) if line["split"] == "train"]
    assert losses[-1] < losses[0]


def test_a_model_of_a_family_from_outside_keeps_the_contract(outside: Path) -> None:
    assert all(verdict.ok for verdict in check(f"{outside}:Pairs"))


def test_what_a_family_does_not_take_is_refused_where_it_stands(outside: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("model: ./pairs.py:Pairs\nsampler: uniform\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:2:1: sampler: does not apply to .* is trained on pairs"):
        resolve(config)


def test_a_family_that_is_misspelt_is_a_fault_of_the_config(outside: Path) -> None:
    outside.write_text(OUTSIDE.replace('rows="pairs", without', 'rows="pairs", whithout'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pairs\.py:\d+: .*unknown trait 'whithout', did you mean 'without'\?"):
        resolve("bprmf", [f"model={outside}:Pairs"])


def test_a_class_is_of_the_family_that_its_name_is_of() -> None:
    for component in MODELS:
        assert family_of_class(MODELS.get(component.name)) == family_of(component), component.name

    declared = type("Declared", (), {"family": Family(rows="baskets")})
    assert family_of_class(type("Below", (declared,), {})).rows == "baskets"
    assert family_of_class(object) == SAMPLED_ITEMS
