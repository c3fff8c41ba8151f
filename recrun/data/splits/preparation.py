"""Say how the rows of a data set are filtered and split, and refuse what contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recrun.data import splits
from recrun.errors import DataError, RegistryError
from recrun.time_span import is_time_span

DEFAULT_TEST_RATIO = 0.1
DEFAULT_FOLDS = 5
DEFAULT_FOLD_IN = (0.8, "random")
_GIVEN = splits.Split(lambda rows: np.zeros(len(rows.users), dtype=np.int8), without_share="the parts are given")


@dataclass(frozen=True)
class Preparation:
    """How rows are filtered and split. See `docs/data.md` for what each means to a user.

    Args:
        split: a name from `recrun list splits`, or `path/to/file.py:function`; "given" for tables that are parts.
        test_ratio: share of test; not for "given" and splits that say how much they test on.
        valid_ratio: share of valid; 0 for none. Parts that come with a valid part keep theirs.
        valid_from: where in each user's train rows valid is taken of given parts: "random", or the "end" of the row.
        split_seed: seed of random splits.
        min_user_interactions: k-core over users.
        min_item_interactions: k-core over items.
        rating_threshold: the least rating that counts as an interaction; None counts all.
        duplicates: which one of several interactions of a user with an item is kept, "first" or "last" in time, or
            "all", so that a pair may be in several parts.
        labelled: whether a row is an event with a label of its own.
        n_held_out: for "leave_k": how many of each user's latest interactions are tested.
        n_folds: for "k_fold": how many folds there are.
        test_fold: for "k_fold": which of them is tested, from 1.
        fold_in_ratio: for "new_users": share of a held-out user's rows that is given, above 0 and below 1.
        fold_in_by: for "new_users": whether "random" ones are given, or the earliest ("time").
        session_gap: the longest inactivity within a session, a span of time, where users are cut into sessions.
        session_targets: for "sessions": whether "each" item but the first of a held-out one is tested, or the "last".
        test_days: for "sessions": tested are those of so many last days; None for a share.
        valid_days: likewise for valid.
    """

    split: str = "ratio"
    test_ratio: float = DEFAULT_TEST_RATIO
    valid_ratio: float = 0.1
    valid_from: str = "random"
    split_seed: int = 0
    min_user_interactions: int = 0
    min_item_interactions: int = 0
    rating_threshold: float | None = None
    duplicates: str = "last"
    labelled: bool = False
    n_held_out: int = 1
    n_folds: int = DEFAULT_FOLDS
    test_fold: int = 1
    fold_in_ratio: float = DEFAULT_FOLD_IN[0]
    fold_in_by: str = DEFAULT_FOLD_IN[1]
    session_gap: str | float | None = None
    session_targets: str = "each"
    test_days: float | None = None
    valid_days: float | None = None

    def find_split(self) -> splits.Split:
        """Return what `split` names.

        Raises:
            DataError: there is no such split, or it cannot be imported.
        """
        try:
            return _GIVEN if self.split == "given" else splits.find_split(self.split)
        except RegistryError as error:
            raise DataError(str(error)) from None

    def check(self) -> None:
        """Check what a single option's type cannot tell.

        Raises:
            DataError: there is no such split, nothing would be left for train, or a share is set that does not count.
        """
        split = self.find_split()
        if self.split != "leave_k" and self.n_held_out != 1:
            raise DataError(
                f"n_held_out {self.n_held_out} is for split=leave_k, found split={self.split}; leave it out"
            )
        if self.split != "k_fold" and (self.n_folds, self.test_fold) != (DEFAULT_FOLDS, 1):
            raise DataError(f"n_folds and test_fold are for split=k_fold, found split={self.split}; leave them out")
        if self.test_fold > self.n_folds:
            raise DataError(
                f"test_fold {self.test_fold} is not there: n_folds is {self.n_folds}, and they are counted from 1"
            )
        if (not split.new_users or self.of_sessions) and (self.fold_in_ratio, self.fold_in_by) != DEFAULT_FOLD_IN:
            raise DataError(
                f"fold_in_ratio and fold_in_by are for split=new_users, found split={self.split}; leave them out"
            )
        self._check_sessions()
        if not 0 < self.fold_in_ratio < 1 or self.fold_in_by not in ("random", "time"):
            raise DataError(
                f"expected a fold_in_ratio above 0 and below 1, and fold_in_by random or time; found "
                f"{self.fold_in_ratio} and {self.fold_in_by}"
            )
        if split.without_share:
            if self.test_ratio != DEFAULT_TEST_RATIO:
                raise DataError(
                    f"test_ratio {self.test_ratio} has no meaning here: {split.without_share}; leave it out"
                )
        elif self.test_ratio + self.valid_ratio >= 1:
            raise DataError(
                f"test_ratio {self.test_ratio} and valid_ratio {self.valid_ratio} together must be less than 1, "
                f"so that something is left for train"
            )

    @property
    def of_sessions(self) -> bool:
        """Whether sessions are held out."""
        return self.split == "sessions"

    def _check_sessions(self) -> None:
        if not is_time_span(self.session_gap) or self.session_targets not in ("each", "last"):
            raise DataError(
                f"expected a session_gap such as 30m, and session_targets each or last; found {self.session_gap} and "
                f"{self.session_targets}"
            )
        if not self.of_sessions and (self.session_targets, self.test_days, self.valid_days) != ("each", None, None):
            raise DataError(
                f"session_targets, test_days and valid_days are for split=sessions, found split={self.split}; leave "
                f"them out"
            )
        if self.session_gap is not None and self.split == "given":
            raise DataError("session_gap cuts one file, and the parts are given already; leave it out")
