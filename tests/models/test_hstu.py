"""The model `hstu`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import CrossEntropy4Logits, SampledSoftmax
from recrun.data.fields import FieldTuple
from recrun.data.interactions import TIMESTAMP, Interactions, TrainingData
from recrun.errors import DataError
from recrun.models.hstu import HSTU


def _model(data: TrainingData, **settings: Any) -> HSTU:
    torch.manual_seed(3)
    small = {"max_length": 4, "embedding_dim": 6, "n_layers": 2, "attention_dim": 2, "value_dim": 3}
    model = HSTU(data, **{**small, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def _written_out(model: HSTU, items: list[int], times: list[float] | None = None) -> Tensor:
    """Return the states after each item, by the equations of the paper, head by head and pair by pair."""
    n = len(items)
    states = model.items.weight[items] * 6**0.5 + model.positions.weight[4 - n :]
    for block in model.blocks:
        split = F.silu(block.inputs(block.norm(states)))  # type: ignore[operator]
        gates, values = split[:, :6], split[:, 6:12].view(n, 2, 3)
        queries, keys = split[:, 12:16].view(n, 2, 2), split[:, 16:].view(n, 2, 2)
        sums = torch.zeros(n, 2, 3, dtype=torch.float64)
        for i in range(n):
            for j in range(i + 1):
                for head in range(2):
                    product = queries[i, head] @ keys[j, head] + block.distances[i - j]  # type: ignore[index]
                    if times is not None:
                        span = abs(times[min(i + 1, n - 1)] - times[j])
                        bucket = min(int(math.log(max(span, 1)) / 0.301), len(block.spans) - 1)  # type: ignore[arg-type]
                        product = product + block.spans[bucket]  # type: ignore[index]
                    sums[i, head] += product * torch.sigmoid(product) * values[j, head] / 4
        states = states + block.output(block.sum_norm(sums.flatten(1)) * gates)  # type: ignore[operator]
    return states


def test_scores_are_the_cosines_of_the_papers_states_and_the_embeddings(in_order: TrainingData) -> None:
    model = _model(in_order)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [6, 0, 7, 1], 4: [8]}.items():
        expected = F.cosine_similarity(_written_out(model, history)[-1][None], model.items.weight)
        torch.testing.assert_close(scores[user], expected)
    assert not scores[2].any(), "a user without items has no state"
    assert scores.abs().max() <= 1 + 1e-9


def test_the_loss_is_a_softmax_over_cosines_by_the_temperature(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "item": torch.tensor([[3, 1, 4, 0], [5, 8, 0, 0]]),
        "length": torch.tensor([[3], [2]]),
        "negative": torch.arange(16).reshape(2, 4, 2) % 9,
    }
    long, short = _written_out(model, [3, 1]), _written_out(model, [5])
    terms = []
    for state, target, negatives in [(short[0], 8, [1, 2]), (long[0], 1, [2, 3]), (long[1], 4, [4, 5])]:
        cosines = F.cosine_similarity(state[None], model.items.weight[[target, *negatives]])
        terms.append(-(cosines / 0.1).log_softmax(0)[0])
    loss = model.training_loss(batch, SampledSoftmax(temperature=0.1))
    torch.testing.assert_close(loss, torch.stack(terms).mean())


HISTORIES = {0: [3, 1, 4], 1: [5, 8], 3: [6, 0, 7, 1], 4: [8]}
TIMES = {0: [10, 10, 500], 1: [20, 40_000], 3: [3, 4, 90, 1_000_000_000], 4: [77]}
"""Two items at once, and times from a second to decades; user 3 has an item before these, met at 1."""


@pytest.mark.parametrize("unit", [1, 0.5])
def test_attention_has_biases_by_the_time_to_the_next_item(unit: float) -> None:
    users = np.repeat([0, 1, 3, 4], [3, 2, 5, 1]).astype(np.int32)
    items = np.array([3, 1, 4, 5, 8, 2, 6, 0, 7, 1, 8], dtype=np.int32)
    whole = np.array([*TIMES[0], *TIMES[1], 1, *TIMES[3], *TIMES[4]])
    rows = Interactions(users, items, {TIMESTAMP: whole if unit == 1 else whole * unit})
    model = _model(TrainingData(FieldTuple(), 5, 9, rows), n_time_buckets=30)
    scores = model.score(torch.arange(5))
    for user, history in HISTORIES.items():
        states = _written_out(model, history, [time * unit for time in TIMES[user]])
        torch.testing.assert_close(scores[user], F.cosine_similarity(states[-1][None], model.items.weight))
    assert len({int(math.log(max(abs(a - b), 1)) / 0.301) for of in TIMES.values() for a in of for b in of}) == 5
    assert max(math.log(max(of) - min(of) + 1) / 0.301 for of in TIMES.values()) > 30, "the last bucket is one of them"


@pytest.mark.parametrize("as_prefixes", [False, True])
def test_a_state_knows_when_the_item_that_it_predicts_is_met_but_for_the_last_one(as_prefixes: bool) -> None:
    rows = Interactions(
        np.zeros(4, np.int32), np.array([6, 0, 7, 1], np.int32), {TIMESTAMP: np.array([3, 4, 90, 10**9])}
    )
    model = _model(TrainingData(FieldTuple(), 1, 9, rows), n_time_buckets=30)
    batch = {
        "item": torch.tensor([[6, 0, 7, 1]])[:, : 3 if as_prefixes else 4],
        "times": torch.tensor([[3, 4, 90, 10**9]])[:, : 3 if as_prefixes else 4],
        "length": torch.tensor([[3 if as_prefixes else 4]]),
    }
    states = _written_out(model, [6, 0, 7], [3, 4, 90])
    targets = [0, 7, 1]
    if as_prefixes:
        batch, states, targets = batch | {"target": torch.tensor([[1]])}, states[-1:], [1]
    logits = F.normalize(states, dim=-1) @ model.item_vectors().T
    loss = model.training_loss(batch, CrossEntropy4Logits())
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor(targets)))


def test_an_order_is_no_times(in_order: TrainingData) -> None:
    assert not HSTU(in_order).timed
    by_place = np.concatenate([np.arange(n) for n in (3, 2, 5, 1, 2)])
    rows = replace(in_order.interactions, columns={TIMESTAMP: by_place})
    with pytest.raises(DataError, match="n_time_buckets reads the times between interactions, and the data tells only"):
        HSTU(replace(in_order, interactions=rows), n_time_buckets=8)


@pytest.mark.parametrize("rate", ["embedding_dropout", "dropout"])
def test_dropout_works_in_training_only(in_order: TrainingData, rate: str) -> None:
    model = _model(in_order, **{"embedding_dropout": 0.0, "dropout": 0.0, rate: 0.5})
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    assert torch.equal(model(items, lengths), model(items, lengths))
    model.train()
    assert not torch.equal(model(items, lengths), model(items, lengths))


def test_embeddings_start_within_two_deviations(in_order: TrainingData) -> None:
    model = HSTU(in_order, init_std=0.3, max_length=200)
    assert 0.5 < model.positions.weight.abs().max() <= 0.6


def test_losses_that_need_cosines_take_it() -> None:
    assert resolve("hstu", ["loss=ccl", "n_negatives=4"]).config.loss == "ccl"
