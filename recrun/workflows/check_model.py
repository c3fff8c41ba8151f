"""Check a model against the rules that every model must follow, for `recrun check` and for the tests of recrun.

The model is trained on small synthetic data. Each rule tests one property and explains what is wrong.

Shapes: U users, I items, N rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.sequence import SequenceArch
from recrun.config.family import can_score_new_users
from recrun.config.monitor_names import MetricName
from recrun.data.interactions import CSR
from recrun.evaluation.predictions import measure, predict
from recrun.registry import MODELS
from recrun.registry.user_files import place_in_own_code
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.workflows.check_warm_start import warm_start
from recrun.workflows.checked_subject import EARLY, SEED, Broken, Subject, scores_of, train

_CUTOFF: Final = 10
_COMPARED: Final = 32
"""Users whose scores by `forward`, or as new users, are compared with those that are ranked."""
_SHARED: Final = 0.5
"""The least share of a known user's first items that are also first when the user is scored as a new one."""


@dataclass(frozen=True)
class Verdict:
    """The result of one rule.

    Args:
        rule: its name.
        claim: what it requires.
        ok: whether the model follows it.
        message: what is wrong, or None.
    """

    rule: str
    claim: str
    ok: bool
    message: str | None = None


def check(name: str, overrides: Sequence[str] = ()) -> list[Verdict]:
    """Train a model on small data and check every rule.

    Args:
        name: a registered name, or `./file.py:Name`.
        overrides: `KEY=VALUE` settings for it.

    Raises:
        ConfigError, RegistryError: there is no such model, or it cannot take these settings.
    """
    subject = Subject(name, overrides)
    subject.resolve()
    verdicts = []
    for rule in RULES:
        claim = (rule.__doc__ or "").strip().rstrip(".")
        title = rule.__name__.replace("_", " ")
        try:
            rule(subject)
        except Broken as broken:
            verdicts.append(Verdict(title, claim, False, str(broken)))
        except (Exception, SystemExit) as error:  # an error in the model's code is a result as well
            found = f"raised {type(error).__name__}: {error}{place_in_own_code(error)}"
            verdicts.append(Verdict(title, claim, False, found))
        else:
            verdicts.append(Verdict(title, claim, True))
            continue
        if rule is is_built:
            break  # the other rules need a model
    return verdicts


def is_built(subject: Subject) -> None:
    """The model can be built from the training data and its settings, and trained."""
    model = subject.build().model
    if not isinstance(model, RecSysArch):
        raise Broken(f"expected a class derived from RecSysArch or ClosedFormArch, found {type(model).__name__}")
    assert subject.coach is not None


def shapes(subject: Subject) -> None:
    """score(users) returns a row for each user with a score for each item."""
    base = subject.coach.dataset.base
    if subject.family.evaluation == "predictions":
        if subject.scores.shape != (len(base.interactions("valid")),):
            raise Broken("forward(batch) must return one logit for each row")
        return
    expected, found = (base.n_users, base.n_items), tuple(subject.scores.shape)
    if found != expected:
        raise Broken(f"score(users) of all {base.n_users} users has shape {found}; expected {expected}")


def finite(subject: Subject) -> None:
    """All scores are finite."""
    wrong = int((~subject.scores.isfinite()).sum())
    if wrong:
        raise Broken(f"{wrong} of {subject.scores.numel()} scores are NaN or infinite")


def vectors(subject: Subject) -> None:
    """If vectors() is defined, its products are the scores."""
    model = subject.coach.model
    with torch.no_grad():
        pair = model.vectors()
    if pair is None:
        return
    products = pair[0] @ pair[1].T
    if products.shape != subject.scores.shape or not torch.allclose(products, subject.scores, rtol=1e-4, atol=1e-5):
        raise Broken(
            "the products of vectors() are not the scores of score(users); define only one of them, or make them agree"
        )


