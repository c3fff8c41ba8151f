"""Models of sequences with vectors of users: whom they are handed, and that they score no new users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.architectures.networks import UserNetwork
from recrun.architectures.sequence import SequenceArch
from recrun.config.family import can_score_new_users
from recrun.config.resolve import resolve
from recrun.criterions import BCELoss4Logits, CrossEntropy4Logits
from recrun.data.datasets import Synthetic
from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.evaluation.held_out_users import scored_as
from recrun.recommendation.recommender import Recommender
from recrun.registry import MODELS
from recrun.workflows.build import build, prepare
from recrun.workflows.check_model import Broken, new_users
from recrun.workflows.checked_subject import Subject

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "split=leave_one_out"]
TEXT = '''
import torch

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS


@MODELS.register("mine", loss="bce", gradients="mixed")
class Mine(SequenceArch):
    """The mean of the embeddings so far, next to the vector of the user."""

    personal = True

    def __init__(self, data, *, max_length: int = 20):
        super().__init__(data, max_length)
        self.items = torch.nn.Embedding(data.n_items, 16)
        self.history = torch.nn.Embedding(data.n_items, 8)
        self.users = torch.nn.Embedding(data.n_users, 8)
        self.initialize(0.1)

    def forward(self, items, lengths):
        return self.history(items).cumsum(1) / torch.arange(1, items.size(1) + 1)[:, None]

    def personalize(self, states, users):
        return torch.cat([states, self.users(users)], dim=1)

    def item_vectors(self):
        return self.items.weight
'''


class Told(SequenceArch):
    """The state is the number of items so far, next to the user's own number: scores can be worked out by hand."""

    personal = True

    def __init__(self, data: Any, *, max_length: int = 4) -> None:
        super().__init__(data, max_length)
        self.weight = torch.nn.Parameter(torch.rand(data.n_items, 2))

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        return torch.arange(1.0, items.size(1) + 1).expand(items.shape)[..., None]

    def personalize(self, states: Tensor, users: Tensor) -> Tensor:
        return torch.cat([states, users[:, None].float()], dim=1)

    def item_vectors(self) -> Tensor:
        return self.weight


@pytest.fixture(scope="module")
def data() -> Any:
    return Synthetic(n_users=60, n_items=40, n_interactions=900, split="leave_one_out")


def test_users_are_ranked_by_their_own_vectors(data: Any) -> None:
    model = Told(data.training_data())
    model.take_histories(data.histories("test"))
    states, items = model.vectors()
    lengths = torch.from_numpy(np.minimum(data.histories("test").lengths, 4))
    expected = torch.stack([lengths.float(), torch.arange(60.0)], 1) * (lengths > 0)[:, None]
    assert torch.equal(states, expected)
    users = torch.tensor([41, 3, 3, 17])
    torch.testing.assert_close(model.score(users), expected[users] @ items.T)
    network = model.network()
    assert isinstance(network, UserNetwork)
    torch.testing.assert_close(network(users), expected[users] @ items.T)


@pytest.mark.parametrize("as_prefixes", [False, True])
def test_the_users_of_training_rows_are_handed_to_the_model(data: Any, as_prefixes: bool) -> None:
    model = Told(data.training_data(), max_length=20)
    items = torch.zeros(3, 13, dtype=torch.int64)
    items[0] = torch.arange(13)
    batch = {"user": torch.tensor([[7], [50], [8]]), "item": items, "length": torch.tensor([[13], [1], [3]])}
    if as_prefixes:
        batch |= {"target": torch.tensor([[1, 2], [5, 6], [7, 8]])}
        rows = [(13, 7, 1), (13, 7, 2), (1, 50, 5), (1, 50, 6), (3, 8, 7), (3, 8, 8)]
    else:
        rows = [(place, 7, place) for place in range(1, 13)] + [(1, 8, 0), (2, 8, 0)]
    logits = torch.tensor([[length, user] for length, user, _ in rows]).float() @ model.weight.T
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([target for *_, target in rows]))
    torch.testing.assert_close(model.training_loss(batch, CrossEntropy4Logits()), expected)
    batch["negative"] = (batch["target"] if as_prefixes else items)[..., None] + 9
    pairs = torch.stack([logits[range(len(rows)), [t + more for *_, t in rows]] for more in (0, 9)], 1)
    torch.testing.assert_close(model.training_loss(batch, BCELoss4Logits()), BCELoss4Logits().from_scores(pairs))


def test_new_users_are_refused_by_the_model_and_wherever_it_is_used(data: Any) -> None:
    model = Told(data.training_data())
    for call in (model.embed_histories, model.score_histories):
        with pytest.raises(ConfigError, match="model Told cannot score new users, whom training never saw"):
            call(CSR.empty(1))
    recommender = Recommender(model, data)
    lists = next(recommender.recommend(np.arange(5), 3))
    assert lists.items_BK.shape == (5, 3)
    with pytest.raises(ConfigError, match="model Told cannot score new users"):
        next(recommender.recommend_to_new(CSR.from_pairs(np.zeros(2, int), np.arange(2), 1), 3))
    held_out = Synthetic(n_users=60, n_items=40, n_interactions=900, split="new_users")
    with pytest.raises(ConfigError, match="model Told cannot score new users"):
        scored_as(Told(held_out.training_data()), held_out)


def test_a_personal_model_of_ones_own_is_trained_and_refused_for_new_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    name = f"{file}:Mine"
    assert MODELS.describe(name).traits.personal is True
    assert not can_score_new_users(MODELS.describe(name))
    with pytest.raises(ConfigError, match=r"split: model .*Mine cannot score new users"):
        resolve(None, [*SMALL[:-1], f"model={name}", "split=new_users"])
    for rows in ("all_positions", "prefixes", "windows"):
        resolved = resolve(None, [*SMALL, f"model={name}", "epochs=2", f"sequence_rows={rows}", "max_length=5"])
        coach = prepare(resolved, runs=tmp_path / "runs")
        assert coach.fit()["epochs"] == 2
        batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
        coach.model.users.weight.grad = None
        coach.model.training_loss(batch, coach.criterion).backward()
        is_trained = coach.model.users.weight.grad.any(1)
        assert is_trained.nonzero()[:, 0].tolist() == sorted({*batch["user"][:, 0].tolist()})


def test_one_of_the_two_that_make_a_model_personal_is_not_enough(tmp_path: Path) -> None:
    for text, message in (
        (TEXT.replace("    personal = True\n", ""), "set personal = True in its body"),
        (TEXT.replace("def personalize", "def personalise"), r"define personalize\(\)"),
    ):
        file = tmp_path / f"mine_{len(text)}.py"
        file.write_text(text.replace('"mine"', f'"mine_{len(text)}"'), encoding="utf-8")
        with pytest.raises(ConfigError, match=f"class Mine: a model with vectors of users needs both; {message}"):
            build(resolve(None, [*SMALL, f"model={file}:Mine"]))


def test_a_check_finds_a_personal_model_that_claims_to_score_new_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    new_users(Subject(f"{file}:Mine", ["split=leave_one_out"]))
    file = tmp_path / "other.py"
    own = TEXT.replace('"mine"', '"other"')
    file.write_text(f"{own}\n    def embed_histories(self, histories):\n        return 0\n", encoding="utf-8")
    with pytest.raises(Broken, match=r"it defines embed_histories\(\), so remove it: with personal = True"):
        new_users(Subject(f"{file}:Mine", ["split=leave_one_out"]))
