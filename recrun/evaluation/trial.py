"""Try metrics that recrun did not write on a little made-up data, so that a wrong one is refused before a run starts.

Shapes: B users of the made-up rankings, K ranks, I items, N made-up rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np

from recrun.config.monitor_names import LOSS, MetricName, kind_of
from recrun.data.interactions import CSR
from recrun.errors import RecrunError, RegistryError
from recrun.metrics.kinds import Evaluated, Predictions, Rankings
from recrun.metrics.totals import EvaluationName, Totals, find_kind
from recrun.registry import METRICS
from recrun.registry.user_files import cause, is_foreign, place_in_own_code

_USERS: Final = 3
_RANKS: Final = 5


def try_metrics(metrics: Sequence[MetricName], evaluation: EvaluationName, n_items: int) -> None:
    """Compute each metric of another package, or of a user's own file, on made-up data.

    Those of a kind that recrun did not write are left out, for what they are functions of is not known.

    Args:
        metrics: all that will be computed.
        evaluation: "ranking" or "predictions".
        n_items: I.

    Raises:
        RegistryError: one fails, or returns something else than numbers as its kind has it.
    """
    for name in metrics:
        if name.name != LOSS and is_foreign(METRICS.get(name.name)) and not is_foreign(find_kind(_kind(name))):
            _try(name, evaluation, n_items)


def _kind(name: MetricName) -> str:
    return kind_of(METRICS.describe(name.name)).name


def _try(name: MetricName, evaluation: EvaluationName, n_items: int) -> None:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if evaluation == "ranking":
                rankings = _rankings(min(name.k or _RANKS, n_items), n_items)
                seen = CSR(np.array([0, 0, n_items // 2, n_items]), np.arange(n_items))
                ends = np.cumsum(rankings.n_relevant_B)
                relevant = CSR(np.concatenate([[0], ends]), np.arange(ends[-1]) % n_items)
                totals = Totals([name], evaluation, Evaluated(n_items, seen, relevant))
                totals.add_rankings(rankings)
            else:
                rows = _predictions()
                totals = Totals([name], evaluation, Evaluated(targets_N=rows.targets_N, users_N=rows.users_N))
                totals.add_predictions(rows)
            totals.values()
    except RecrunError:
        raise
    except (Exception, SystemExit) as error:
        told = f"{cause(error)}{place_in_own_code(error)}"
        raise RegistryError(f"metric {name} failed on made-up data: {told}") from error


def _rankings(k: int, n_items: int) -> Rankings:
    """Return the rankings of users who find every item, every second, and none."""
    ranks = np.arange(k)
    hits_BK = np.stack([ranks >= 0, ranks % 2 == 0, ranks < 0])
    return Rankings(
        users_B=np.arange(_USERS),
        items_BK=np.tile(ranks % n_items, (_USERS, 1)),
        hits_BK=hits_BK,
        n_relevant_B=hits_BK.sum(axis=1) + 1,
        scores_BK=np.tile(-ranks.astype(np.float64), (_USERS, 1)),
        wins_B=np.array([2.0, 0.5, 1.0]),
        n_findable_B=np.array([1, 1, 2]),
        n_others_B=np.array([2, 1, 3]),
    )


def _predictions() -> Predictions:
    """Return rows of two users, each with a label of both kinds."""
    return Predictions(np.array([0.2, 0.7, 0.4, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1]))