def rows(subject: Subject) -> None:
    """The scores of some users are the same as their rows in the scores of all users."""
    if subject.family.evaluation == "predictions":
        return
    users = torch.tensor([7, 0, 119])
    users = users[users < subject.coach.dataset.base.n_users]
    with torch.no_grad():
        some = subject.coach.model.score(users)
    wanted = subject.scores[users]
    if some.shape != wanted.shape or not torch.allclose(some, wanted, rtol=1e-4, atol=1e-5):
        raise Broken(f"score([{', '.join(map(str, users.tolist()))}]) differs from those rows of all users' scores")


def new_users(subject: Subject) -> None:
    """A model that scores new users ranks for them much as for known users with the same items."""
    if not can_score_new_users(MODELS.describe(subject.name)):
        model = subject.coach.model
        base_class = SequenceArch if getattr(model, "personal", False) else RecSysArch
        for method in ("embed_histories", "score_histories"):
            if getattr(type(model), method) is not getattr(base_class, method):
                cure = "register it with the trait new_users=True"
                if base_class is SequenceArch:
                    cure = "remove it: with personal = True a model scores no new users"
                raise Broken(f"it defines {method}(), so {cure}")
        return
    base = subject.coach.dataset.base
    users = np.arange(min(base.n_users, _COMPARED))
    of_known = subject.scores[users]
    histories = base.interactions("train").histories(base.n_users).take(users)
    scores = _scores_of_new_users(subject, histories)
    seen = torch.from_numpy(histories.to_scipy(base.n_items).toarray()) > 0
    mine, known = (each.masked_fill(seen, -torch.inf).topk(_CUTOFF).indices for each in (scores, of_known))
    shared = float((mine[:, :, None] == known[:, None, :]).any(2).double().mean())
    if shared < _SHARED:
        raise Broken(
            f"ranked as new users, users have {shared:.0%} of their first {_CUTOFF} items in common with their "
            f"rankings as known users; expected at least {_SHARED:.0%}"
        )


@torch.no_grad()
def _scores_of_new_users(subject: Subject, histories: CSR) -> Tensor:
    """Return the scores (B, I) of new users with these items, if they are such scores."""
    model, expected = subject.coach.model, (histories.n_rows, subject.coach.dataset.base.n_items)
    scores: Tensor = model.score_histories(histories)
    if tuple(scores.shape) != expected or not bool(scores.isfinite().all()):
        found = f"shape {tuple(scores.shape)}" if tuple(scores.shape) != expected else "some that are not finite"
        raise Broken(f"score_histories() must return finite scores of shape {expected}; found {found}")
    if not subject.family.histories:
        rows, items = (np.tile(each[::-1], 2) for each in histories.pairs())
        other = model.score_histories(CSR.from_pairs(rows, items, histories.n_rows, sort=False))
        if not torch.allclose(other, scores, rtol=1e-4, atol=1e-5):
            raise Broken("score_histories() depends on the order of a row's items, or on how often they occur in it")
    if type(model).embed_histories is not RecSysArch.embed_histories:
        products = model.embed_histories(histories) @ model.vectors()[1].T
        if not torch.allclose(products, scores, rtol=1e-4, atol=1e-5):
            raise Broken("the products of embed_histories() and the items' vectors() differ from score_histories()")
    if not torch.equal(subject.scores, scores_of(subject.coach, subject.family)):
        raise Broken("score_histories() changes the scores of known users; it must change nothing in the model")
    return scores


def loss_falls(subject: Subject) -> None:
    """Training lowers the loss by at least 10 %; a closed-form model has no loss."""
    coach = subject.coach
    if not subject.family.trains:
        try:
            coach.model.training_loss({}, coach.criterion)
        except Exception as error:
            if "closed form" in str(error):
                return
        raise Broken("a closed-form model has no training loss; do not override training_loss() of ClosedFormArch")
    first, last = subject.losses[0], subject.losses[-1]
    if not last < 0.9 * first:
        raise Broken(f"the loss was {first:.6g} in the first epoch and is {last:.6g} after {len(subject.losses)}")


