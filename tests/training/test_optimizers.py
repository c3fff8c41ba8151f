"""Optimizers: shared settings, the fused implementations, and Adam by rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from recrun.errors import ConfigError, RegistryError, TrainingError
from recrun.registry import OPTIMIZERS
from recrun.registry.read_object import describe_object
from recrun.training.optimizers import LazyAdam
from recrun.types import Fraction, NonNegativeFloat, PositiveFloat

SHARED: dict[str, tuple[Any, Any]] = {
    "lr": (PositiveFloat, 1e-3),
    "weight_decay": (NonNegativeFloat, 0.0),
    "momentum": (Fraction, 0.0),
    "nesterov": (bool, False),
    "beta1": (Fraction, 0.9),
    "beta2": (Fraction, 0.999),
    "initial_accumulator": (NonNegativeFloat, 0.0),
    "state_precision": (Literal["float32", "bf16"], "float32"),
    "second_moment": (Literal["element", "row"], "element"),
}
EPS = {"adagrad": 1e-10, "row_adagrad": 1e-10}
DENSE = [component.name for component in OPTIMIZERS if not component.traits.sparse]
SPARSE = [component.name for component in OPTIMIZERS if component.traits.sparse]
PLAIN: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("adam", torch.optim.Adam, {"beta1": 0.8, "beta2": 0.99}, {"betas": (0.8, 0.99)}),
    ("adamw", torch.optim.AdamW, {"beta1": 0.8, "beta2": 0.99}, {"betas": (0.8, 0.99)}),
    ("sgd", torch.optim.SGD, {}, {}),
    ("sgd", torch.optim.SGD, {"momentum": 0.9}, {"momentum": 0.9}),
    ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
    ("adagrad", torch.optim.Adagrad, {}, {}),
    ("adam", torch.optim.Adam, {"eps": 0.1}, {"eps": 0.1}),
    ("adamw", torch.optim.AdamW, {"eps": 0.1}, {"eps": 0.1}),
    (
        "adagrad",
        torch.optim.Adagrad,
        {"eps": 0.1, "initial_accumulator": 0.5},
        {"eps": 0.1, "initial_accumulator_value": 0.5},
    ),
]
ROWS, DIM = 7, 3


def build(name: str, params: Iterable[Any], **settings: Any) -> Optimizer:
    optimizer: Optimizer = OPTIMIZERS.get(name)(params, **settings)
    return optimizer


def table(*, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(0)).to(dtype))


def gradients(n: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, ROWS, DIM, generator=torch.Generator().manual_seed(1)).to(dtype)


def sparse(rows: list[int], values: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, (ROWS, DIM), check_invariants=True)


def train(optimizer: Optimizer, parameter: nn.Parameter, grads: Iterable[Tensor]) -> None:
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()


def test_shared_settings_have_one_type_and_default_everywhere() -> None:
    for component in OPTIMIZERS:
        parameters = {parameter.name: parameter for parameter in component.parameters}
        assert "lr" in parameters
        assert component.source
        for name, parameter in parameters.items():
            shared = {**SHARED, "eps": (PositiveFloat, EPS.get(component.name, 1e-8))}
            assert (parameter.annotation, parameter.default) == shared[name], f"{component.name}.{name}"
            assert parameter.help


def test_what_is_read_from_the_source_is_what_the_functions_say() -> None:
    for component in OPTIMIZERS:
        described = describe_object("optimizer", component.name, OPTIMIZERS.get(component.name), {})
        assert component.parameters == described.parameters


def test_the_optimizers_that_need_sparse_gradients_say_so() -> None:
    assert SPARSE == ["lazy_adam", "row_adagrad", "sparse_adam"]
    assert "weight_decay" not in [parameter.name for parameter in OPTIMIZERS.describe("sparse_adam").parameters]


def test_an_unknown_optimizer_is_an_error_and_no_fallback() -> None:
    with pytest.raises(RegistryError, match="did you mean 'adam'"):
        OPTIMIZERS.get("adaam")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "kind", "settings", "plain_settings"), PLAIN)
def test_the_fused_implementation_does_what_the_plain_one_does(
    name: str,
    kind: Any,
    settings: dict[str, Any],
    plain_settings: dict[str, Any],
    weight_decay: float,
    dtype: torch.dtype,
) -> None:
    ours, theirs = table(dtype=dtype), table(dtype=dtype)
    optimizer = build(name, [ours], lr=0.05, weight_decay=weight_decay, **settings)
    plain = kind([theirs], lr=0.05, weight_decay=weight_decay, foreach=False, fused=False, **plain_settings)
    assert optimizer.param_groups[0]["fused"]
    train(optimizer, ours, gradients(20, dtype=dtype))
    train(plain, theirs, gradients(20, dtype=dtype))
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_parameters_without_a_fused_implementation_get_the_plain_one() -> None:
    on_meta = nn.Parameter(torch.zeros(2, device="meta"))
    assert not build("adam", [on_meta, table()]).param_groups[0].get("fused")


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_groups_and_generators_of_parameters_are_taken(name: str) -> None:
    assert len(build(name, (parameter for parameter in [table(), table()])).param_groups) == 1
    groups = [{"params": (parameter for parameter in [table(), table()]), "lr": 0.5}, {"params": table()}]
    optimizer = build(name, groups, lr=0.1)
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(0.5, 2), (0.1, 1)]


def test_nesterov_without_momentum_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nesterov: nesterov needs momentum above 0"):
        build("sgd", [table()], nesterov=True)


def test_adams_weight_decay_is_an_l2_penalty() -> None:
    decayed, penalised = table(), table()
    train(build("adam", [decayed], weight_decay=0.1), decayed, gradients(1))
    penalised.grad = gradients(1)[0] + 0.1 * penalised.detach()
    build("adam", [penalised]).step()
    torch.testing.assert_close(decayed, penalised)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_a_restored_optimizer_continues_exactly(name: str) -> None:
    def batches() -> list[Tensor]:
        grads = gradients(8)
        return [sparse([1, 4, 1], grad[:3]) for grad in grads] if name in SPARSE else list(grads)

    whole, first = table(), table()
    train(build(name, [whole], lr=0.1), whole, batches())
    half = build(name, [first], lr=0.1)
    train(half, first, batches()[:4])
    second = nn.Parameter(first.detach().clone())
    rest = build(name, [second], lr=0.3)
    rest.load_state_dict(half.state_dict())
    train(rest, second, batches()[4:])
    assert torch.equal(whole, second)


@pytest.mark.parametrize("name", SPARSE)
def test_rows_outside_the_batch_stay_as_they_are(name: str) -> None:
    parameter = table()
    before = parameter.detach().clone()
    train(build(name, [parameter], lr=0.1), parameter, [sparse([1, 4, 1], grad[:3]) for grad in gradients(3)])
    changed = (parameter != before).any(dim=1)
    assert changed.tolist() == [False, True, False, False, True, False, False]


def test_lazy_adam_is_adam_of_each_rows_own_gradients() -> None:
    parameter, grads = table(dtype=torch.float64), gradients(9, dtype=torch.float64)
    initial = parameter.detach().numpy().copy()
    batches = [[0, 3], [3, 5], [3], [0, 0, 6], [6, 3], [1], [5], [0, 1, 3], [3]]
    optimizer = build("lazy_adam", [parameter], lr=0.1, weight_decay=0.05, beta1=0.8, beta2=0.95, eps=0.1)
    train(optimizer, parameter, [sparse(rows, grad[: len(rows)]) for rows, grad in zip(batches, grads, strict=True)])
    for row in range(ROWS):
        own = [
            grad[: len(rows)][torch.tensor(rows) == row].sum(0).numpy()
            for rows, grad in zip(batches, grads, strict=True)
            if row in rows
        ]
        expected = adam_by_hand(initial[row], own, lr=0.1, weight_decay=0.05, beta1=0.8, beta2=0.95, eps=0.1)
        np.testing.assert_allclose(parameter.detach().numpy()[row], expected, rtol=1e-6, atol=1e-7)
    assert optimizer.state[parameter]["row_steps"].tolist() == [3, 2, 0, 6, 0, 2, 2]


def adam_by_hand(
    x: NDArray[np.float64],
    grads: list[NDArray[np.float64]],
    *,
    lr: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> NDArray[np.float64]:
    mean, square = np.zeros_like(x), np.zeros_like(x)
    for t, raw in enumerate(grads, start=1):
        grad = raw + weight_decay * x
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        x = x - lr * (mean / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + eps)
    return x


@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_lazy_adam_with_every_row_in_every_batch_is_adam(beta1: float) -> None:
    lazy, dense, grads = table(), table(), gradients(30)
    settings = {"lr": 0.05, "weight_decay": 0.1, "beta1": beta1}
    train(build("lazy_adam", [lazy], **settings), lazy, [sparse(list(range(ROWS)), grad) for grad in grads])
    train(build("adam", [dense], **settings), dense, grads)
    torch.testing.assert_close(lazy, dense, rtol=1e-4, atol=1e-5)


def test_lazy_adam_gives_plain_adam_to_layers_beside_the_embeddings() -> None:
    embedding = nn.Embedding(ROWS, DIM, sparse=True)
    layer, same = nn.Linear(DIM, 1), nn.Linear(DIM, 1)
    same.load_state_dict(layer.state_dict())
    temperature = nn.Parameter(torch.tensor(1.0))
    optimizer = build("lazy_adam", [*embedding.parameters(), *layer.parameters(), temperature], lr=0.1)
    dense = build("adam", same.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (layer(embedding(torch.tensor([1, 2]))).sum() * temperature).backward()
        for parameter, twin in zip(layer.parameters(), same.parameters(), strict=True):
            assert parameter.grad is not None
            twin.grad = parameter.grad.clone()
        optimizer.step()
        dense.step()
    torch.testing.assert_close(layer.weight, same.weight)
    torch.testing.assert_close(layer.bias, same.bias)
    assert temperature.item() != 1.0


def test_lazy_adam_calls_a_closure() -> None:
    parameter = table()
    optimizer = LazyAdam([parameter], lr=0.1, weight_decay=0.0, betas=(0.9, 0.999))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert optimizer.step(closure) < first


def test_sparse_adam_is_that_of_torch_with_its_settings() -> None:
    ours, theirs = table(), table()
    grads = [sparse([1, 4, 1], grad[:3]) for grad in gradients(6)]
    train(build("sparse_adam", [ours], lr=0.1, beta1=0.8, eps=0.1), ours, grads)
    train(torch.optim.SparseAdam([theirs], lr=0.1, betas=(0.8, 0.999), eps=0.1), theirs, grads)
    assert torch.equal(ours, theirs)


def test_the_defaults_that_differ_are_those_of_torch() -> None:
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("adagrad", torch.optim.Adagrad)):
        ours, theirs = build(name, [table()]).param_groups[0], kind([table()]).param_groups[0]
        shared = ("eps", "initial_accumulator_value")
        assert [ours.get(key) for key in shared] == [theirs.get(key) for key in shared]


def test_sparse_adam_refuses_dense_gradients_by_name() -> None:
    parameter = table()
    optimizer = build("sparse_adam", [parameter])
    parameter.grad = gradients(1)[0]
    with pytest.raises(TrainingError, match="choose optimizer: lazy_adam"):
        optimizer.step()


def test_a_training_imports_no_compiler(tmp_path: Path) -> None:
    small = "'dataset=Synthetic', 'n_users=60', 'n_items=40', 'n_interactions=700', 'epochs=2', 'device=cpu'"
    program = f"""
import sys
from recrun.workflows.build import prepare
from recrun.config.resolve import resolve
prepare(resolve("bprmf", [{small}])).fit()
assert "torch" in sys.modules
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
