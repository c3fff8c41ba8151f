"""Time an epoch and an evaluation of BPR in implicit on Gowalla, or fits of its ALS and nearest neighbours.

    python benchmarks/peers/with_implicit.py --data ../shared/data/gowalla [--closed-form]

Written from its documentation. Its BPR is plain stochastic gradient descent in C++, one pair at a time: no Adam and no
batches. `ranking_metrics_at_k` computes precision, MAP, NDCG and AUC at one cutoff; it is run at 20.
OpenBLAS has one thread, as implicit advises.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import _peer
import numpy as np
from _peer import EMBEDDING_DIM, N_ITERATIONS, N_NEIGHBORS, options, read, report, report_fits, seconds_of


def fits_on(train: Any, n_threads: int) -> dict[str, Callable[[], object]]:
    """Return the fits to be timed, by name."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender

    def factorise(use_cg: bool) -> None:
        settings = {"factors": EMBEDDING_DIM, "iterations": N_ITERATIONS, "regularization": 0.01, "random_state": 1}
        model = AlternatingLeastSquares(**settings, use_cg=use_cg, num_threads=n_threads)
        model.fit(train, show_progress=False)

    def compare(rows: Any) -> None:
        CosineRecommender(K=N_NEIGHBORS, num_threads=n_threads).fit(rows, show_progress=False)

    return {
        "ials: exact": partial(factorise, use_cg=False),
        "ials: three steps of conjugate gradients": partial(factorise, use_cg=True),
        "itemknn": partial(compare, train),
        "userknn": partial(compare, train.T.tocsr()),
    }


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__)
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.evaluation import ranking_metrics_at_k
    from scipy.sparse import csr_matrix

    parts = [read(arguments.data, part) for part in ("train", "test")]
    shape = tuple(int(max(part[axis].max() for part in parts)) + 1 for axis in (0, 1))
    train, test = (csr_matrix((np.ones(len(users), np.float32), (users, items)), shape) for users, items in parts)
    if arguments.closed_form:
        report_fits("implicit", fits_on(train, arguments.threads))
        return
    model = BayesianPersonalizedRanking(
        factors=EMBEDDING_DIM,
        learning_rate=0.05,
        iterations=arguments.epochs + 1,
        verify_negative_samples=True,
        num_threads=arguments.threads,
        random_state=1,
    )
    ends: list[float] = []
    model.fit(train, show_progress=False, callback=lambda *_: ends.append(_peer.clock()))
    epochs = [float(gap) for gap in np.diff(ends)]
    numbers: dict[str, float] = {}

    def evaluate() -> None:
        numbers.update(
            ranking_metrics_at_k(model, train, test, K=20, show_progress=False, num_threads=arguments.threads)
        )

    evaluations = [seconds_of(evaluate) for _ in range(arguments.evaluations)]
    report("implicit", epochs, evaluations, numbers, "plain SGD in C++; 4 metrics at one cutoff")


if __name__ == "__main__":
    main()
