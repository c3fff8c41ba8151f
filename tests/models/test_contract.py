"""The contract every registered model keeps, whatever its family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recrun.architectures import ClosedFormArch
from recrun.checkpoint import load_checkpoint, save_checkpoint
from recrun.experiment import build
from recrun.launcher import Coach
from recrun.registry import MODELS
from recrun.resolve import resolve

SMALL = ["dataset=Synthetic", "n_users=120", "n_items=80", "n_interactions=2400", "device=cpu", "threads=1"]
QUICK = ["epochs=12", "batch_size=256", "lr=0.01"]


def _coach(name: str, seed: int = 3) -> Coach:
    closed_form = "ClosedFormArch" in MODELS.describe(name).bases
    return build(resolve(name, [*SMALL, *([] if closed_form else QUICK), f"seed={seed}"]))


def _train(coach: Coach, name: str, epochs: int = 12) -> list[float]:
    """Train without a run folder, and return the loss of each epoch."""
    if isinstance(coach.model, ClosedFormArch):
        coach.model.fit(coach.dataset.base.training_data())
        return []
    losses = []
    coach.model.train()
    for epoch in range(epochs):
        total = 0.0
        for batch in coach.dataset.iterate("train", seed=3, epoch=epoch):
            loss = coach.model.training_loss(batch, coach.criterion)
            coach.optimizer.zero_grad()
            loss.backward()
            coach.optimizer.step()
            total += float(loss.detach())
        losses.append(total)
    return losses


def _scores(coach: Coach) -> torch.Tensor:
    coach.model.eval()
    with torch.no_grad():
        return coach.model.score(torch.arange(coach.dataset.base.n_users))


@pytest.fixture(scope="module", params=MODELS.names())
def trained(request: pytest.FixtureRequest) -> tuple[str, Coach, list[float]]:
    name: str = request.param
    coach = _coach(name)
    return name, coach, _train(coach, name)


def test_a_bundled_config_carries_the_models_name(trained: tuple[str, Coach, list[float]]) -> None:
    assert resolve(trained[0]).config.model == trained[0]


def test_the_docstring_cites_its_source(trained: tuple[str, Coach, list[float]]) -> None:
    component = MODELS.describe(trained[0])
    assert component.source
    assert component.summary.endswith(".")
    assert all(parameter.help for parameter in component.parameters), "every setting has its help"


def test_scores_cover_every_user_and_item_and_are_finite(trained: tuple[str, Coach, list[float]]) -> None:
    _, coach, _ = trained
    scores = _scores(coach)
    assert scores.shape == (coach.dataset.base.n_users, coach.dataset.base.n_items)
    assert scores.isfinite().all()


def test_vectors_and_scores_agree(trained: tuple[str, Coach, list[float]]) -> None:
    _, coach, _ = trained
    with torch.no_grad():
        vectors = coach.model.vectors()
        if vectors is None:
            assert type(coach.model).score is not type(coach.model).__mro__[-1], "a model has vectors or scores"
            return
        torch.testing.assert_close(vectors[0] @ vectors[1].T, _scores(coach))


def test_scores_of_some_users_are_rows_of_the_scores_of_all(trained: tuple[str, Coach, list[float]]) -> None:
    _, coach, _ = trained
    users = torch.tensor([7, 0, 119])
    with torch.no_grad():
        torch.testing.assert_close(coach.model.score(users), _scores(coach)[users])


def test_the_loss_falls(trained: tuple[str, Coach, list[float]]) -> None:
    name, coach, losses = trained
    if isinstance(coach.model, ClosedFormArch):
        with pytest.raises(Exception, match="closed form"):
            coach.model.training_loss({}, coach.criterion)
        return
    assert losses[-1] < 0.9 * losses[0], name


def test_the_same_seed_gives_the_same_model(trained: tuple[str, Coach, list[float]]) -> None:
    name, coach, losses = trained
    again = _coach(name)
    assert _train(again, name) == losses
    for key, tensor in coach.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[key]), key


def test_the_state_survives_a_checkpoint(trained: tuple[str, Coach, list[float]], tmp_path: Path) -> None:
    name, coach, _ = trained
    save_checkpoint(tmp_path / "checkpoint.safetensors", {"model": coach.model.state_dict()})
    fresh = _coach(name, seed=4)
    fresh.model.load_state_dict(load_checkpoint(tmp_path)["model"])
    assert torch.equal(_scores(coach), _scores(fresh))


def test_it_recommends_better_than_chance(trained: tuple[str, Coach, list[float]]) -> None:
    name, coach, _ = trained
    base = coach.dataset.base
    scores = _scores(coach).numpy().copy()
    seen, held_out = base.csr("train").to_scipy(base.n_items), base.csr("valid").to_scipy(base.n_items)
    scores[seen.nonzero()] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    hits = np.take_along_axis(held_out.toarray(), top, axis=1).sum()
    chance = held_out.nnz * 10 / (base.n_items - seen.nnz / base.n_users)
    if name == "random":
        assert hits < 2 * chance
        return
    assert hits > 1.5 * chance, name


def test_every_model_file_registers_the_model_of_its_name(repository: Path) -> None:
    files: set[str] = {path.stem for path in (repository / "models").glob("*.py")} - {"__init__"}
    assert files == set(MODELS.names())


def test_importing_the_folder_as_models_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.syspath_prepend(str(repository))
    monkeypatch.delitem(sys.modules, "models", raising=False)
    with pytest.raises(ImportError, match=r"import recrun\.models"):
        importlib.import_module("models")
