"""Parts of models that predict labels: hidden layers, batch normalisation, L2 terms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recrun.architectures.activations import ACTIVATIONS, Dice, activation_of
from recrun.architectures.prediction import (
    BatchNorm,
    LinearTerms,
    hidden_layers,
    perceptron,
    rates_of_layers,
)
from recrun.config.resolve import resolve
from recrun.criterions.pointwise import BCELoss4Logits
from recrun.errors import ConfigError
from recrun.evaluation.predictions import predict
from recrun.models.deepfm import DeepFM
from recrun.models.fm import FM
from recrun.models.lr import LR
from recrun.runs.checkpoint import load_checkpoint
from recrun.workflows.build import build, prepare
from tests.clicks import clicks, rows

SMALL = ["n_rows=1200", "n_users=20", "n_items=10", "device=cpu", "threads=1", "verbose=0"]
NORMALIZED = ["hidden_dims=[8]", "batch_norm=true", "dropout=0.3"]


def test_a_hidden_layer_is_linear_normalised_activated_and_dropped_in_this_order() -> None:
    layers = hidden_layers([5, 4, 3], [0.1, 0.2], batch_norm=True, activation="tanh")
    assert [type(layer) for layer in layers] == [nn.Linear, BatchNorm, nn.Tanh, nn.Dropout] * 2
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.1, 0.2]
    assert [type(layer) for layer in perceptron([5, 4, 1], 0.1)] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_the_places_of_layers_are_those_that_older_checkpoints_name() -> None:
    assert list(perceptron([5, 4, 3, 1], 0.1).state_dict()) == [
        *(f"{place}.{part}" for place in (0, 3, 6) for part in ("weight", "bias"))
    ]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_torchs_of_its_name(name: str) -> None:
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    layers = hidden_layers([3, 2], [0.0], activation=name)
    expected = getattr(nn.functional, name, None) or getattr(torch, name)
    torch.testing.assert_close(layers(inputs), expected(layers[0](inputs)))


def test_a_prelu_has_a_slope_for_each_unit() -> None:
    layers = hidden_layers([3, 2], [0.0], activation="prelu")
    with torch.no_grad():
        layers[1].weight.copy_(torch.tensor([0.1, 0.4]))  # type: ignore[operator, union-attr]
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    values = layers[0](inputs)
    torch.testing.assert_close(layers(inputs), values.clamp(min=0) + torch.tensor([0.1, 0.4]) * values.clamp(max=0))


def test_dice_lets_values_pass_by_how_far_they_lie_above_the_mean() -> None:
    dice = activation_of("dice", 3).double()
    assert isinstance(dice, Dice)
    with torch.no_grad():
        dice.alpha.copy_(torch.tensor([0.0, 0.3, -0.5]))
    rows = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 4 + 1
    mean, variance = rows.mean(0), ((rows - rows.mean(0)) ** 2).mean(0)
    passed = 1 / (1 + torch.exp(-(rows - mean) / (variance + 1e-8).sqrt()))
    torch.testing.assert_close(dice(rows), passed * rows + (1 - passed) * dice.alpha * rows)
    dice.eval()
    running_mean, running = 0.01 * mean, 0.99 + 0.01 * variance * 50 / 49
    passed = 1 / (1 + torch.exp(-(rows - running_mean) / (running + 1e-8).sqrt()))
    torch.testing.assert_close(dice(rows), passed * rows + (1 - passed) * dice.alpha * rows)


def test_dice_takes_one_row_and_none_in_training() -> None:
    dice = activation_of("dice", 3)
    assert dice(torch.ones(1, 3)).isfinite().all()
    assert dice(torch.ones(0, 3)).shape == (0, 3)


def test_batch_norm_is_that_of_the_paper_and_evaluation_uses_running_values() -> None:
    rows = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 4 + 1
    norm = BatchNorm(3).double()
    mean, variance = rows.mean(0), ((rows - rows.mean(0)) ** 2).mean(0)
    torch.testing.assert_close(norm(rows), (rows - mean) / (variance + 1e-5).sqrt())
    running_mean, running_variance = 0.1 * mean, 0.9 + 0.1 * variance * 50 / 49
    torch.testing.assert_close(norm.running_mean, running_mean)
    torch.testing.assert_close(norm.running_var, running_variance)
    norm.eval()
    torch.testing.assert_close(norm(rows[:1]), (rows[:1] - running_mean) / (running_variance + 1e-5).sqrt())


def test_a_single_row_is_normalised_by_running_values_and_does_not_change_them() -> None:
    norm = BatchNorm(3)
    norm(torch.randn(10, 3, generator=torch.Generator().manual_seed(3)))
    before = {name: values.clone() for name, values in norm.state_dict().items()}
    row = torch.randn(1, 3, generator=torch.Generator().manual_seed(4)).requires_grad_()
    trained = norm(row)
    trained.sum().backward()
    assert row.grad is not None
    assert bool((row.grad != 0).all())
    assert all(torch.equal(values, before[name]) for name, values in norm.state_dict().items())
    assert torch.equal(norm.eval()(row), trained)


def test_each_layer_has_its_own_rate_or_all_have_one() -> None:
    assert rates_of_layers(0.2, None, 3) == [0.2, 0.2, 0.2]
    assert rates_of_layers(0.2, [0.1, 0.3], 2) == [0.1, 0.3]
    with pytest.raises(ConfigError, match="dropouts: expected a rate for each of the 3 hidden layers, found 2"):
        rates_of_layers(0.0, [0.1, 0.3], 3)


@pytest.mark.parametrize("model", [LR, FM, DeepFM])
def test_the_l2_terms_are_half_the_squared_norms_of_whole_tables_and_of_the_rest(
    model: type[LR] | type[FM] | type[DeepFM],
) -> None:
    data, criterion = clicks(), BCELoss4Logits()
    torch.manual_seed(1)
    plain = model(data, init_std=0.5).double()
    torch.manual_seed(1)
    decayed = model(data, init_std=0.5, embedding_decay=0.3, net_decay=0.7).double()
    squares = {True: torch.zeros(()).double(), False: torch.zeros(()).double()}
    for name, parameter in plain.named_parameters():
        squares["tokenizer" in name] += (parameter**2).sum()
    expected = plain.training_loss(rows(), criterion) + 0.15 * squares[True] + 0.35 * squares[False]
    torch.testing.assert_close(decayed.training_loss(rows(), criterion), expected)


def test_a_category_that_a_batch_lacks_decays_too() -> None:
    model = FM(clicks(), embedding_decay=0.3).double()
    batch = {name: values[:2] for name, values in rows().items()}
    model.training_loss(batch, BCELoss4Logits()).backward()
    users = model.tokenizer["user"].embeddings.weight
    absent = [row for row in range(len(users)) if row not in batch["user"]]
    assert users.grad is not None
    torch.testing.assert_close(users.grad[absent], 0.3 * users.detach()[absent])


def test_without_l2_terms_the_loss_is_the_criterions_to_the_bit() -> None:
    model, criterion = FM(clicks()).double(), BCELoss4Logits()
    expected = criterion(model(rows()), rows()["label"][:, 0])
    assert torch.equal(model.training_loss(rows(), criterion), expected)


def test_linear_terms_may_have_no_bias() -> None:
    features = clicks().fields.groupby()
    with_bias, without = LinearTerms(features), LinearTerms(features, bias=False)
    assert set(with_bias.state_dict()) - set(without.state_dict()) == {"bias"}


@pytest.mark.parametrize("model", ["deepfm", "dcn"])
def test_a_last_batch_of_one_row_trains(tmp_path: Path, model: str) -> None:
    n_rows = len(build(resolve(model, SMALL)).dataset.base.interactions("train"))
    size = next(size for size in range(50, n_rows) if n_rows % size == 1)
    coach = prepare(resolve(model, [*SMALL, *NORMALIZED, f"batch_size={size}", "epochs=1"]), runs=tmp_path)
    coach.fit()
    n_batches = -(-n_rows // size)
    assert int(coach.model.deep[1].num_batches_tracked) == n_batches - 1, "the last one is not counted"


@pytest.mark.parametrize("model", ["deepfm", "dcn"])
def test_running_statistics_are_saved_resumed_to_the_bit_and_evaluated_with(tmp_path: Path, model: str) -> None:
    settings = [*SMALL, *NORMALIZED, "batch_size=64"]
    whole = prepare(resolve(model, [*settings, "epochs=3"]), runs=tmp_path / "a").fit()
    prepare(resolve(model, [*settings, "epochs=2", "id=x"]), runs=tmp_path / "b").fit()
    coach = prepare(resolve(model, [*settings, "epochs=3", "id=x", "resume=true"]), runs=tmp_path / "b")
    resumed = coach.fit()
    assert (resumed["valid"], resumed["test"]) == (whole["valid"], whole["test"])
    first, second = (load_checkpoint(Path(run["run"]) / "checkpoints" / "last")["model"] for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    n_batches = -(-len(coach.dataset.base.interactions("train")) // 64)
    assert int(first["deep.1.num_batches_tracked"]) == 3 * n_batches
    best = load_checkpoint(Path(whole["run"]) / "checkpoints" / "best")["model"]
    coach.model.load_state_dict(best)
    coach.model.eval()
    columns = coach.dataset.base.interactions("valid")
    chances, labels, _ = predict(coach.model, coach.dataset.base, "valid", coach.device)
    assert len(chances) == len(columns)
    assert -np.log(np.where(labels == 1, chances, 1 - chances)).mean() == pytest.approx(whole["valid"]["logloss"])
    coach.model.train()
    rows_of_valid, _, _ = predict(coach.model, coach.dataset.base, "valid", coach.device)
    assert not np.allclose(chances, rows_of_valid)


def test_batch_normalisation_needs_batches_of_two() -> None:
    with pytest.raises(ConfigError, match="batch_norm: needs batches of at least 2 rows, found batch_size 1"):
        resolve("deepfm", ["batch_norm=true", "batch_size=1"])


def test_one_rate_for_all_and_a_rate_for_each_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"dropout: .*dropouts gives the rate of each layer"):
        resolve("deepfm", ["dropout=0.2", "dropouts=[0.1,0.1,0.1]"])
    resolved = resolve("deepfm", ["dropouts=[0.1,0.2,0.3]"])
    assert resolved.config.dropouts == [0.1, 0.2, 0.3]
    assert any("dropout" in note for note in resolved.notes)
