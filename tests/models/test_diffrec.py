"""The model `diffrec`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.criterions import RowMSELoss
from recrun.data.interactions import TrainingData
from recrun.models.diffrec import DiffRec, variances

USERS = torch.tensor([4, 3, 0])  # user 3 has no items
NOISE = {"n_noise_steps": 3, "noise_scale": 0.5, "noise_min": 0.2, "noise_max": 0.8}
Build = Callable[..., TrainingData]


def _model(data: TrainingData, **settings: float) -> DiffRec:
    torch.manual_seed(2)
    return DiffRec(data, **{"latent_dim": 4, "step_dim": 4, **NOISE, **settings}).double()  # type: ignore[arg-type]


def _rows(table: np.ndarray) -> Tensor:
    return torch.from_numpy(table[USERS.numpy()]).double()


def _betas() -> list[float]:
    """Return the variances by which the total is 0.1, 0.25 and 0.4 after the steps, but for the first."""
    return [1e-5, 1 - 0.75 / 0.9, 1 - 0.6 / 0.75]


def _network(model: DiffRec, noisy: Tensor, step: float) -> Tensor:
    """Predict from the row beside the step's embedding, as one layer of both."""
    angles = [step, step * 10000**-0.5]
    wave = torch.tensor([math.cos(a) for a in angles] + [math.sin(a) for a in angles], dtype=torch.float64)
    embedding = (wave @ model.steps.weight.T + model.steps.bias).expand(len(noisy), 4)
    weights = torch.cat([model.inputs, model.step_inputs.weight.T])
    layer = torch.tanh(torch.cat([noisy, embedding], dim=1) @ weights + model.step_inputs.bias)
    for hidden in model.hidden:
        layer = torch.tanh(layer @ hidden.weight.T + hidden.bias)  # type: ignore[union-attr, operator]
    return layer @ model.outputs.weight.T + model.outputs.bias


def test_total_variances_rise_linearly_but_for_the_fixed_first_one() -> None:
    np.testing.assert_allclose(variances(3, 0.5, 0.2, 0.8), _betas())
    assert variances(1, 0.5, 0.2, 0.8) == [1e-5]


@pytest.mark.parametrize("hidden_layer", [False, True])
def test_scores_are_the_means_of_the_reverse_steps(data_of: Build, table: np.ndarray, hidden_layer: bool) -> None:
    model = _model(data_of(table), hidden_layer=hidden_layer, **({"hidden_dim": 6} if hidden_layer else {})).eval()
    betas, x = np.array(_betas()), _rows(table)
    kept = np.cumprod(1 - betas)
    for t in (2, 1, 0):
        before = kept[t - 1] if t else 1.0
        mean_of_0 = math.sqrt(before) * betas[t] / (1 - kept[t])
        mean_of_t = math.sqrt(1 - betas[t]) * (1 - before) / (1 - kept[t])
        x = mean_of_0 * _network(model, x, t) + mean_of_t * x
    torch.testing.assert_close(model.score_rows(_rows(table)), x)
    torch.testing.assert_close(model.score(USERS), x)


@pytest.mark.parametrize("reweight", [False, True])
def test_the_loss_is_the_weighted_error_of_the_prediction(data_of: Build, table: np.ndarray, reweight: bool) -> None:
    model = _model(data_of(table), dropout=0.0, reweight=reweight)
    x, kept = _rows(table), np.cumprod(1 - np.array(_betas()))
    torch.manual_seed(9)
    steps = torch.multinomial(torch.full((3,), 1 / 3, dtype=torch.float64), 3, replacement=True)
    noise = torch.randn_like(x)
    expected = []
    for row, t in enumerate(steps.tolist()):
        noisy = math.sqrt(kept[t]) * x[row] + math.sqrt(1 - kept[t]) * noise[row]
        error = (_network(model, noisy[None], t)[0] - x[row]).square().mean()
        ratio = kept / (1 - kept)
        expected.append(error * (ratio[t - 1] - ratio[t] if reweight and t else 1.0))
    torch.manual_seed(9)
    loss = model.training_loss({"user": USERS[:, None]}, RowMSELoss())
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    assert model.counts.tolist() == torch.bincount(steps, minlength=3).tolist()
    for step in steps.unique().tolist():
        found = torch.stack(expected)[steps == step].detach()
        torch.testing.assert_close(model.losses[step, -len(found) :], found)


def test_steps_are_drawn_by_their_last_losses_once_all_have_ten(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table))
    assert torch.equal(model.draw_steps(50)[1], torch.full((50,), 1 / 3, dtype=torch.float64))
    for step, loss in enumerate((1.0, 2.0, 5.0)):
        model._remember(torch.full((12,), step), torch.tensor([99.0, 99.0, *[loss] * 10]))
    expected = 0.999 * torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64) / 8 + 0.001 / 3
    steps, shares = model.draw_steps(20000)
    torch.testing.assert_close(shares, expected[steps])
    torch.testing.assert_close(torch.bincount(steps) / 20000, expected, atol=0.015, rtol=0, check_dtype=False)


def test_dropout_is_of_training_alone(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table), dropout=0.6)
    steps = torch.zeros(3, dtype=torch.float64)
    trained = model.predict(_rows(table), steps)
    ranked = model.eval().predict(_rows(table), steps)
    assert not torch.equal(trained, ranked)
    assert torch.equal(ranked, model.predict(_rows(table), steps))
