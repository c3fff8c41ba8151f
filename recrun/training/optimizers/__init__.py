"""Optimizers, chosen by name.

`lr`, `weight_decay`, `momentum`, `nesterov`, `beta1`, `beta2` and `initial_accumulator` have the same type and default
in every optimizer that takes them; the defaults of `eps` are torch's.
"""

from recrun.training.optimizers.by_rows import LazyAdam, RowAdagrad, RowOptimizer
from recrun.training.optimizers.dense import adagrad, adam, adamw, sgd
from recrun.training.optimizers.sparse import lazy_adam, row_adagrad, sparse_adam

__all__ = [
    "LazyAdam",
    "RowAdagrad",
    "RowOptimizer",
    "adagrad",
    "adam",
    "adamw",
    "lazy_adam",
    "row_adagrad",
    "sgd",
    "sparse_adam",
]
