"""What a split is: a function that labels each interaction as train, valid or test.

N interactions, U users, I items. The setting `split` names one of `recrun.data.splits.table`, one that another package
registers, or one in a file of your own. Its traits tell the rest what it asks of the data:

- `needs_time`: it reads `times`; data without times is refused.
- `compares_users`: it compares the times of different users; data that only orders each user's rows is refused.
- `without_share`: why `test_ratio` has no meaning for it; left out where it has.
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
    """The rows that a split labels, by user and then by time, and the settings of how.

    Args:
        users: int (N,).
        items: int (N,).
        times: (N,); all 0 where the data has none.
        n_users: U.
        n_items: I.
        test_ratio: share of test.
        valid_ratio: share of valid; 0 for none.
        n_held_out: how many of each user's interactions are tested on.
        n_folds: how many folds there are.
        test_fold: which of them is tested on, from 1.
        rng: the source of chance, seeded by `split_seed`.
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
    """What the setting `split` chooses.

    Args:
        function: returns a label of 0 train, 1 valid or 2 test for each row, (N,).
        needs_time: whether it reads `times`.
        compares_users: whether it compares the times of different users.
        without_share: why `test_ratio` has no meaning for it, or None where it has.
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
