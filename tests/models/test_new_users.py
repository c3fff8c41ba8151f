"""Scores of users that training never saw, by every model that can."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recrun.architectures.base import RecSysArch
from recrun.config.family import can_score_new_users, without_new_users
from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.registry import MODELS
from recrun.workflows.checked_subject import Subject, train

ABLE = [each.name for each in MODELS if can_score_new_users(each)]
BY_ROWS = [
    "diffrec",
    "ease",
    "gfcf",
    "itemknn",
    "macridvae",
    "multdae",
    "multvae",
    "popularity",
    "puresvd",
    "recvae",
    "rp3beta",
    "slim",
]
"""Models whose scores are a function of the user's row."""


@pytest.fixture(scope="module", params=ABLE)
def subject(request: pytest.FixtureRequest) -> Subject:
    subject = Subject(request.param)
    if subject.family.histories:  # of which is asked what holds after any training
        subject.coach = subject.build()
        train(subject.coach, subject.family, range(1))
    assert subject.scores.isfinite().all()  # trained, and in evaluation mode
    return subject


def _histories(subject: Subject) -> CSR:
    base = subject.coach.dataset.base
    histories: CSR = base.interactions("train").histories(base.n_users)
    return histories


def _top(subject: Subject, scores: torch.Tensor, k: int = 20) -> torch.Tensor:
    base = subject.coach.dataset.base
    seen = torch.from_numpy(base.csr("train").to_scipy(base.n_items).toarray()) > 0
    return scores.masked_fill(seen, -torch.inf).topk(k).indices


def test_all_models_can_but_those_with_vectors_of_users_alone_and_those_that_predict_labels() -> None:
    predicting = {"lr", "fm", "deepfm", "dcn", "dcnv2", "xdeepfm", "finalmlp", "autoint", "din"}
    assert set(MODELS.names()) - set(ABLE) == {"neumf", "random", "caser", "fpmc", "transrec"} | predicting


def test_a_model_that_cannot_says_which_can() -> None:
    with pytest.raises(ConfigError, match=r"model RecSysArch cannot score new users.*models that can: bert4rec, bprmf"):
        RecSysArch().score_histories(CSR.empty(1))
    assert "neumf" not in without_new_users("neumf").partition("models that can")[2]


@torch.no_grad()
def test_a_known_user_is_scored_the_same_as_a_new_one(subject: Subject) -> None:
    scores = subject.coach.model.score_histories(_histories(subject))
    if subject.name in ("puresvd", "gfcf"):  # their users' vectors were computed by the other of two equal formulas
        torch.testing.assert_close(scores, subject.scores)
    elif subject.name in BY_ROWS or subject.family.histories:
        assert torch.equal(scores, subject.scores)
    else:
        mine, known = _top(subject, scores), _top(subject, subject.scores)
        shared = (mine[:, :, None] == known[:, None, :]).any(2).double().mean()
        assert shared > {"ials": 0.97, "userknn": 0.9, "enmf": 0.6, "cml": 0.6}.get(subject.name, 0.7)


@torch.no_grad()
def test_one_new_user_is_scored_as_among_others(subject: Subject) -> None:
    histories = _histories(subject)
    together = subject.coach.model.score_histories(histories)
    for user in (0, 7, 119):
        alone = subject.coach.model.score_histories(histories.take(np.array([user])))
        torch.testing.assert_close(alone[0], together[user], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_new_user_may_have_no_items(subject: Subject) -> None:
    scores = subject.coach.model.score_histories(CSR.empty(2))
    assert scores.shape == (2, subject.coach.dataset.base.n_items)
    assert scores.isfinite().all()
    torch.testing.assert_close(scores[0], scores[1])


@torch.no_grad()
def test_new_users_with_other_items_have_other_scores(subject: Subject) -> None:
    if subject.name == "popularity":
        pytest.skip("it scores all users alike")
    rows = CSR.from_pairs(np.array([0, 0, 1, 1]), np.array([3, 5, 20, 41]), 2)
    scores = subject.coach.model.score_histories(rows)
    assert not torch.allclose(scores[0], scores[1])
