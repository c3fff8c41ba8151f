"""Build optimizers by name: those of torch, and Adam variants for sparse gradients.

`lr`, `weight_decay`, `momentum`, `nesterov`, `beta1` and `beta2` have the same type and default in every optimizer that
takes them; the defaults of `eps` and `initial_accumulator` are torch's. If torch has a fused implementation for the
parameters' devices and types, it is used: the same update in one pass over memory, which for embedding tables is many
times faster.

Trait `sparse`: the optimizer updates only the rows that occur in a batch, and embeddings must have sparse gradients.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from recrun.errors import ConfigError, Fault, TrainingError
from recrun.registry import OPTIMIZERS
from recrun.training.torch_workarounds import without_compiler
from recrun.types import Annotated, Fraction, NonNegativeFloat, PositiveFloat, Where

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]
"""What an optimizer is built from: parameters, or groups of them with settings of their own."""


@OPTIMIZERS.register("adam")
def adam(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """Adam: adaptive learning rates from running means of the gradient and its square.

    Every row of an embedding is updated in every step, also if it is not in the batch, while its running mean decays.

    *Source:* Kingma and Ba, ICLR 2015, algorithm 1.

    Args:
        lr: learning rate.
        weight_decay: L2 penalty: this times the parameter is added to its gradient.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the root of that mean, by which steps are divided.
    """
    return _build(torch.optim.Adam, params, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps)


@OPTIMIZERS.register("adamw")
def adamw(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """AdamW: Adam with decoupled weight decay.

    *Source:* Loshchilov and Hutter, ICLR 2019, algorithm 2.

    Args:
        lr: learning rate.
        weight_decay: each step multiplies parameters by 1 - lr * weight_decay.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the root of that mean, by which steps are divided.
    """
    return _build(torch.optim.AdamW, params, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps)


@OPTIMIZERS.register("sgd")
def sgd(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    momentum: Fraction = 0.0,
    nesterov: Annotated[
        bool, Where("not nesterov or momentum > 0", "needs a momentum above 0, found momentum: {momentum}")
    ] = False,
) -> Optimizer:
    """Stochastic gradient descent, optionally with momentum or Nesterov momentum.

    *Source:* Sutskever, Martens, Dahl and Hinton, ICML 2013, eqs. 1 to 4, for momentum and Nesterov's.

    Args:
        lr: learning rate.
        weight_decay: L2 penalty: this times the parameter is added to its gradient.
        momentum: momentum factor; 0 is plain gradient descent.
        nesterov: use Nesterov momentum; needs momentum above 0.

    Raises:
        ConfigError: nesterov without momentum.
    """
    if nesterov and momentum == 0:
        raise ConfigError(Fault("nesterov needs momentum above 0, found momentum 0", key="nesterov"))
    return _build(torch.optim.SGD, params, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov)


@OPTIMIZERS.register("adagrad")
def adagrad(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    eps: PositiveFloat = 1e-10,
    initial_accumulator: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adagrad: learning rates divided by the root of the sum of squared gradients.

    *Source:* Duchi, Hazan and Singer, JMLR 12, 2011, figure 1.

    Args:
        lr: learning rate; about 10 to 100 times that of adam.
        weight_decay: L2 penalty: this times the parameter is added to its gradient.
        eps: added to the root of the sum, by which steps are divided.
        initial_accumulator: what the sum of squared gradients starts from; 0.1 in TensorFlow.
    """
    settings = {"lr": lr, "weight_decay": weight_decay, "eps": eps, "initial_accumulator_value": initial_accumulator}
    return _build(torch.optim.Adagrad, params, **settings)


