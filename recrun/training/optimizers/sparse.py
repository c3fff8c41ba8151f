"""Build optimizers by name that update only the rows of a batch.

Trait `sparse`: embeddings must have sparse gradients. A step takes memory for the rows of the batch, not for tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.optim import Optimizer

from recrun.errors import TrainingError
from recrun.registry import OPTIMIZERS
from recrun.training.optimizers.by_rows import LazyAdam, RowAdagrad
from recrun.training.optimizers.dense import Parameters
from recrun.training.torch_workarounds import without_compiler
from recrun.types import Fraction, NonNegativeFloat, PositiveFloat


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
    state_precision: Literal["float32", "bf16"] = "float32",
    second_moment: Literal["element", "row"] = "element",
) -> Optimizer:
    """Adam on the rows in the batch only, with a step count for each row.

    A row's running means, their bias correction and its weight decay advance only when the row is in the batch: each
    row follows Adam on its own gradients. Parameters with dense gradients, such as layers besides the embeddings,
    follow plain Adam. Results differ from `adam`, which also updates rows outside the batch, and from `sparse_adam`,
    whose bias correction of a row that first occurs late uses the step count of the whole training.

    For a row of D numbers it holds 8 D + 4 bytes. With `state_precision: bf16` these are 4 D + 4: each step computes in
    float32, and rounds what it stores at random, so that the means are right on average
    (`recrun.training.optimizers.rounding`). With `second_moment: row`, the mean of the squares is one number for each
    row, of the mean over its squared gradients, always in float32: 4 D + 8 bytes, with bf16 2 D + 8.

    *Source:* Kingma and Ba, ICLR 2015, algorithm 1, applied to each row's own gradients; `second_moment: row` is
    Adam-mini (Zhang et al., ICLR 2025, algorithm 1) with a row as block.

    Args:
        lr: learning rate.
        weight_decay: L2 penalty: this times the row is added to its gradient, when it is in the batch.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the root of that mean, by which steps are divided.
        state_precision: the type of the running means of embeddings; bf16 is stochastically rounded bfloat16.
        second_moment: whether the squared gradient has a mean for each element of an embedding, or one for each row.
    """
    return without_compiler(LazyAdam)(
        params,
        lr=lr,
        weight_decay=weight_decay,
        betas=(beta1, beta2),
        eps=eps,
        state_precision=state_precision,
        second_moment=second_moment,
    )


@OPTIMIZERS.register("row_adagrad", sparse=True, layers=True)
def row_adagrad(
    params: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    weight_decay: NonNegativeFloat = 0.0,
    eps: PositiveFloat = 1e-10,
    initial_accumulator: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adagrad on the rows in the batch only, with one sum of squared gradients for each row.

    A row x of D numbers with gradient g in this batch: s ← s + ‖g‖² / D, then x ← x - lr g / (√s + eps). It holds
    4 bytes for each row. Parameters with dense gradients, such as layers besides the embeddings, follow plain Adagrad,
    with a sum for each of their numbers.

    *Source:* Duchi, Hazan and Singer, JMLR 12, 2011, figure 1, with one sum for each row as in Mudigere et al., ISCA
    2022 (there: row-wise sparse AdaGrad).

    Args:
        lr: learning rate; about 10 to 100 times that of adam.
        weight_decay: L2 penalty: this times the row is added to its gradient, when it is in the batch.
        eps: added to the root of the sum, by which steps are divided.
        initial_accumulator: what the sum of squared gradients starts from.
    """
    return without_compiler(RowAdagrad)(
        params, lr=lr, weight_decay=weight_decay, eps=eps, initial_accumulator=initial_accumulator
    )


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
