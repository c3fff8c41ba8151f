"""Gather what a trained model consists of, as arrays and networks by internal ids.

Shapes: U users, I items, D length of the vectors, N known interactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.architectures.item_weights import ItemWeights
from recrun.architectures.networks import ScoringNetwork
from recrun.data.interactions import CSR, TIMESTAMP, join
from recrun.data.orders import chronological_order
from recrun.data.splits import PARTS
from recrun.errors import ConfigError
from recrun.exporting.cut import Cut, cut
from recrun.recommendation.recommender import AsOf, Recommender

Array = NDArray[Any]

BEFORE: Final[dict[AsOf, tuple[str, ...]]] = {"valid": ("train",), "test": ("train", "valid"), "end": tuple(PARTS)}
"""The parts of the data that are known at each moment."""
MOST_WEIGHTS: Final = 1 << 27
"""The most weights between items that are written: half a gigabyte as a dense matrix."""


class Known(NamedTuple):
    """The interactions that are known, by user and then in the order of time."""

    users_N: NDArray[np.int64]
    items_N: NDArray[np.int64]
    parts_N: NDArray[np.int8]
    """The position of each interaction's part in `PARTS`."""

    def histories(self, n_users: int) -> CSR:
        """Return each user's items in the order of time."""
        return CSR.from_pairs(self.users_N, self.items_N, n_users, sort=False)


class Vectors(NamedTuple):
    """Vectors whose products are the scores; those of users are None where nothing of users is exported."""

    users_UD: Array | None
    items_ID: Array


@dataclass(frozen=True)
class Material:
    """What can be exported of a model.

    Args:
        model: its name.
        recommender: the model with its data.
        as_of: which interactions are known.
        known: those.
        vectors: its vectors; None if its scores are no products.
        weights: its weights between items; None if it has none.
        network: the model as a network; None if it cannot be one, or if that would hold users who are left out.
        with_users: whether anything of users is exported.
        with_seen: whether the known interactions are.
        was_cut: how the weights were cut; None if all were kept.
    """

    model: str
    recommender: Recommender
    as_of: AsOf
    known: Known
    vectors: Vectors | None
    weights: ItemWeights | None
    network: ScoringNetwork | None
    with_users: bool = True
    with_seen: bool = True
    was_cut: Cut | None = None

    @property
    def user_ids(self) -> Array:
        """The original ids of users (U,)."""
        return self.recommender.users.ids

    @property
    def item_ids(self) -> Array:
        """The original ids of items (I,)."""
        return self.recommender.items.ids

    @property
    def holds(self) -> frozenset[str]:
        """What there is to write: "vectors", "weights", "network"."""
        parts = {"vectors": self.vectors, "weights": self.weights, "network": self.network}
        return frozenset(name for name, part in parts.items() if part is not None)


def gather(
    recommender: Recommender,
    model: str,
    *,
    with_users: bool = True,
    with_seen: bool = True,
    neighbors: int | None = None,
) -> Material:
    """Gather what can be exported of a model; its parameters are moved to the CPU.

    Args:
        recommender: the model with its data.
        model: its name.
        with_users: whether to export anything of users: their ids, vectors and known interactions.
        with_seen: whether to export the known interactions.
        neighbors: how many weights of each item to keep, the largest ones by magnitude; None for all.

    Raises:
        ConfigError: `neighbors` is given, and the model has no weights between items.
    """
    own, as_of = recommender.model, recommender.as_of
    known, was_cut = _known(recommender.base, as_of), None
    with torch.no_grad():
        found = own.vectors()
        vectors = None if found is None else Vectors(*(_numbers(each) for each in found))
        own.to("cpu")
        network = own.network() if hasattr(own, "network") else None
    weights = own.item_weights() if hasattr(own, "item_weights") else None
    if network is not None:
        network = network.eval()
        if not with_users and network.reads == "users":
            network = None
    if neighbors is not None:
        if weights is None:
            raise ConfigError(f"--neighbors has no effect: {model} has no weights between items to cut")
        weights, was_cut = cut(weights, neighbors, known.histories(recommender.n_users))
    if vectors is not None and not with_users:
        vectors = Vectors(None, vectors.items_ID)
    with_seen = with_seen and with_users
    return Material(model, recommender, as_of, known, vectors, weights, network, with_users, with_seen, was_cut)


def refuse_too_many(weights: ItemWeights, model: str) -> None:
    """Refuse to write more weights than `MOST_WEIGHTS`.

    Raises:
        ConfigError: there are more.
    """
    n_items, n_weights = weights.matrix.shape[0], weights.n_entries
    if n_weights > MOST_WEIGHTS:
        raise ConfigError(
            f"{model} has {n_weights:,} weights between {n_items:,} items ({4 * n_weights / 1e9:.1f} GB), and at most "
            f"{MOST_WEIGHTS:,} are written; keep the largest of each item with --neighbors N, such as --neighbors 200"
        )


def _numbers(values: torch.Tensor) -> Array:
    return np.ascontiguousarray(values.detach().cpu().numpy())


def _known(base: Any, as_of: AsOf) -> Known:
    parts = [base.interactions(part) for part in BEFORE[as_of]]
    whole = join(parts)
    labels = np.repeat(np.arange(len(parts), dtype=np.int8), [len(part) for part in parts])
    order = chronological_order(whole.users, whole.columns.get(TIMESTAMP))
    index: Any = slice(None) if order is None else order
    return Known(whole.users[index].astype(np.int64), whole.items[index].astype(np.int64), labels[index])
