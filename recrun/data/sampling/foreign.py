"""Check what samplers that recrun did not write draw: items of the right shape that exist.

Shapes: N users asked for, B rows of a batch, K negatives each, M candidates for each of them, I items.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recrun.data.returned import described
from recrun.errors import RegistryError, TrainingError


class CheckedSampler:
    """A sampler whose draws are checked; all else is that of the sampler itself.

    Args:
        sampler: the sampler.
        name: what messages call it.
        n_items: I.

    Raises:
        RegistryError: `n_negatives`, or `n_candidates` where there is one, is not a count.
    """

    def __init__(self, sampler: Any, name: str, n_items: int) -> None:
        self._sampler, self._name, self._n_items = sampler, f"sampler {name}", n_items
        for count in ("n_negatives", "n_candidates"):
            value = getattr(sampler, count, 1)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise RegistryError(f"{self._name}: {count} must be an integer of at least 1, found {value!r}")
        if hasattr(sampler, "log_probability"):
            self.log_probability = self._log_probability

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the negatives (N, K), or candidates (N, K, M), of users (N,).

        Raises:
            TrainingError: the sampler drew something else.
        """
        candidates = (self._sampler.n_candidates,) if hasattr(self._sampler, "n_candidates") else ()
        shape = (len(users), self._sampler.n_negatives, *candidates)
        return drawn_items(self._sampler.draw(users, rng), shape, self._n_items, f"{self._name}: draw()")

    def draw_from_batch(self, users: np.ndarray, positives: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the negatives (B, K) of the rows of a batch.

        Raises:
            TrainingError: the sampler drew something else.
        """
        drawn = self._sampler.draw_from_batch(users, positives, rng)
        shape = (len(users), self._sampler.n_negatives)
        return drawn_items(drawn, shape, self._n_items, f"{self._name}: draw_from_batch()")

    def _log_probability(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        log_q = self._sampler.log_probability(users, items)
        if not isinstance(log_q, np.ndarray) or log_q.shape != items.shape or log_q.dtype.kind != "f":
            found = described(log_q)
            raise TrainingError(
                f"{self._name}: log_probability() must return an array of floats of shape {items.shape}; found {found}"
            )
        if not (log_q <= 1e-6).all() or np.isneginf(log_q).any():
            raise TrainingError(
                f"{self._name}: log_probability() must return logarithms of probabilities of items that can be drawn; "
                f"found {log_q.min():g} to {log_q.max():g}"
            )
        return log_q.astype(np.float32, copy=False)


def drawn_items(items: Any, shape: tuple[int, ...], n_items: int, who: str) -> np.ndarray:
    """Return what a sampler drew, if it is items.

    Args:
        items: what it returned.
        shape: that it must have.
        n_items: I.
        who: the start of the message.

    Raises:
        TrainingError: it is no array of integers of this shape, or holds an item that does not exist.
    """
    if not isinstance(items, np.ndarray) or items.shape != shape or items.dtype.kind not in "iu":
        found = described(items)
        raise TrainingError(f"{who} must return an array of integers of shape {shape}; found {found}")
    if items.size and not (items.min() >= 0 and items.max() < n_items):
        raise TrainingError(f"{who} must return items from 0 to {n_items - 1}; found {items.min()} to {items.max()}")
    return items
