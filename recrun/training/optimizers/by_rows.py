"""Update the rows of a batch, with state that is held by row: Adam and Adagrad.

Shapes: R rows of a table, N rows of it that a batch touches.

With a sparse gradient a step reads and writes N rows of the table and of its state, and allocates memory for these
only. A parameter with a dense gradient, such as a layer beside the embeddings, follows plain Adam or Adagrad.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from recrun.training.optimizers.dense import Parameters
from recrun.training.optimizers.rounding import round_rows


class RowOptimizer(Optimizer, ABC):
    """Base of optimizers of rows.

    What a parameter's state looks like depends on whether its first gradient is sparse. A scalar parameter is one row.

    Attributes:
        first_rows: the number of the first row of parameters that hold a part of a table; 0 for others.
    """

    first_rows: Mapping[Tensor, int] = MappingProxyType({})

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

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned; it keeps its types, which torch would change to the parameters'.

        Raises:
            ValueError: it is of other groups of parameters.
        """
        super().load_state_dict({**state_dict, "state": {}})
        numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        for number, parameter in zip(numbers, parameters, strict=True):
            if number in state_dict["state"]:
                saved = state_dict["state"][number]
                self.state[parameter] = {name: value.to(parameter.device) for name, value in saved.items()}

    @abstractmethod
    def _start(self, weight: Tensor, group: Mapping[str, Any], *, by_row: bool) -> dict[str, Tensor]:
        """Return the state before the first step.

        Args:
            weight: (R, ...).
            group: the settings.
            by_row: whether the gradient is sparse, so that the state may be smaller than the parameter.
        """

    @abstractmethod
    def _move(self, weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
        """Do one step on rows, in place.

        Args:
            weight: (N, ...).
            grad: (N, ...).
            state: of these rows, in the type of the weights, or as `_start` returned it if that is wider.
            group: the settings.
        """

    def _update(self, parameter: Tensor, grad: Tensor, group: Mapping[str, Any]) -> None:
        weight = parameter if parameter.dim() else parameter.view(1)
        state = self.state[parameter]
        if not state:
            state.update(self._start(weight, group, by_row=grad.is_sparse))
        if not grad.is_sparse:
            block = {name: _widened(values, weight.dtype) for name, values in state.items()}
            self._move(weight, grad.view_as(weight), block, group)
            self._put(state, None, block, self.first_rows.get(parameter, 0))
            return
        grad = grad.coalesce()
        rows = grad.indices()[0]
        block = {name: _widened(values.index_select(0, rows), weight.dtype) for name, values in state.items()}
        weight_block = weight.index_select(0, rows)
        self._move(weight_block, grad.values(), block, group)
        self._put(state, rows, block, self.first_rows.get(parameter, 0))
        weight.index_copy_(0, rows, weight_block)

    @staticmethod
    def _put(state: Mapping[str, Tensor], rows: Tensor | None, block: Mapping[str, Tensor], first: int) -> None:
        """Write the state of some rows (N,) back, of all if None, rounded where it is held in fewer bits."""
        for stream, (name, values) in enumerate(state.items()):
            new = block[name]
            if new.dtype != values.dtype:
                numbers = torch.arange(len(values), device=values.device) if rows is None else rows
                new = round_rows(new, numbers + first, block["row_steps"], stream)
            if rows is not None:
                values.index_copy_(0, rows, new)
            elif new is not values:
                values.copy_(new)


class LazyAdam(RowOptimizer):
    """Adam with a step count for each row; see `lazy_adam`.

    State of a parameter (R, ...): `exp_avg` and `exp_avg_sq` of its shape and type, and `row_steps` (R,): how often
    each row has been updated. For sparse gradients the means may be bfloat16, and `exp_avg_sq` (R,).
    """

    def __init__(
        self,
        params: Parameters,
        *,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
        eps: float = 1e-8,
        state_precision: str = "float32",
        second_moment: str = "element",
    ) -> None:
        settings = {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps}
        super().__init__(params, {**settings, "state_precision": state_precision, "second_moment": second_moment})

    def _start(self, weight: Tensor, group: Mapping[str, Any], *, by_row: bool) -> dict[str, Tensor]:
        dtype = torch.bfloat16 if by_row and group["state_precision"] == "bf16" else weight.dtype
        one_a_row = by_row and group["second_moment"] == "row"
        return {
            "exp_avg": torch.zeros_like(weight, dtype=dtype),
            "exp_avg_sq": weight.new_zeros(weight.size(0)) if one_a_row else torch.zeros_like(weight, dtype=dtype),
            "row_steps": torch.zeros(weight.size(0), device=weight.device),
        }

    def _move(self, weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        steps = _beside(state["row_steps"].add_(1), weight)
        if group["weight_decay"]:
            grad = grad.add(weight, alpha=group["weight_decay"])
        mean = state["exp_avg"].lerp_(grad, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2)
        if square.dim() < grad.dim():
            square = _beside(square.add_(_mean_square(grad), alpha=1 - beta2), weight)
        else:
            square.addcmul_(grad, grad, value=1 - beta2)
        root = square.div(_correction(beta2, steps)).sqrt_().add_(group["eps"])
        weight.addcdiv_(mean.div(_correction(beta1, steps)), root, value=-group["lr"])


class RowAdagrad(RowOptimizer):
    """Adagrad with one sum of squares for each row; see `row_adagrad`.

    State of a parameter (R, ...): `sum`, of its type, (R,) for sparse gradients and else of its shape.
    """

    def __init__(
        self, params: Parameters, *, lr: float, weight_decay: float, eps: float, initial_accumulator: float
    ) -> None:
        settings = {"lr": lr, "weight_decay": weight_decay, "eps": eps, "initial_accumulator": initial_accumulator}
        super().__init__(params, settings)

    def _start(self, weight: Tensor, group: Mapping[str, Any], *, by_row: bool) -> dict[str, Tensor]:
        shape = weight.shape[:1] if by_row else weight.shape
        return {"sum": weight.new_full(shape, group["initial_accumulator"])}

    def _move(self, weight: Tensor, grad: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
        if group["weight_decay"]:
            grad = grad.add(weight, alpha=group["weight_decay"])
        total = state["sum"]
        if total.dim() < grad.dim():
            total = _beside(total.add_(_mean_square(grad)), weight)
        else:
            total.addcmul_(grad, grad)
        weight.addcdiv_(grad, total.sqrt().add_(group["eps"]), value=-group["lr"])


def _widened(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a state in the type of the weights if that has more bits, else the same tensor."""
    return values.to(dtype) if values.dtype == torch.bfloat16 else values


def _beside(numbers: Tensor, weight: Tensor) -> Tensor:
    """Return a view of one number for each row (N,) that can be multiplied with weights (N, ...)."""
    return numbers.view(-1, *[1] * (weight.dim() - 1))


def _mean_square(grad: Tensor) -> Tensor:
    """Return the mean (N,) of the squares of each row of a gradient (N, ...)."""
    return grad.square().flatten(1).mean(1)


def _correction(beta: float, steps: Tensor) -> Tensor:
    """Return 1 - beta^steps without losing digits where beta is close to 1."""
    return torch.expm1(steps * (math.log(beta) if beta else -math.inf)).neg_()
