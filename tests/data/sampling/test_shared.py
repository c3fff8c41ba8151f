"""Negatives that the rows of a batch share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recrun.config.resolve import resolve
from recrun.criterions import BCELoss4Logits, BPRLoss, SampledSoftmax
from recrun.data.datasets import Synthetic
from recrun.data.interactions import TrainingData
from recrun.data.sampling.shared import SharedNegatives
from recrun.errors import ConfigError
from recrun.randomness import generator
from recrun.registry import LOSSES
from recrun.workflows.build import build

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0", "batch_size=50"]
SHARED = [*SMALL, "sampler=shared", "n_negatives=20"]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return Synthetic(n_users=60, n_items=40, n_interactions=900).training_data()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_items_are_drawn_in_proportion_to_a_power_of_popularity(data: TrainingData, alpha: float) -> None:
    sampler = SharedNegatives(data, n_negatives=200_000, alpha=alpha)
    drawn = sampler.draw_shared(np.array([1, 2]), generator(1, 0, "test"))
    expected = np.maximum(data.item_counts(), 1.0) ** alpha
    expected /= expected.sum()
    found = np.bincount(drawn, minlength=40) / len(drawn)
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max() / len(drawn))
    np.testing.assert_allclose(np.exp(sampler.log_probability(drawn)), expected[drawn], rtol=1e-5)


def test_seen_items_do_not_count_for_a_user_unless_asked_for(data: TrainingData) -> None:
    users, positives = np.array([3, 7, 3, 50]), np.array([4, 5, 6, 4])
    sampler = SharedNegatives(data, n_negatives=30, batch_positives="added")
    shared = sampler.draw_shared(positives, generator(1, 0, "test"))
    assert shared[30:].tolist() == [4, 5, 6, 4]
    is_seen, rows = sampler.find_seen(users, shared), data.csr()
    assert is_seen.any()
    assert is_seen.tolist() == [[item in rows.row(user) for item in shared] for user in users]
    every = SharedNegatives(data, n_negatives=30, seen_as_negatives=True)
    assert not every.find_seen(users, shared).any()


def _rows(model: torch.nn.Module, batch: dict[str, Any], *, seen_count: bool = False) -> list[tuple[torch.Tensor, ...]]:
    """Return the score of the positive, and those of the negatives that count, row by row."""
    rows = []
    for user, positive, seen in zip(batch["user"][:, 0], batch["item"][:, 0], batch["seen"], strict=True):
        counts = (batch["shared"] != positive) & (~seen | seen_count)
        items = torch.cat([positive[None], batch["shared"][counts]])
        scores = model(user[None, None], items[None])[0]
        rows.append((scores[:1], scores[1:]))
    return rows


@pytest.mark.parametrize("model", ["bprmf", "lightgcn", "neumf"])
@pytest.mark.parametrize("more", [[], ["batch_positives=added"], ["seen_as_negatives=true"]])
def test_the_loss_is_over_the_negatives_that_count(model: str, more: list[str]) -> None:
    coach = build(
        resolve(
            model,
            [*SHARED, "loss=sampled_softmax", "embedding_decay=0", *more]
            if model != "neumf"
            else [*SHARED, "loss=sampled_softmax", *more],
        )
    )
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    assert batch["shared"].shape == (20 + (50 if "batch_positives=added" in more else 0),)
    coach.model.eval()
    expected = [torch.logsumexp(torch.cat(row), 0) - row[0][0] for row in _rows(coach.model, batch)]
    loss = coach.model.training_loss(batch, SampledSoftmax())
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    pairwise = [-F.logsigmoid(positive - negatives).sum() for positive, negatives in _rows(coach.model, batch)]
    total = torch.stack(pairwise).sum() / (50 * len(batch["shared"]))
    torch.testing.assert_close(coach.model.training_loss(batch, BPRLoss()), total)


def test_ultragcn_which_weighs_its_terms_itself_leaves_out_what_does_not_count() -> None:
    options = [*SHARED, "n_negatives=5", "embedding_decay=0", "item_weight=0"]
    model, batch = _ultragcn(options)
    before = model.training_loss(batch, BCELoss4Logits())
    batch["seen"] = torch.ones_like(batch["seen"])
    assert model.training_loss(batch, BCELoss4Logits()) < before
    without, _ = _ultragcn([*options, "unobserved_weight=1e-30"])
    torch.testing.assert_close(
        model.training_loss(batch, BCELoss4Logits()), without.training_loss(batch, BCELoss4Logits())
    )


def _ultragcn(options: list[str]) -> tuple[Any, dict[str, Any]]:
    torch.manual_seed(1)
    last = {each.partition("=")[0]: each for each in options}
    coach = build(resolve("ultragcn", list(last.values())))
    return coach.model, dict(next(iter(coach.dataset.iterate("train", seed=1, epoch=0))))


def test_the_correction_is_by_the_probabilities_of_the_draws() -> None:
    options = [*SHARED, "alpha=0.7", "loss=sampled_softmax", "logq_correction=true", "temperature=0.5"]
    coach = build(resolve("bprmf", options))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    counts = np.maximum(coach.dataset.base.training_data().item_counts(), 1) ** 0.7
    log_q = torch.from_numpy(np.log(counts / counts.sum())).float()[batch["shared"]]
    torch.testing.assert_close(batch["log_q"][0], log_q, rtol=1e-4, atol=1e-4)
    expected = []
    for (positive, _), user, seen, item in zip(
        _rows(coach.model, batch), batch["user"], batch["seen"], batch["item"][:, 0], strict=True
    ):
        counts_B = ~seen & (batch["shared"] != item)
        scores = coach.model(user[None], batch["shared"][None])[0] / 0.5 - log_q - np.log(20)
        expected.append(torch.logsumexp(torch.cat([positive / 0.5, scores[counts_B]]), 0) - positive[0] / 0.5)
    torch.testing.assert_close(coach.model.training_loss(batch, coach.criterion), torch.stack(expected).mean())


@pytest.mark.parametrize("rows", ["all_positions", "prefixes", "windows"])
def test_sequences_share_negatives_too(rows: str) -> None:
    options = [*SHARED, "split=leave_one_out", f"sequence_rows={rows}", "loss=sampled_softmax", "max_length=6"]
    coach = build(resolve("gru4rec", options))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    expected = []
    for row, (items, length) in enumerate(zip(batch["item"], batch["length"][:, 0], strict=True)):
        if rows == "prefixes":
            pairs = [(items[:length], batch["target"][row, 0])]
        else:
            pairs = [(items[:stop], items[stop]) for stop in range(1, int(length))]
        for history, target in pairs:
            state = coach.model.read(history[None], torch.tensor([len(history)]))[0]
            counts = ~batch["seen"][row] & (batch["shared"] != target)
            chosen = torch.cat([target[None], batch["shared"][counts]])
            scores = coach.model.item_vectors()[chosen] @ state
            expected.append(torch.logsumexp(scores, 0) - scores[0])
    loss = coach.model.training_loss(batch, coach.criterion)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_the_other_rows_of_the_batch_alone_are_negatives(tmp_path: Path) -> None:
    options = [*SMALL, "sampler=shared", "batch_positives=only", "split=leave_one_out"]
    coach = build(resolve("gru4rec", [*options, "sequence_rows=prefixes", "loss=bpr"]))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    assert batch["shared"].tolist() == batch["target"][:, 0].tolist()
    assert torch.isfinite(coach.model.training_loss(batch, coach.criterion))


@pytest.mark.parametrize("loss", [each.name for each in LOSSES if each.traits.takes_negatives])
def test_a_loss_takes_them_if_a_negative_that_is_hidden_adds_nothing(loss: str) -> None:
    component = LOSSES.describe(loss)
    model = ["similarity=cosine"] if component.traits.scores == "cosine" else []
    if not component.traits.masks:
        with pytest.raises(
            ConfigError, match=f"which loss {loss} does not allow; choose another sampler, or one of bce"
        ):
            resolve("bprmf", [*SHARED, f"loss={loss}", *model])
        return
    criterion = LOSSES.get(loss)()
    criterion.bind(1000)
    scores = torch.randn(5, 4, generator=torch.Generator().manual_seed(2)).tanh().requires_grad_()
    hidden = torch.cat([scores, torch.full((5, 1), -1e9)], dim=1)
    (with_hidden,) = torch.autograd.grad(criterion.from_scores(hidden), scores)
    (without,) = torch.autograd.grad(criterion.from_scores(scores), scores)
    ratios = with_hidden / without
    assert torch.isfinite(ratios[without != 0]).all()
    if loss in ("sampled_softmax", "bsl"):
        torch.testing.assert_close(with_hidden, without)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["n_negatives=0"], "n_negatives: expected an integer >= 1, found 0"),
        (["batch_positives=only"], "n_negatives: does not apply: no negatives are drawn"),
        (["batch_positives=only", "alpha=0.5"], "alpha: does not apply: no negatives are drawn"),
        (["batch_positives=added", "batch_size=1"], "takes negatives from the other rows, so a batch needs at least 2"),
    ],
)
def test_what_does_not_fit_is_refused(options: list[str], message: str) -> None:
    changed = {option.partition("=")[0] for option in options}
    others = [option for option in SHARED if option.partition("=")[0] not in changed]
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", [*others, *options])


def test_the_positives_of_other_rows_need_rows_with_one_positive() -> None:
    options = [*SHARED, "batch_positives=added", "split=leave_one_out"]
    with pytest.raises(ConfigError, match="sequence_rows: the positives of the other rows need rows with one positive"):
        resolve("sasrec", options)
    assert resolve("sasrec", [*options, "sequence_rows=prefixes"]).config.batch_positives == "added"
