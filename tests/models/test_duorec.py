"""The model `duorec`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.criterions import CrossEntropy4Logits
from recrun.data.fields import FieldTuple
from recrun.data.interactions import TIMESTAMP, Interactions, TrainingData
from recrun.errors import ConfigError
from recrun.models.cl4srec import contrast_views
from recrun.models.duorec import DuoRec, SameTarget
from recrun.models.sasrec import SASRec

BATCH = {
    "user": torch.tensor([[0], [3], [5], [3]]),
    "item": torch.tensor([[3, 1, 0], [2, 6, 0], [0, 0, 0], [2, 6, 0]]),
    "length": torch.tensor([[2], [2], [1], [3]]),
    "target": torch.tensor([[4], [0], [5], [7]]),
}


def _model(data: TrainingData, **settings: Any) -> DuoRec:
    torch.manual_seed(3)
    model = DuoRec(data, **{"max_length": 4, "embedding_dim": 6, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_scores_are_those_of_sasrec_in_the_form_of_recbole(in_order: TrainingData) -> None:
    model = _model(in_order)
    form = {"norm": "post", "activation": "gelu", "norm_embeddings": True, "scale_embeddings": False}
    form |= {"inner_dim": 24, "dropout": 0.5, "attention_dropout": 0.5, "drop_inner": False}
    sasrec = SASRec(in_order, max_length=4, embedding_dim=6, n_heads=2, **form).eval()  # type: ignore[arg-type]
    sasrec.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.score(torch.arange(6)), sasrec.score(torch.arange(6)))


def test_the_loss_is_that_of_the_targets_and_the_weighted_one_of_the_pairs(in_order: TrainingData) -> None:
    model, plain = _model(in_order, contrast_weight=0.3, contrast_temperature=2.0), _model(in_order, contrast_weight=0)
    terms = [
        -(model.items.weight @ model.read(row[None, :n], n)[0]).log_softmax(0)[target]
        for row, n, target in zip(BATCH["item"], BATCH["length"], BATCH["target"][:, 0], strict=True)
    ]
    of_targets = plain.training_loss(BATCH, CrossEntropy4Logits())
    torch.testing.assert_close(of_targets, torch.stack(terms).mean())
    torch.manual_seed(11)
    loss = model.training_loss(BATCH, CrossEntropy4Logits())
    torch.manual_seed(11)
    pairs = model.same_target.draw_histories(BATCH["user"][:, 0], BATCH["target"][:, 0], 4)
    states = [
        torch.stack([model.read(row[None, :n], n[None])[0] for row, n in zip(items, lengths, strict=True)])
        for items, lengths in ((BATCH["item"], BATCH["length"][:, 0]), pairs)
    ]
    torch.testing.assert_close(loss, of_targets + 0.3 * contrast_views(*states, 2.0, "dot"))


def test_the_states_of_a_pair_have_a_dropout_of_their_own(in_order: TrainingData) -> None:
    alone = {key: each[:1] for key, each in BATCH.items()}  # item 4 follows no other history: it is its own pair
    model = _model(in_order, contrast_similarity="cosine", contrast_weight=1.0)
    difference = model.training_loss(alone, CrossEntropy4Logits())
    difference = difference - _model(in_order, contrast_weight=0).training_loss(alone, CrossEntropy4Logits())
    assert abs(float(difference.detach())) < 1e-5, "one pair has no other states to be told apart from"
    pair = model.same_target.draw_histories(alone["user"][:, 0], alone["target"][:, 0], 4)
    assert [each.tolist() for each in pair] == [[[3, 1, 0, 0]], [2]]
    model.train()
    first, second = (model.read_all(pair[0], pair[1]) for _ in range(2))
    assert not torch.equal(first, second)


def test_pairs_are_all_histories_of_other_users_that_the_item_follows_equally_often() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(12, size=150), rng.integers(9, size=150)
    columns = {TIMESTAMP: np.arange(150)}
    data = TrainingData(FieldTuple(), 12, 9, Interactions(users.astype(np.int32), items.astype(np.int32), columns))
    rows = data.interactions.histories(12)
    found = SameTarget(rows, 12)
    for user in (0, 5, 11):
        for target in (0, 4, 8):
            expected = [
                (other, place)
                for other in range(12)
                for place in range(int(rows.indptr[other]) + 1, int(rows.indptr[other + 1]))
                if rows.indices[place] == target and other != user
            ]
            draws = (np.arange(len(expected)) + 0.5) / len(expected)
            some = np.full(len(draws), user), np.full(len(draws), target)
            assert list(zip(*(each.tolist() for each in found.draw(*some, draws)), strict=True)) == sorted(expected)
            assert found.draw(*(each[:1] for each in some), np.array([1 - 1e-16]))[1] == expected[-1][1]


def test_only_prefixes_have_an_item_that_follows() -> None:
    assert resolve("duorec").config.sequence_rows == "prefixes"
    with pytest.raises(ConfigError, match="expected prefixes, found all_positions"):
        resolve("duorec", ["sequence_rows=all_positions"])
    with pytest.raises(ConfigError, match="contrast_temperature: does not apply: contrast_weight is 0"):
        resolve("duorec", ["contrast_weight=0", "contrast_temperature=0.2"])
