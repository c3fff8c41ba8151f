"""The model `bert4rec`."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recrun.criterions import CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.models.bert4rec import BERT4Rec
from tests.architectures.torchs_layer import torchs_layer


def _model(data: TrainingData, **settings: float) -> BERT4Rec:
    torch.manual_seed(5)
    model = BERT4Rec(data, **{"max_length": 4, "embedding_dim": 6, "n_heads": 1, **settings})  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def test_scores_are_those_of_the_paper_at_a_mask_behind_the_history(in_order: TrainingData) -> None:
    model = _model(in_order).eval()
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [6, 0, 7, 1], 4: [8]}.items():
        row = [*history, 9]
        states = model.norm(model.items.weight[row] + model.positions.weight[5 - len(row) :])
        for block in model.blocks:
            queries, keys, values = block.attention.inputs(states).chunk(3, dim=-1)  # type: ignore[operator, union-attr]
            mixed = (queries @ keys.T / 6**0.5).softmax(1) @ values
            states = block.norms[0](states + block.attention.output(mixed))  # type: ignore[operator, index, union-attr]
            inner = F.gelu(block.inner(states))  # type: ignore[operator]
            states = block.norms[1](states + block.outer(inner))  # type: ignore[operator, index]
        told = F.gelu(model.output(states[-1]))
        expected = model.items.weight[:9] @ told + model.biases[:, 0]
        torch.testing.assert_close(scores[user], expected)


def test_untied_and_without_an_output_layer_it_is_torchs_encoder_with_a_linear_layer_over_the_items(
    in_order: TrainingData,
) -> None:
    model = _model(in_order, tie_embeddings=False, output_layer=False, n_layers=1, n_heads=2).eval()
    torchs = torchs_layer(model.blocks[0], activation="gelu")
    states = model.norm(model.items.weight[[6, 0, 7, 1, 9]] + model.positions.weight)
    with torch.no_grad():
        last = torchs(states[None])[0, -1]
        assert model.own is not None
        expected = model.own.weight @ last + model.biases[:, 0]
        torch.testing.assert_close(model.score(torch.tensor([3]))[0], expected)
    assert [name for name, _ in model.named_parameters() if name.startswith("output")] == []


def test_untied_items_have_vectors_of_their_own(in_order: TrainingData) -> None:
    tied, untied = (_model(in_order, tie_embeddings=tie) for tie in (True, False))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (tied, untied)]
    assert counts[1] - counts[0] == 9 * 6
    untied.item_vectors().sum().backward()
    assert untied.items.weight.grad is None


@pytest.mark.parametrize("rate", ["attention_dropout", "inner_dropout"])
def test_its_rates_drop_in_training_only(in_order: TrainingData, rate: str) -> None:
    model = _model(in_order, dropout=0.0, **{rate: 0.5})
    items, lengths = torch.randint(9, (20, 4)), torch.full((20,), 4)
    assert not torch.equal(model(items, lengths), model(items, lengths))
    plain = _model(in_order, dropout=0.0)
    model.eval()
    torch.testing.assert_close(model(items, lengths), plain(items, lengths))


def test_the_share_of_masked_items_is_as_set_and_no_row_is_without(in_order: TrainingData) -> None:
    model = _model(in_order, max_length=40, mask_ratio=0.3)
    items, lengths = torch.randint(9, (500, 40)), torch.randint(1, 41, (500,))
    _, is_masked = model.predict(items, lengths)
    is_filled = torch.arange(40) < lengths[:, None]
    assert not is_masked[~is_filled].any()
    assert is_masked.any(1).all()
    long = lengths > 20
    assert abs(is_masked[long].sum() / is_filled[long].sum() - 0.3) < 0.02
    never = _model(in_order, max_length=40, mask_ratio=0.0)
    _, is_masked = never.predict(items, lengths)
    assert torch.equal(is_masked.nonzero()[:, 1], lengths - 1), "then it is the last item"


def test_a_masked_item_is_not_seen(in_order: TrainingData) -> None:
    model = _model(in_order, mask_ratio=0.5).eval()
    items, lengths = torch.randint(9, (50, 5)), torch.full((50,), 5)
    torch.manual_seed(6)
    before, is_masked = model.predict(items, lengths)
    torch.manual_seed(6)
    after, _ = model.predict(torch.where(is_masked, (items + 1) % 9, items), lengths)
    assert torch.equal(before, after)


def test_the_loss_is_over_the_masked_items(in_order: TrainingData) -> None:
    model = _model(in_order, mask_ratio=0.0, dropout=0.0)
    batch = {"item": torch.tensor([[3, 1, 4, 0, 0], [5, 8, 0, 0, 0]]), "length": torch.tensor([[3], [2]])}
    before = torch.stack([model.read(torch.tensor([row]), torch.tensor([len(row)]))[0] for row in ([3, 1], [5])])
    expected = F.cross_entropy(before @ model.item_vectors().T, torch.tensor([4, 8]))
    torch.testing.assert_close(model.training_loss(batch, CrossEntropy4Logits()), expected)


def test_exact_counts_mask_the_rounded_share_of_each_row_up_to_the_most(in_order: TrainingData) -> None:
    lengths = torch.randint(1, 41, (500,))
    model = _model(in_order, max_length=40, mask_ratio=0.3, mask_count="exact", most_masked=8)  # type: ignore[arg-type]
    is_masked = model.draw_masks(lengths, 40)
    assert not is_masked[torch.arange(40) >= lengths[:, None]].any()
    expected = (lengths * 0.3).round().clamp(1, 8)
    assert torch.equal(is_masked.sum(1), expected.long())
    places = is_masked[lengths == lengths.max()].float().mean(0)
    assert (places > 0).float().mean() > 0.5, "not the same places in every row"
    unbounded = _model(in_order, max_length=40, mask_ratio=0.3, mask_count="exact")  # type: ignore[arg-type]
    assert torch.equal(unbounded.draw_masks(lengths, 40).sum(1), (lengths * 0.3).round().clamp(min=1).long())


def test_a_share_of_the_rows_has_the_last_item_alone_masked(in_order: TrainingData) -> None:
    lengths = torch.randint(10, 41, (1000,))
    only = torch.arange(40) == lengths[:, None] - 1
    for share in (0.0, 0.4, 1.0):
        is_masked = _model(in_order, max_length=40, mask_ratio=0.5, last_only_share=share).draw_masks(lengths, 40)
        found = (is_masked == only).all(1).float().mean()
        assert abs(found - share) < 0.06


def test_the_output_layer_may_be_normalised_and_use_another_function(in_order: TrainingData) -> None:
    settings = {"output_norm": True, "activation": "relu", "inner_dim": 7}
    model = _model(in_order, n_layers=1, **settings).eval()  # type: ignore[arg-type]
    assert model.output is not None
    states = torch.randn(5, 6)
    expected = model.output_norm(F.relu(model.output(states)))
    torch.testing.assert_close(model._output_states(states)[:, :6], expected)
    assert model.blocks[0].inner.out_features == 7  # type: ignore[union-attr]
