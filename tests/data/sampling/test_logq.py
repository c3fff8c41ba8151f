"""The probabilities of negatives that `logq_correction` corrects for: with them, every item weighs 1 on average.

A negative that counts weighs 1 / (K q) in the sum that stands for that over all items. If the expected weight of each
item is 1 for every row that it counts for, then that sum, and its gradient, are unbiased whatever the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recrun.config.resolve import resolve
from recrun.criterions import CrossEntropy4Logits, SampledSoftmax
from recrun.errors import ConfigError
from recrun.workflows.build import build

N_ITEMS = 30
DATA = ["n_users=80", f"n_items={N_ITEMS}", "n_interactions=700", "popularity_exponent=0.9"]
BASE = [*DATA, "device=cpu", "threads=1", "verbose=0", "split=leave_one_out", "loss=sampled_softmax"]
EXACT = 4.5
"""The largest deviation from 1, in standard errors, of the most deviant of 30 items: by chance 1 in 5,000."""

OF_INTERACTIONS = {
    "uniform": ["sampler=uniform", "n_negatives=5"],
    "uniform on the device": ["sampler=uniform", "n_negatives=5", "draw_on=device"],
    "popularity": ["sampler=popularity", "n_negatives=5"],
    "in batch": ["sampler=in_batch", "n_negatives=5"],
    "mixed": ["sampler=mixed", "n_negatives=6", "uniform_share=0.3"],
    "shared": ["sampler=shared", "n_negatives=20", "alpha=0.75"],
    "shared, seen count": ["sampler=shared", "n_negatives=20", "alpha=1.0", "seen_as_negatives=true"],
    "batch": ["sampler=shared", "batch_positives=only"],
    "batch, seen count": ["sampler=shared", "batch_positives=only", "seen_as_negatives=true"],
    "added": ["sampler=shared", "n_negatives=20", "alpha=0.5", "batch_positives=added"],
}
OF_SEQUENCES = {
    "uniform": ["sampler=uniform", "n_negatives=5"],
    "popularity": ["sampler=popularity", "n_negatives=5"],
    "popularity, prefixes": ["sampler=popularity", "n_negatives=5", "sequence_rows=prefixes"],
    "shared": ["sampler=shared", "n_negatives=20", "alpha=0.75"],
    "batch": ["sampler=shared", "batch_positives=only", "sequence_rows=prefixes"],
    "batch, two targets": ["sampler=shared", "batch_positives=only", "sequence_rows=prefixes", "n_targets=2"],
    "added": ["sampler=shared", "n_negatives=20", "alpha=0.5", "batch_positives=added", "sequence_rows=prefixes"],
}
CASES = [
    *(("bprmf", "interactions", name) for name in OF_INTERACTIONS),
    *(("bprmf", "users", name) for name in OF_INTERACTIONS),
    *(("sasrec", "sequences", name) for name in OF_SEQUENCES),
]


def built(model: str, rows: str, name: str, *, size: int = 24) -> Any:
    """Return a Coach with corrected negatives."""
    chosen = OF_SEQUENCES[name] if rows == "sequences" else [*OF_INTERACTIONS[name], f"positives={rows}"]
    if "n_targets=2" in chosen:
        model = "caser"
    more = ["max_length=5"] if rows == "sequences" else []
    return build(resolve(model, [*BASE, *more, *chosen, f"batch_size={size}", "logq_correction=true"]))


def drawn(coach: Any, n_batches: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield of batches the users (N,) and positives (N,) of their rows, negatives (N, K), log q, and which count."""
    seen = coach.dataset.base.csr("train").to_scipy(N_ITEMS).toarray() > 0
    epochs = chain.from_iterable(coach.dataset.iterate("train", seed=1, epoch=epoch) for epoch in range(10_000))
    for batch in islice(epochs, n_batches):
        parts = {name: column.numpy() for name, column in batch.items()}
        users, positives = np.broadcast_arrays(parts["user"], parts.get("target", parts["item"]))
        is_row = np.ones(users.shape, dtype=bool)
        if "length" in parts and "target" not in parts:
            is_row &= np.arange(users.shape[1]) < parts["length"]
        if "length" not in parts:
            is_row[:, 1:] = False
        users, positives, log_q = users[is_row], positives[is_row], parts["log_q"]
        if "shared" in parts:
            negatives = np.broadcast_to(parts["shared"], (len(users), len(parts["shared"])))
            log_q = np.broadcast_to(log_q, negatives.shape)
            counts = ~parts["seen"][is_row.nonzero()[0]] & (negatives != positives[:, None])
        else:
            negatives = parts["negative"][is_row] if "negative" in parts else parts["item"][:, 1:]
            log_q = log_q[is_row] if "negative" in parts else log_q
            counts = np.ones(negatives.shape, dtype=bool)
            assert not seen[users[:, None], negatives].any()
        yield users, positives, negatives, log_q, counts


