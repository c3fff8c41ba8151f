"""Splits: functions that label each interaction as train, valid or test.

Shapes: N interactions, U users, I items. The setting `split` names one of `recrun.data.splits.table`, one registered by
another package, or one in a file of your own. Its traits say what it requires:

- `needs_time`: it reads `times`; data without times is refused.
- `compares_users`: it compares the times of different users; data that only orders each user's rows is refused.
- `keeps_order`: whether what it holds out of a user's interactions is later than what it leaves in train. Models of
  sequences are refused with one that does not; if a split does not say, the data is looked at.
- `without_share`: why it does not use `test_ratio`; left out if it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recrun.registry import SPLITS

if TYPE_CHECKING:
    import numpy as np

PARTS = ("train", "valid", "test")
TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Unsplit:
    """The rows that a split labels, ordered by user and then by time, and the settings of the split.

    Args:
        users: int (N,).
        items: int (N,).
        times: (N,); all 0 where the data has none.
        n_users: U.
        n_items: I.
        test_ratio: share of the test part.
        valid_ratio: share of the valid part; 0 for none.
        n_held_out: how many of each user's interactions are held out for test.
        n_folds: number of folds.
        test_fold: the fold held out for test, counted from 1.
        rng: the source of randomness, seeded by `split_seed`.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    n_users: int
    n_items: int
    test_ratio: float
    valid_ratio: float
    n_held_out: int
    n_folds: int
    test_fold: int
    rng: np.random.Generator


SplitFunction = Callable[[Unsplit], "np.ndarray"]


@dataclass(frozen=True)
class Split:
    """A split function and its traits, as chosen by the setting `split`.

    Args:
        function: returns the label of each row, (N,): 0 train, 1 valid, 2 test.
        needs_time: whether it reads `times`.
        compares_users: whether it compares the times of different users.
        without_share: why it does not use `test_ratio`, or None if it does.
    """

    function: SplitFunction
    needs_time: bool = False
    compares_users: bool = False
    without_share: str | None = None


def find_split(name: str) -> Split:
    """Return the split of a name, or of `path/to/file.py:function`.

    Raises:
        RegistryError: there is no such split, or it cannot be imported.
    """
    traits = SPLITS.describe(name).traits
    return Split(
        SPLITS.get(name),
        needs_time=traits.needs_time,
        compares_users=traits.compares_users,
        without_share=traits.without_share,
    )