def same_seed(subject: Subject) -> None:
    """The same seed gives the same model, bit for bit."""
    again = subject.build()
    if train(again, subject.family, range(EARLY)) != subject.losses[:EARLY]:
        raise Broken("trained again with the same seed, the losses differ; use only torch's global random generator")
    other = again.model.state_dict()
    different = [key for key, tensor in subject.early.items() if not torch.equal(tensor, other[key])]
    if different:
        raise Broken(f"trained again with the same seed, {', '.join(different[:3])} differ")


def checkpoint(subject: Subject) -> None:
    """A checkpoint holds the whole model: loaded into a new model, it gives the same scores."""
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(f"{folder}/checkpoint.safetensors", {"model": subject.coach.model.state_dict()})
        fresh = subject.build(seed=SEED + 1)
        fresh.model.load_state_dict(load_checkpoint(folder)["model"])
    if not torch.equal(subject.scores, scores_of(fresh, subject.family)):
        raise Broken("loaded into a new model, it gives different scores; keep all state in parameters or buffers")


def better_than_chance(subject: Subject) -> None:
    """The model finds more than 1.5 times as many held-out items as chance."""
    base = subject.coach.dataset.base
    if subject.family.evaluation == "predictions":
        _predicts_better_than_chance(subject)
        return
    scores = subject.scores.numpy().copy()
    seen, held_out = base.csr("train").to_scipy(base.n_items), base.csr("valid").to_scipy(base.n_items)
    scores[seen.nonzero()] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :_CUTOFF]
    hits = int(np.take_along_axis(held_out.toarray(), top, axis=1).sum())
    chance = held_out.nnz * _CUTOFF / (base.n_items - seen.nnz / base.n_users)
    if not hits > 1.5 * chance:
        raise Broken(f"finds {hits} of {held_out.nnz} held-out items in the top {_CUTOFF}; chance finds {chance:.0f}")


def _predicts_better_than_chance(subject: Subject) -> None:
    """Raise Broken unless the AUC on test is more than halfway from chance to that of the generating model."""
    base = subject.coach.dataset.base
    found = measure(*predict(subject.coach.model, base, "test", subject.coach.device), [MetricName("auc")])["auc"]
    best = getattr(base, "best", {"auc": 1.0})["auc"]
    if not found > 0.5 + 0.5 * (best - 0.5):
        raise Broken(f"the AUC of its predictions is {found:.3f}; chance has 0.5, the generating model {best:.3f}")


@torch.no_grad()
def pairs(subject: Subject) -> None:
    """forward(users, items), by which the model is trained, orders each user's items as the scores do."""
    model = subject.coach.model
    if subject.family.rows != "interactions" or not subject.family.trains or type(model).forward is nn.Module.forward:
        return
    n_users, n_items = subject.scores.shape
    users_B = torch.arange(min(n_users, _COMPARED))
    items_BI = torch.arange(n_items).expand(len(users_B), n_items)
    trained_BI, ranked_BI = model.score_pairs(users_B[:, None], items_BI), subject.scores[users_B]
    # Of items in the order of their scores, none may lie below one before it.
    ordered_BI = trained_BI.gather(1, ranked_BI.argsort(dim=1, stable=True))
    drops_BI = ordered_BI.cummax(dim=1).values - ordered_BI
    if bool((drops_BI > 1e-4 * trained_BI.abs().amax() + 1e-5).any()):
        user = int(drops_BI.amax(dim=1).argmax())
        raise Broken(
            f"forward() orders the items of user {user} otherwise than score() or vectors() does, so the model is "
            "trained on other scores than it ranks by"
        )


RULES: Final[tuple[Callable[[Subject], None], ...]] = (
    is_built,
    shapes,
    finite,
    vectors,
    pairs,
    rows,
    new_users,
    loss_falls,
    same_seed,
    checkpoint,
    warm_start,
    better_than_chance,
)
"""The rules, in the order in which they are checked."""