def weights_of_items(coach: Any, *, seen_count: bool, n_batches: int = 700) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean weight of each item among the rows that it counts for, and its standard error."""
    seen = coach.dataset.base.csr("train").to_scipy(N_ITEMS).toarray() > 0
    found, expected = [], []
    for users, positives, negatives, log_q, counts in drawn(coach, n_batches):
        weights = counts * np.exp(-log_q.astype(np.float64)) / negatives.shape[1]
        found.append(np.bincount(negatives.ravel(), weights.ravel(), minlength=N_ITEMS))
        can_count = np.ones((len(users), N_ITEMS), dtype=bool) if seen_count else ~seen[users]
        can_count[np.arange(len(users)), positives] = False
        expected.append(can_count.sum(0))
    found_BI, expected_BI = np.array(found), np.array(expected)
    mean = found_BI.sum(0) / expected_BI.sum(0)
    error = (found_BI - mean * expected_BI).std(0) * np.sqrt(len(found)) / expected_BI.sum(0)
    return mean, error


@pytest.mark.parametrize(("model", "rows", "name"), CASES)
def test_every_item_weighs_one_on_average(model: str, rows: str, name: str) -> None:
    coach = built(model, rows, name)
    mean, error = weights_of_items(coach, seen_count="seen count" in name)
    train = coach.dataset.base.training_data().item_counts()
    known = train > 2  # rarer ones are hardly ever positives of a batch
    assert known.sum() > N_ITEMS / 2
    deviations = (mean - 1)[known] / error[known]
    assert np.abs(deviations).max() < EXACT, (mean[known].round(3), deviations.round(1))
    assert np.median(error[known]) < 0.06


@pytest.mark.parametrize("name", ["popularity", "in batch", "shared", "batch", "added"])
def test_other_probabilities_would_be_noticed(name: str) -> None:
    coach = built("bprmf", "interactions", name)
    pipe = coach.dataset
    sampler = next(each for each in _samplers(pipe))
    if hasattr(sampler, "take_frequencies"):
        sampler.take_frequencies(np.ones(N_ITEMS))
    sampler._weights, sampler._drawn = None, np.full(N_ITEMS, 1 / N_ITEMS)
    mean, error = weights_of_items(coach, seen_count=False, n_batches=500)
    assert np.abs((mean - 1) / np.maximum(error, 1e-9)).max() > 2 * EXACT


def _samplers(pipe: Any) -> Iterator[Any]:
    while pipe is not None:
        if hasattr(pipe, "_logs") or type(pipe).__name__ == "LogProbabilities":
            yield pipe._sampler
        pipe = getattr(pipe, "source", None)


@pytest.mark.parametrize("name", ["uniform", "popularity", "shared", "added", "in batch"])
def test_with_many_negatives_the_gradient_is_that_of_the_softmax_over_all_items(name: str) -> None:
    many = {"added": "n_negatives=6000", "shared": "n_negatives=6000"}.get(name, "n_negatives=3000")
    chosen = [many if each.startswith("n_negatives") else each for each in OF_INTERACTIONS[name]]
    size = "batch_size=560" if name == "in batch" else "batch_size=8"
    coach = build(resolve("bprmf", [*BASE, *chosen, size, "logq_correction=true", "init_std=0.7"]))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    coach.model.training_loss(batch, coach.criterion).backward()
    found = coach.model.Item.embeddings.weight.grad.clone()
    coach.optimizer.zero_grad()
    seen = torch.from_numpy(coach.dataset.base.csr("train").to_scipy(N_ITEMS).toarray() > 0)
    users, positives = batch["user"][:, 0], batch["item"][:, 0]
    is_hidden = seen[users].clone()
    is_hidden[torch.arange(len(users)), positives] = False
    scores = coach.model.score(users).masked_fill(is_hidden, -torch.inf)
    CrossEntropy4Logits()(scores, positives).backward()
    expected = coach.model.Item.embeddings.weight.grad
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_the_gradient_is_the_refined_one_of_khrylchenko_et_al() -> None:
    # The positive is not in the sum of their loss, and a row is weighted by 1 - P(positive), which is not trained.
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(6, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    log_q = torch.rand(6, 8, generator=generator, dtype=torch.float64).log()
    loss = SampledSoftmax("sum", logq_correction=True).from_corrected(scores, log_q)
    (ours,) = torch.autograd.grad(loss, scores)
    corrected = scores[:, 1:] - log_q - np.log(8)
    certain = F.softmax(torch.cat([scores[:, :1], corrected], dim=1), dim=1)[:, 0].detach()
    theirs = ((1 - certain) * (torch.logsumexp(corrected, dim=1) - scores[:, 0])).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(theirs, scores)[0])


def test_targets_that_always_are_negatives_are_refused_with_the_correction() -> None:
    more = ["sequence_rows=prefixes", "n_targets=2", "logq_correction=true", "seen_as_negatives=true"]
    with pytest.raises(ConfigError, match="n_targets: logq_correction takes negatives as drawn"):
        resolve("caser", [*BASE, "sampler=shared", "batch_positives=only", *more])