@OPTIMIZERS.register("sparse_adam", sparse=True)
def sparse_adam(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """Adam on the rows in the batch only, with one step count for all rows (torch's SparseAdam).

    A row that is not in the batch does not change, nor do its running means. All trained parameters of the model must
    be embeddings.

    *Source:* Kingma and Ba, ICLR 2015, algorithm 1, applied to the rows of the batch.

    Args:
        lr: learning rate.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the root of that mean, by which steps are divided.
    """
    return _SparseAdam(params, lr=lr, betas=(beta1, beta2), eps=eps)


@OPTIMIZERS.register("lazy_adam", sparse=True, layers=True)
def lazy_adam(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: PositiveFloat = 1e-8,
) -> Optimizer:
    """Adam on the rows in the batch only, with a step count for each row.

    A row's running means, their bias correction and its weight decay advance only when the row is in the batch: each
    row follows Adam on its own gradients. Parameters with dense gradients, such as layers besides the embeddings,
    follow plain Adam. Results differ from `adam`, which also updates rows outside the batch, and from `sparse_adam`,
    whose bias correction of a row that first occurs late uses the step count of the whole training.

    *Source:* Kingma and Ba, ICLR 2015, algorithm 1, applied to each row's own gradients.

    Args:
        lr: learning rate.
        weight_decay: L2 penalty: this times the row is added to its gradient, when it is in the batch.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the root of that mean, by which steps are divided.
    """
    return without_compiler(LazyAdam)(params, lr=lr, weight_decay=weight_decay, betas=(beta1, beta2), eps=eps)


class LazyAdam(Optimizer):
    """Adam with a step count for each row; see `lazy_adam`.

    State of a parameter (R, ...): `exp_avg` and `exp_avg_sq` of its shape, and `row_steps` (R,): how often each row has
    been updated. A scalar parameter is one row.
    """

    def __init__(
        self, params: Parameters, *, lr: float, weight_decay: float, betas: tuple[float, float], eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; return the result of `closure`, which computes gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        weight = parameter if parameter.dim() else parameter.view(1)
        state = self.state[parameter]
        if not state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["row_steps"] = torch.zeros(weight.size(0), device=weight.device)
        if not grad.is_sparse:
            _adam(weight, grad.view_as(weight), state, group)
            return
        grad = grad.coalesce()
        rows = grad.indices()[0]
        block = {name: values.index_select(0, rows) for name, values in state.items()}
        weight_block = weight.index_select(0, rows)
        _adam(weight_block, grad.values(), block, group)
        for name, values in block.items():
            state[name].index_copy_(0, rows, values)
        weight.index_copy_(0, rows, weight_block)


def _adam(weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    """Do one step of Adam on rows, in place.

    Args:
        weight: (R, ...).
        grad: (R, ...).
        state: `exp_avg` and `exp_avg_sq` (R, ...), `row_steps` (R,).
        group: the settings.
    """
    beta1, beta2 = group["betas"]
    steps = state["row_steps"].add_(1).view(-1, *[1] * (weight.dim() - 1))
    if group["weight_decay"]:
        grad = grad.add(weight, alpha=group["weight_decay"])
    mean = state["exp_avg"].lerp_(grad, 1 - beta1)
    square = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    root = square.div(_correction(beta2, steps)).sqrt_().add_(group["eps"])
    weight.addcdiv_(mean.div(_correction(beta1, steps)), root, value=-group["lr"])


def _correction(beta: float, steps: Tensor) -> Tensor:
    """Return 1 - beta^steps without losing digits where beta is close to 1."""
    return torch.expm1(steps * (math.log(beta) if beta else -math.inf)).neg_()


class _SparseAdam(torch.optim.SparseAdam):
    """torch's SparseAdam, with an error message that suggests another optimizer if a gradient is dense."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if closure is None and any(p.grad is not None and not p.grad.is_sparse for p in parameters):
            raise TrainingError(
                "sparse_adam updates embeddings only, and this model has a parameter with a dense gradient; "
                "choose optimizer: lazy_adam, which supports both, or adam"
            )
        return super().step(closure)  # type: ignore[no-untyped-call]


def _build(kind: Callable[..., Optimizer], params: Parameters, **settings: Any) -> Optimizer:
    """Build a torch optimizer, fused if that is possible for every parameter."""
    make = without_compiler(kind)
    entries = [_with_list(entry) if isinstance(entry, dict) else entry for entry in params]
    groups = [entry["params"] if isinstance(entry, dict) else [entry] for entry in entries]
    if all(_has_fused(make, tensor.device, tensor.dtype) for group in groups for tensor in group):
        settings["fused"] = True
    return make(entries, **settings)


def _with_list(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group whose parameters can be iterated over more than once."""
    params = group["params"]
    return {**group, "params": [params] if isinstance(params, Tensor) else list(params)}


@cache
def _has_fused(kind: Callable[..., Optimizer], device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether torch has a fused step of `kind` here: tested on one number, since support differs by version."""
    if "fused" not in inspect.signature(kind).parameters:
        return False
    probe = torch.zeros(1, device=device, dtype=dtype, requires_grad=True)
    probe.grad = torch.zeros_like(probe)
    try:
        kind([probe], lr=1.0, fused=True).step()
    except RuntimeError:
        return False
    return True
