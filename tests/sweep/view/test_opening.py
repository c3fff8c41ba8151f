from __future__ import annotations

from collections.abc import Callable

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.space.asked import Zip
from recrun.sweep.space.ranges import Value
from recrun.sweep.view.opening import opening_lines

MakeStudy = Callable[..., Ledger]


def opening(ledger: Ledger) -> list[str]:
    return [line for line in opening_lines(ledger) if not line.startswith(("config", "folder"))]


def test_a_search_says_what_draws_its_points_from_what_space(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-4..1e-2:log", "embedding_dim=16,32", search="tpe", trials=40, seeds=3, search_seed=5)
    assert opening(ours) == [
        "sweep   40 points by TPE (seed 5) x 3 seed = 120 trials, compared by the mean over seed of ndcg@20 on "
        "validation",
        "space   lr 1e-4..1e-2:log, embedding_dim 16,32",
    ]


def test_configs_that_are_compared_have_their_points_counted_together(study: MakeStudy) -> None:
    ours = study("bprmf itemknn", "lr=1e-3,1e-2", "n_neighbors=10,20,50")
    assert opening(ours) == [
        "sweep   5 points of lr, n_neighbors on 2 configs = 5 trials, compared by ndcg@20 on validation"
    ]


def test_configs_over_seeds_alone_are_scored_on_test(study: MakeStudy) -> None:
    assert opening(study("popularity itemknn", seeds=5)) == [
        "sweep   2 configs x 5 seed = 10 trials, each scored on test: nothing is chosen"
    ]


def test_settings_that_are_paired_do_not_multiply(study: MakeStudy) -> None:
    ours = study(
        "bprmf",
        "lr=1e-3,1e-2",
        "batch_size=512,1024",
        "seed=1,2",
        zips=(Zip((Value("lr", 1), Value("batch_size", 1))),),
    )
    assert opening(ours)[0].startswith("sweep   2 points of lr, batch_size x 2 seed = 4 trials, ")


def test_pruning_says_where_trials_are_compared(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-3,1e-2", "epochs=27", prune="asha", max_epochs=50)
    assert opening(ours)[1:] == [
        "prune   asha, compared at epoch 3, 9; the end is 27",
        "limits  50 epochs in all",
    ]


def test_every_limit_is_told(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-3,1e-2", max_hours=8, timeout=1800.0, retries=2, fail_fast=True)
    assert opening(ours)[1] == (
        "limits  8 h in all, 30 min 00 s for a trial, a failed trial is tried 2 times more, the first failure ends it"
    )


@pytest.mark.parametrize(("seeds", "told"), [(None, False), (4, True)])
def test_a_race_is_told(study: MakeStudy, seeds: int | None, told: bool) -> None:
    ours = study("bprmf", "lr=1e-3,1e-2", seeds=seeds, race=told)
    assert any(line.startswith("race    seeds are added only to") for line in opening(ours)) is told


def test_values_of_the_data_are_compared_apart(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-3,1e-2", "n_users=100,200")
    assert opening(ours)[0].endswith("4 trials, compared by ndcg@20 on validation, for each n_users separately")
