"""Splits: functions that label each interaction as train, valid or test.

Shapes: N interactions, U users, I items. The setting `split` names one of `recrun.data.splits.table`, one registered by
another package, or one in a file of your own. Its traits say what it requires:

- `needs_time`: it reads `times`; data without times is refused.
- `compares_users`: it compares the times of different users; data that only orders each user's rows is refused.
- `keeps_order`: whether what it holds out of a user's interactions is later than what it leaves in train. Models of
  sequences are refused with one that does not; if a split does not say, the data is looked at.
- `new_users`: it holds out users: it labels a part of their rows as given, to score them by, and may leave rows out.
- `without_share`: why it does not use `test_ratio`; left out if it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from recrun.errors import DataError
from recrun.registry import SPLITS

if TYPE_CHECKING:
    import numpy as np

PARTS = ("train", "valid", "test")
TRAIN, VALID, TEST = 0, 1, 2
GIVEN, LEFT_OUT = 3, 4
"""Further labels of splits with the trait `new_users`."""
GIVEN_PART: Final = "given"
"""The name of the rows labelled `GIVEN`, beside those of `PARTS`."""


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
        fold_in_ratio: share of a held-out user's interactions that is given.
        fold_in_by: which ones are given, "random" or the earliest ("time").
        test_days: the sessions of how many last days are tested on; None for a share.
        valid_days: likewise for validation, before those of test.
        second: how many units of `times` make a second; 1 if no days are asked for.
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
    fold_in_ratio: float = 0.8
    fold_in_by: str = "random"
    test_days: float | None = None
    valid_days: float | None = None
    second: int = 1


SplitFunction = Callable[[Unsplit], "np.ndarray"]


@dataclass(frozen=True)
class Split:
    """A split function and its traits, as chosen by the setting `split`.

    Args:
        function: returns the label of each row, (N,): 0 train, 1 valid, 2 test; with `new_users` also 3 given and 4
            left out.
        needs_time: whether it reads `times`.
        compares_users: whether it compares the times of different users.
        new_users: whether it holds out users, whose rows are partly given.
        without_share: why it does not use `test_ratio`, or None if it does.
    """

    function: SplitFunction
    needs_time: bool = False
    compares_users: bool = False
    new_users: bool = False
    without_share: str | None = None

    def label(self, rows: Unsplit, name: str) -> np.ndarray:
        """Return the label of each row, (N,), if those of the function, which may be a user's own, are some.

        Args:
            rows: the rows.
            name: what the split is called.

        Raises:
            DataError: there is not one of 0, 1 and 2 (with `new_users` also 3 and 4) for each row.
        """
        import numpy as np

        labels, n_rows = np.asarray(self.function(rows)), len(rows.users)
        more = ", 3 (given) or 4 (left out)" if self.new_users else ""
        told = f"split={name} must return a label of 0 (train), 1 (valid) or 2 (test){more} for each of {n_rows} rows"
        told += f"; found {labels.dtype} of shape {labels.shape}"
        if labels.dtype.kind not in "iu":
            raise DataError(told)
        low, high = labels.min(initial=0), labels.max(initial=0)
        if labels.shape != (n_rows,) or low < TRAIN or high > (LEFT_OUT if self.new_users else TEST):
            raise DataError(f"{told} with values from {low} to {high}")
        return labels


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
        new_users=traits.new_users,
        without_share=traits.without_share,
    )
