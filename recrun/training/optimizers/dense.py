"""Build optimizers of torch by name, for dense gradients.

If torch has a fused implementation for the parameters' devices and types, it is used: the same update in one pass over
memory, which for embedding tables is many times faster.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from recrun.errors import ConfigError, Fault
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
