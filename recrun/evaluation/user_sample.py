"""Draw the users that an evaluation is over, where ranking for all of them would take too long.

A mean over users drawn uniformly without replacement is an unbiased estimate of the mean over all of them, with the
standard error s / sqrt(n) * sqrt(1 - n / N) for n of N users whose values have the standard deviation s (Cochran,
*Sampling Techniques*, 3rd ed., 1977, eqs. 2.16 and 2.20). That tells it from a ranking among sampled items, which is
biased (`recrun.evaluation.protocol`).

Shapes: U users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.config.monitor_names import MetricName, kind_of
from recrun.data.postprocessing.mode import check_mode
from recrun.randomness import generator
from recrun.registry import METRICS

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, Interactions

_PARTS: Final = {"valid_test": ("valid", "test"), "valid": ("valid",)}
_KEYS: Final = ("eval_users", "eval_users_seed", "eval_users_on")


@dataclass(frozen=True)
class UserSample:
    """Which users with items to be found are evaluated.

    They depend on the part and the seed alone: they are the same for every model, epoch and seed of a run, and a larger
    sample holds the smaller ones.

    Args:
        n: how many; None for all.
        seed: of the draw.
        on: the parts on which users are drawn, "valid_test" or "valid".
    """

    n: int | None = None
    seed: int = 1
    on: str = "valid_test"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> UserSample:
        """Return the sample that settings choose."""
        return cls(*(settings.get(key, default) for key, default in zip(_KEYS, (None, 1, "valid_test"), strict=True)))

    def choice(self, split: str) -> tuple[int, int] | None:
        """Return what tells two samples of a part apart; None for all users."""
        return None if self.n is None or split not in _PARTS[self.on] else (self.n, self.seed)

    def drawn(self, relevant: CSR, split: str) -> CSR:
        """Return the items to be found of the users that are drawn, U rows; those of other users are empty.

        Args:
            relevant: the items to be found, U rows.
            split: "valid" or "test".
        """
        users = np.flatnonzero(relevant.lengths)
        if self.choice(split) is None or self.n is None or self.n >= len(users):
            return relevant
        from recrun.data.interactions import CSR

        is_drawn_U = np.zeros(relevant.n_rows, dtype=bool)
        is_drawn_U[generator(self.seed, 0, f"evaluated users of {split}").permutation(users)[: self.n]] = True
        lengths_U = np.where(is_drawn_U, relevant.lengths, 0)
        indptr = np.concatenate([[0], np.cumsum(lengths_U)])
        return CSR(indptr, relevant.indices[np.repeat(is_drawn_U, relevant.lengths)])

    def note(self, base: Any, split: str) -> str | None:
        """Return that a part has no more users than are to be drawn; None if it has, or if none are."""
        n_users = self._n_users(base, split)
        if self.choice(split) is None or self.n is None or self.n < n_users:
            return None
        return f"eval_users is {self.n:,}, and {split} has {n_users:,} users with items to be found: all are evaluated"

    def describe(self, base: Any) -> dict[str, Any]:
        """Return what a result says of the sample: nothing if all users of both parts are evaluated."""
        splits = [split for split in _PARTS[self.on] if self.n is not None and self.n < self._n_users(base, split)]
        return dict(zip(_KEYS, (self.n, self.seed, "_".join(splits)), strict=True)) if splits else {}

    @staticmethod
    def _n_users(base: Any, split: str) -> int:
        def count(rows: Interactions) -> dict[str, str]:
            return {"users": str(len(np.unique(rows.users)))}

        return int(base.reasons(check_mode(split), count)["users"])


def note_on_lists(protocol: Mapping[str, Any] | None, metrics: Iterable[MetricName]) -> str | None:
    """Return that metrics of all lists together are of the drawn users' lists; None without a sample or such metrics.

    Args:
        protocol: as a result describes it.
        metrics: those that are computed.
    """
    from recrun.metrics.kinds import MeanOverUsers
    from recrun.metrics.totals import find_kind

    kinds = {str(name): find_kind(kind_of(METRICS.describe(name.name)).name) for name in metrics}
    of_lists = [
        name for name, kind in kinds.items() if not (isinstance(kind, type) and issubclass(kind, MeanOverUsers))
    ]
    if not of_lists or (protocol or {}).get("eval_users") is None:
        return None
    which = f"{of_lists[0]} is" if len(of_lists) == 1 else f"{', '.join(of_lists)} are"
    return f"{which} of the lists of the drawn users together, and no estimate for those of all users"
