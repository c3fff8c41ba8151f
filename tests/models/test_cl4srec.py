"""The model `cl4srec`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.criterions import SampledSoftmax
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.cl4srec import CL4SRec, contrast_views, crop, mask, reorder
from recrun.models.sasrec import SASRec

HISTORIES = torch.arange(11, 31).repeat(400, 1)
LENGTHS = torch.tensor([1, 2, 5, 10, 20]).repeat(80)
BATCH = {
    "item": torch.tensor([[3, 1, 4, 0], [5, 8, 0, 0], [6, 0, 7, 1]]),
    "length": torch.tensor([[3], [2], [4]]),
    "negative": torch.arange(24).reshape(3, 4, 2) % 9,
}


def _model(data: TrainingData, **settings: Any) -> CL4SRec:
    torch.manual_seed(3)
    model = CL4SRec(data, **{"max_length": 4, "embedding_dim": 6, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_scores_are_those_of_sasrec_in_the_form_of_recbole(in_order: TrainingData) -> None:
    model = _model(in_order)
    form = {"norm": "post", "activation": "gelu", "norm_embeddings": True, "scale_embeddings": False}
    form |= {"inner_dim": 24, "dropout": 0.5, "attention_dropout": 0.5, "drop_inner": False}
    sasrec = SASRec(in_order, max_length=4, embedding_dim=6, n_heads=2, **form).eval()  # type: ignore[arg-type]
    state = model.state_dict()
    sasrec.load_state_dict({**state, "items.weight": state["items.weight"][:9]})
    torch.testing.assert_close(model.score(torch.arange(6)), sasrec.score(torch.arange(6)))
    scores = []
    for each in (model.train(), sasrec.train()):
        torch.manual_seed(7)
        scores.append(each.score(torch.arange(6)))
    torch.testing.assert_close(*scores)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_contrastive_loss_is_that_of_each_copy_against_all_others(similarity: Any) -> None:
    first, second = torch.randn(2, 5, 3, dtype=torch.float64)
    views, terms = torch.cat([first, second]), []
    for i in range(10):
        pairs = [
            torch.cosine_similarity(views[i], each, dim=0) if similarity == "cosine" else views[i] @ each
            for each in views
        ]
        others = torch.stack([value for j, value in enumerate(pairs) if j != i])
        terms.append(torch.logsumexp(others / 0.7, 0) - pairs[(i + 5) % 10] / 0.7)
    torch.testing.assert_close(contrast_views(first, second, 0.7, similarity), torch.stack(terms).mean())


def test_the_loss_is_that_of_the_items_and_the_weighted_one_of_the_copies(in_order: TrainingData) -> None:
    model, plain = _model(in_order, contrast_weight=0.3, contrast_temperature=2.0), _model(in_order, contrast_weight=0)
    torch.manual_seed(11)
    loss = model.training_loss(BATCH, SampledSoftmax())
    torch.manual_seed(11)
    copies = model.alter(BATCH["item"], BATCH["length"][:, 0])
    states = [
        torch.stack([model.read(row[None, :n], n[None])[0] for row, n in zip(*copy, strict=True)]) for copy in copies
    ]
    expected = plain.training_loss(BATCH, SampledSoftmax()) + 0.3 * contrast_views(*states, 2.0, "dot")
    torch.testing.assert_close(loss, expected)


def test_of_a_row_with_one_more_item_than_is_read_the_latest_are_altered(in_order: TrainingData) -> None:
    longer = {"item": torch.tensor([[2, 6, 0, 7, 1], [3, 1, 4, 0, 0]]), "length": torch.tensor([[5], [3]])}
    longer["negative"] = torch.zeros(2, 5, 1, dtype=torch.int64)
    model, plain = _model(in_order, contrast_weight=1.0), _model(in_order, contrast_weight=0)
    torch.manual_seed(11)
    loss = model.training_loss(longer, SampledSoftmax())
    torch.manual_seed(11)
    copies = model.alter(torch.tensor([[6, 0, 7, 1], [3, 1, 4, 0]]), torch.tensor([4, 3]))
    contrast = contrast_views(*(model.read_all(*copy) for copy in copies), 1.0, "dot")
    torch.testing.assert_close(loss, plain.training_loss(longer, SampledSoftmax()) + contrast)


def test_prefixes_are_altered_too(in_order: TrainingData) -> None:
    prefixes = {**BATCH, "target": torch.tensor([[2], [3], [2]]), "negative": torch.tensor([[[0]], [[1]], [[8]]])}
    torch.manual_seed(11)
    with_copies = _model(in_order).training_loss(prefixes, SampledSoftmax())
    assert with_copies > _model(in_order, contrast_weight=0).training_loss(prefixes, SampledSoftmax())


def test_a_cropped_history_is_a_run_of_it_anywhere() -> None:
    torch.manual_seed(0)
    items, lengths = crop(HISTORIES, LENGTHS, 0.6)
    assert lengths.tolist() == [max(1, math.floor(0.6 * n)) for n in LENGTHS.tolist()]
    starts: dict[int, set[int]] = {}
    for row, kept, n in zip(items.tolist(), lengths.tolist(), LENGTHS.tolist(), strict=True):
        assert row[:kept] == list(range(row[0], row[0] + kept))
        starts.setdefault(n, set()).add(row[0] - 11)
    assert starts == {n: set(range(n - max(1, math.floor(0.6 * n)) + 1)) for n in (1, 2, 5, 10, 20)}


def test_a_share_of_the_items_is_masked_anywhere() -> None:
    torch.manual_seed(0)
    items, lengths = mask(HISTORIES, LENGTHS, 0.3, 99)
    assert torch.equal(lengths, LENGTHS)
    is_masked = items == 99
    assert is_masked.sum(1).tolist() == [math.floor(0.3 * n) for n in LENGTHS.tolist()]
    assert torch.equal(items[~is_masked], HISTORIES[~is_masked])
    for n in (5, 10, 20):
        assert is_masked[n == LENGTHS].any(0).tolist() == [place < n for place in range(20)]


def test_a_run_of_the_items_is_shuffled_and_the_others_stay() -> None:
    torch.manual_seed(0)
    items, lengths = reorder(HISTORIES, LENGTHS, 0.6)
    assert torch.equal(lengths, LENGTHS)
    assert torch.equal(items.sort(1).values, HISTORIES), "no item is lost"
    for n in (1, 2, 5, 10, 20):
        moved = (items != HISTORIES)[n == LENGTHS]
        spans = [row.nonzero().flatten() for row in moved if row.any()]
        assert all(int(span[-1] - span[0]) < math.floor(0.6 * n) for span in spans)
        assert moved.any(0).tolist() == [place < n and n > 2 for place in range(20)]


def test_each_pair_of_two_different_operators_is_used(in_order: TrainingData) -> None:
    model = _model(in_order, crop_share=0.5, mask_share=0.5, reorder_share=1.0, max_length=20)
    torch.manual_seed(0)
    items, lengths = torch.arange(1, 9).repeat(300, 1), torch.full((300,), 8)
    kinds = set()
    for pair in zip(*(zip(*view, strict=True) for view in model.alter(items, lengths)), strict=True):
        kinds.add(tuple("crop" if n == 4 else "mask" if (row == 9).any() else "reorder" for row, n in pair))
    assert kinds == {(a, b) for a in ("crop", "mask", "reorder") for b in ("crop", "mask", "reorder") if a != b}
    for row, length in model.alter(items, torch.ones(300, dtype=torch.int64)):
        assert torch.equal(row, items), "a single item is not altered"
        assert (length == 1).all()


def test_without_the_contrastive_loss_its_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="mask_share: does not apply: contrast_weight is 0"):
        resolve("cl4srec", ["contrast_weight=0", "mask_share=0.2"])
