"""Optimizers of rows: Adagrad with a sum for each row, and Adam with less state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from recrun.registry import OPTIMIZERS
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.training.saved_state import check_optimizer

ROWS, DIM = 7, 3
BATCHES = [[0, 3], [3, 5], [3, 3], [0, 0, 6], [6, 3], [1], [5], [0, 1, 3], [3]]
FORMS: dict[str, dict[str, Any]] = {
    "lazy_adam": {},
    "lazy_adam in bf16": {"state_precision": "bf16"},
    "lazy_adam with a moment for each row": {"second_moment": "row"},
    "lazy_adam in bf16 with a moment for each row": {"state_precision": "bf16", "second_moment": "row"},
    "row_adagrad": {"initial_accumulator": 0.1},
}


def build(name: str, params: Any, **settings: Any) -> Optimizer:
    optimizer: Optimizer = OPTIMIZERS.get(name.split()[0])(params, **settings)
    return optimizer


def table(dtype: torch.dtype = torch.float32, *, dim: int = DIM) -> nn.Parameter:
    return nn.Parameter(torch.randn(ROWS, dim, generator=torch.Generator().manual_seed(0)).to(dtype))


def batches(dtype: torch.dtype = torch.float32, *, dim: int = DIM, repeat: int = 1) -> list[Tensor]:
    """Return sparse gradients in which rows repeat and some never occur."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for rows in BATCHES * repeat:
        values = torch.randn(len(rows), dim, generator=generator).to(dtype)
        found.append(torch.sparse_coo_tensor(torch.tensor([rows]), values, (ROWS, dim), check_invariants=True))
    return found


def train(optimizer: Optimizer, parameter: nn.Parameter, grads: list[Tensor]) -> None:
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()


def adagrad_by_hand(
    weight: NDArray[np.float64],
    grads: list[NDArray[np.float64]],
    *,
    lr: float,
    weight_decay: float,
    eps: float,
    initial_accumulator: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and sums after steps with the rows of each gradient that are not zero."""
    weight, total = weight.copy(), np.full(len(weight), initial_accumulator)
    for raw in grads:
        for row in np.flatnonzero(raw.any(axis=1)):
            grad = raw[row] + weight_decay * weight[row]
            total[row] += (grad**2).mean()
            weight[row] -= lr * grad / (np.sqrt(total[row]) + eps)
    return weight, total


def test_row_adagrad_is_that_of_a_plain_computation() -> None:
    parameter = table(torch.float64)
    settings = {"lr": 0.2, "weight_decay": 0.05, "eps": 0.01, "initial_accumulator": 0.3}
    grads = batches(torch.float64)
    expected, total = adagrad_by_hand(
        parameter.detach().numpy(), [grad.to_dense().numpy() for grad in grads], **settings
    )
    before = parameter.detach().clone()
    optimizer = build("row_adagrad", [parameter], **settings)
    train(optimizer, parameter, grads)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(optimizer.state[parameter]["sum"].numpy(), total, rtol=1e-12)
    assert torch.equal(parameter[[2, 4]], before[[2, 4]]), "rows outside the batches"


@pytest.mark.parametrize("settings", [{}, {"initial_accumulator": 0.5, "eps": 0.1}])
def test_row_adagrad_of_rows_of_one_number_is_adagrad_of_torch(settings: dict[str, float]) -> None:
    ours, theirs = table(dim=1), table(dim=1)
    given = dict(settings)
    plain = {"initial_accumulator_value": given.pop("initial_accumulator", 0.0), **given}
    train(build("row_adagrad", [ours], lr=0.1, **settings), ours, batches(dim=1))
    dense = [grad.to_dense() for grad in batches(dim=1)]  # rows without a gradient do not move
    train(torch.optim.Adagrad([theirs], lr=0.1, **plain), theirs, dense)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("form", "plain"), [("row_adagrad", "adagrad"), *((form, "adam") for form in list(FORMS)[:4])])
def test_layers_beside_the_embeddings_follow_the_plain_optimizer(form: str, plain: str, weight_decay: float) -> None:
    layer, same = nn.Linear(DIM, 4), nn.Linear(DIM, 4)
    temperature, twin = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))
    same.load_state_dict(layer.state_dict())
    shared = {key: value for key, value in FORMS[form].items() if plain == "adagrad"}
    ours = build(form, [*layer.parameters(), temperature], lr=0.1, weight_decay=weight_decay, **FORMS[form])
    theirs = build(plain, [*same.parameters(), twin], lr=0.1, weight_decay=weight_decay, **shared)
    for seed in range(8):
        inputs = torch.randn(5, DIM, generator=torch.Generator().manual_seed(seed))
        for module, scale, optimizer in ((layer, temperature, ours), (same, twin, theirs)):
            optimizer.zero_grad()
            (module(inputs) * scale).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(list(layer.parameters()), list(same.parameters()), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(temperature, twin, rtol=1e-5, atol=1e-6)


def test_a_moment_for_each_row_is_that_of_a_plain_computation() -> None:
    parameter = table(torch.float64)
    weight, grads = parameter.detach().numpy().copy(), batches(torch.float64)
    mean, square, steps = np.zeros_like(weight), np.zeros(ROWS), np.zeros(ROWS)
    for grad in grads:
        dense = grad.to_dense().numpy()
        for row in np.flatnonzero(dense.any(axis=1)):
            own = dense[row] + 0.05 * weight[row]
            steps[row] += 1
            mean[row] = 0.8 * mean[row] + 0.2 * own
            square[row] = 0.95 * square[row] + 0.05 * (own**2).mean()
            root = np.sqrt(square[row] / (1 - 0.95 ** steps[row])) + 0.1
            weight[row] -= 0.1 * mean[row] / (1 - 0.8 ** steps[row]) / root
    settings = {"lr": 0.1, "weight_decay": 0.05, "beta1": 0.8, "beta2": 0.95, "eps": 0.1, "second_moment": "row"}
    optimizer = build("lazy_adam", [parameter], **settings)
    train(optimizer, parameter, grads)
    np.testing.assert_allclose(parameter.detach().numpy(), weight, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(optimizer.state[parameter]["exp_avg_sq"].numpy(), square, rtol=1e-6)


def test_means_in_bf16_are_those_of_float32_on_average() -> None:
    n_steps, dim = 1500, 512
    generator = torch.Generator().manual_seed(2)
    exact, short = nn.Parameter(torch.zeros(2, dim)), nn.Parameter(torch.zeros(2, dim))
    optimizers = build("lazy_adam", [exact]), build("lazy_adam", [short], state_precision="bf16")
    for step in range(n_steps):
        # Squared gradients fall a hundredfold on the way, so that a mean that stalls stays far too large.
        values = torch.randn(1, dim, generator=generator) * (1.0 if step < n_steps // 2 else 0.1) + 0.05
        for optimizer, parameter in zip(optimizers, (exact, short), strict=True):
            train(
                optimizer,
                parameter,
                [torch.sparse_coo_tensor(torch.tensor([[1]]), values, (2, dim), check_invariants=True)],
            )
    ours, theirs = optimizers[1].state[short], optimizers[0].state[exact]
    assert ours["exp_avg"].dtype == ours["exp_avg_sq"].dtype == torch.bfloat16
    for name in ("exp_avg", "exp_avg_sq"):
        bias = (ours[name][1].double() - theirs[name][1].double()).mean() / theirs[name][1].double().abs().mean()
        assert abs(bias) < 0.01, name
    difference = (short - exact)[1].norm() / exact[1].norm()
    assert difference < 0.04
    assert not ours["exp_avg"][0].any(), "a row outside the batches"


@pytest.mark.parametrize(
    ("form", "n_bytes"),
    [
        ("lazy_adam", 516),
        ("lazy_adam in bf16", 260),
        ("lazy_adam with a moment for each row", 264),
        ("lazy_adam in bf16 with a moment for each row", 136),
        ("row_adagrad", 4),
    ],
)
def test_the_state_of_a_row_of_64_numbers_takes_these_bytes(form: str, n_bytes: int) -> None:
    parameter = table(dim=64)
    optimizer = build(form, [parameter], **FORMS[form])
    train(optimizer, parameter, batches(dim=64)[:1])
    assert sum(value.nbytes for value in optimizer.state[parameter].values()) == n_bytes * ROWS


@pytest.mark.parametrize("form", FORMS)
def test_a_state_goes_through_a_checkpoint_bit_for_bit(tmp_path: Path, form: str) -> None:
    grads = batches(repeat=3)
    whole, first, second = table(), table(), table()
    train(build(form, [whole], lr=0.1, **FORMS[form]), whole, grads)
    half = build(form, [first], lr=0.1, **FORMS[form])
    train(half, first, grads[:13])
    save_checkpoint(tmp_path / "c.safetensors", {"optimizer": half.state_dict()})
    rest = build(form, [second], lr=0.1, **FORMS[form])
    saved = load_checkpoint(tmp_path / "c.safetensors")["optimizer"]
    check_optimizer(rest, saved, has_trained=True)
    rest.load_state_dict(saved)
    assert {name: value.dtype for name, value in rest.state[second].items()} == {
        name: value.dtype for name, value in half.state[first].items()
    }
    with torch.no_grad():
        second.copy_(first)
    train(rest, second, grads[13:])
    assert torch.equal(whole, second)


@pytest.mark.parametrize("form", FORMS)
def test_states_of_tables_and_of_layers_are_taken_and_those_of_other_settings_are_not(form: str) -> None:
    name, settings = form.split()[0], FORMS[form]
    embedding, layer = table(), nn.Parameter(torch.ones(4, 2))
    optimizer = build(name, [embedding, layer], **settings)
    embedding.grad, layer.grad = batches()[0], torch.ones(4, 2)
    optimizer.step()
    check_optimizer(build(name, [embedding, layer], **settings), optimizer.state_dict(), has_trained=True)
    for other in FORMS:
        if other != form:
            with pytest.raises((ValueError, KeyError)):
                check_optimizer(
                    build(other, [embedding, layer], **FORMS[other]), optimizer.state_dict(), has_trained=True
                )


def test_a_state_of_another_type_is_refused() -> None:
    parameter = table()
    optimizer = build("lazy_adam", [parameter], state_precision="bf16")
    train(optimizer, parameter, batches()[:1])
    saved = optimizer.state_dict()
    saved["state"][0]["exp_avg"] = saved["state"][0]["exp_avg"].to(torch.float16)
    message = r"must be exp_avg \[7, 3\], .* or exp_avg \[7, 3\] of bfloat16, .* found exp_avg \[7, 3\] of float16, "
    with pytest.raises(ValueError, match=message):
        check_optimizer(build("lazy_adam", [parameter], state_precision="bf16"), saved, has_trained=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_rows_changes_nothing(form: str) -> None:
    parameter = table()
    before = parameter.detach().clone()
    optimizer = build(form, [parameter], lr=0.1, weight_decay=0.1, **FORMS[form])
    train(optimizer, parameter, [torch.zeros(ROWS, DIM).to_sparse(1)])
    assert torch.equal(parameter, before)


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_gets_dense_gradients_later_keeps_its_state(form: str) -> None:
    sparse, dense = table(), table()
    for parameter, later in ((sparse, batches()[4]), (dense, batches()[4].to_dense())):
        optimizer = build(form, [parameter], lr=0.1, **FORMS[form])
        train(optimizer, parameter, [*batches()[:4], later])
    touched = [6, 3]
    torch.testing.assert_close(sparse[touched], dense[touched], rtol=1e-5, atol=1e-6)
