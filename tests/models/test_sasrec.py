"""The model `sasrec`."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BCELoss4Logits, CrossEntropy4Logits, GBCELoss, SampledSoftmax
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.sasrec import SASRec
from tests.architectures.torchs_layer import torchs_layer


def _model(data: TrainingData, **settings: float) -> SASRec:
    torch.manual_seed(3)
    model = SASRec(data, **{"max_length": 4, "embedding_dim": 6, "n_layers": 2, **settings})  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def _written_out(model: SASRec, items: list[int]) -> Tensor:
    """Return the states after each item, by the equations of the paper."""
    n, dim = len(items), 6
    states = model.items.weight[items] * dim**0.5 + model.positions.weight[4 - n :]
    for block in model.blocks:
        normed = block.norms[0](states)  # type: ignore[operator, index]
        queries, keys, values = block.attention.inputs(normed).chunk(3, dim=-1)  # type: ignore[operator, union-attr]
        products = queries @ keys.T / dim**0.5
        products = products.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
        states = states + block.attention.output(products.softmax(1) @ values)  # type: ignore[operator, union-attr]
        inner = F.relu(block.inner(block.norms[1](states)))  # type: ignore[operator, index]
        states = states + block.outer(inner)  # type: ignore[operator]
    return model.norm(states)  # type: ignore[no-any-return]


def test_scores_are_those_of_the_paper_with_the_latest_item_at_the_last_position(in_order: TrainingData) -> None:
    model = _model(in_order).eval()
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [6, 0, 7, 1], 4: [8]}.items():
        expected = _written_out(model, history)[-1] @ model.items.weight.T
        torch.testing.assert_close(scores[user], expected)
    assert not scores[2].any(), "a user without items has no state"


@pytest.mark.parametrize(
    "criterion", [BCELoss4Logits(), GBCELoss(calibration=0.5), SampledSoftmax(), CrossEntropy4Logits()]
)
def test_every_loss_is_that_of_the_states_one_by_one(in_order: TrainingData, criterion: torch.nn.Module) -> None:
    model = _model(in_order).eval()
    criterion.bind(9)  # type: ignore[operator]
    batch = {
        "item": torch.tensor([[3, 1, 4, 0], [5, 8, 0, 0]]),
        "length": torch.tensor([[3], [2]]),
        "negative": torch.arange(16).reshape(2, 4, 2) % 9,
    }
    long, short = _written_out(model, [3, 1]), _written_out(model, [5])
    cases = [(short[0], 8, [1, 2]), (long[0], 1, [2, 3]), (long[1], 4, [4, 5])]
    if criterion.ranks_all_items:
        expected = torch.stack([-(model.items.weight @ state).log_softmax(0)[item] for state, item, _ in cases]).mean()
    else:
        rows = torch.stack([model.items.weight[[item, *negatives]] @ state for state, item, negatives in cases])
        expected = criterion.from_scores(rows)  # type: ignore[operator]
    torch.testing.assert_close(model.training_loss(batch, criterion), expected)  # type: ignore[arg-type]


def test_dropout_works_in_training_only(in_order: TrainingData) -> None:
    model = _model(in_order, dropout=0.5)
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    assert not torch.equal(model(items, lengths), model(items, lengths))
    model.eval()
    assert torch.equal(model(items, lengths), model(items, lengths))


def test_the_feed_forward_networks_may_drop_nothing_inside(in_order: TrainingData) -> None:
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    for drops in (True, False):
        model = _model(in_order, dropout=0.5, drop_inner=drops)
        model.dropout.p = 0.0
        for block in model.blocks:
            block.dropout.p = 0.0  # type: ignore[union-attr]
        assert torch.equal(model(items, lengths), model(items, lengths)) is not drops


def test_the_form_of_other_libraries_is_torchs_encoder_on_normed_embeddings_that_are_not_scaled(
    in_order: TrainingData,
) -> None:
    form = {"norm": "post", "activation": "gelu", "inner_dim": 10, "norm_embeddings": True, "scale_embeddings": False}
    model = _model(in_order, n_layers=1, n_heads=2, **form).eval()  # type: ignore[arg-type]
    torchs = torchs_layer(model.blocks[0], activation="gelu")
    embedded = model.embedding_norm(model.items.weight[[3, 1, 4]] + model.positions.weight[1:])
    with torch.no_grad():
        last = torchs(embedded[None], src_mask=torch.ones(3, 3).triu(1).bool())[0, -1]
        torch.testing.assert_close(model.score(torch.tensor([0]))[0], model.items.weight @ last)


def test_the_form_of_the_authors_code_normalises_queries_and_projects_nothing(in_order: TrainingData) -> None:
    form = {"norm": "query", "attention_residual": "query", "project_attention": False, "drop_attention_output": False}
    model = _model(in_order, n_layers=1, **form).eval()
    block, items = model.blocks[0], [6, 0, 7, 1]
    states = model.items.weight[items] * 6**0.5 + model.positions.weight
    weights, biases = block.attention.inputs.weight, block.attention.inputs.bias  # type: ignore[union-attr]
    asked = block.norms[0](states)  # type: ignore[operator, index]
    queries = asked @ weights[:6].T + biases[:6]  # type: ignore[index, operator]
    keys, values = (states @ weights[6:].T + biases[6:]).chunk(2, dim=-1)  # type: ignore[index, operator]
    products = (queries @ keys.T / 6**0.5).masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf)
    normed = block.norms[1](asked + products.softmax(1) @ values)  # type: ignore[operator, index]
    states = normed + block.outer(F.relu(block.inner(normed)))  # type: ignore[operator]
    torch.testing.assert_close(model.score(torch.tensor([3]))[0], model.items.weight @ model.norm(states)[-1])


def test_the_form_of_recboard_attends_to_the_places_before_a_history(in_order: TrainingData) -> None:
    form = {"norm": "query", "pad_attention": True, "drop_attention_output": False}
    model = _model(in_order, n_layers=1, n_heads=2, **form).eval()  # type: ignore[arg-type]
    block, items = model.blocks[0], [3, 1]
    torchs = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    inputs, output = block.attention.inputs, block.attention.output  # type: ignore[union-attr]
    torchs.load_state_dict(
        {
            "in_proj_weight": inputs.weight,  # type: ignore[dict-item, union-attr]
            "in_proj_bias": inputs.bias,  # type: ignore[dict-item, union-attr]
            "out_proj.weight": output.weight,  # type: ignore[dict-item, union-attr]
            "out_proj.bias": output.bias,  # type: ignore[dict-item, union-attr]
        }
    )
    states = torch.zeros(1, 4, 6)
    states[0, 2:] = model.items.weight[items] * 6**0.5 + model.positions.weight[2:]
    hidden = torch.ones(4, 4).triu(1).bool()
    attended = states + torchs(block.norms[0](states), states, states, attn_mask=hidden)[0]  # type: ignore[operator, index]
    normed = block.norms[1](attended)  # type: ignore[operator, index]
    expected = model.norm(normed + block.outer(F.relu(block.inner(normed))))[0, 2:]  # type: ignore[operator]
    found = model(torch.tensor([items]), torch.tensor([2]))[0]
    torch.testing.assert_close(found, expected)
    full = _model(in_order, n_layers=1, n_heads=2, **form).eval()  # type: ignore[arg-type]
    whole = full(torch.tensor([[6, 0, 7, 1]]), torch.tensor([4]))
    full.pad_attention = False
    torch.testing.assert_close(full(torch.tensor([[6, 0, 7, 1]]), torch.tensor([4])), whole)
    with pytest.raises(ConfigError, match="it is for norm=query, found norm=pre"):
        resolve("sasrec", ["n_users=60", "n_items=40", "n_interactions=900", "pad_attention=true"])


def test_the_initial_weights_of_recboard_are_drawn_by_the_sizes_of_the_layers(in_order: TrainingData) -> None:
    torch.manual_seed(1)
    model = SASRec(in_order, embedding_dim=64, initialization="recboard")
    block = model.blocks[0]
    drawn = {
        model.items.weight: (2 / (9 + 64)) ** 0.5,
        model.positions.weight: (2 / (50 + 64)) ** 0.5,
        block.attention.inputs.weight: (2 / (64 + 192)) ** 0.5,  # type: ignore[union-attr]
        block.attention.output.weight: (2 / (64 + 64)) ** 0.5,  # type: ignore[union-attr]
        block.inner.weight: 1 / (3 * 64) ** 0.5,  # type: ignore[union-attr]
        block.outer.bias: 1 / (3 * 64) ** 0.5,  # type: ignore[union-attr]
    }
    for weights, deviation in drawn.items():
        assert weights.std().item() == pytest.approx(deviation, rel=0.15)  # type: ignore[union-attr, operator]
    assert block.attention.inputs.weight.abs().max() <= (6 / (64 + 192)) ** 0.5  # type: ignore[union-attr]
    assert not block.attention.inputs.bias.any(), "biases of attention start at 0"  # type: ignore[union-attr]


def test_items_may_have_vectors_and_biases_of_their_own(in_order: TrainingData) -> None:
    model = _model(in_order, tie_embeddings=False, item_biases=True).eval()
    assert model.own is not None
    assert model.biases is not None
    state = _written_out(model, [3, 1, 4])[-1]
    expected = model.own.weight @ state + model.biases[:, 0]
    torch.testing.assert_close(model.score(torch.tensor([0]))[0], expected)
    fresh = SASRec(in_order, max_length=4, item_biases=True)
    assert fresh.biases is not None
    assert not fresh.biases.any(), "biases start at 0"


def test_scores_may_be_cosines_which_some_losses_need(in_order: TrainingData) -> None:
    model = _model(in_order, similarity="cosine").eval()  # type: ignore[arg-type]
    state = _written_out(model, [3, 1, 4])[-1]
    expected = F.cosine_similarity(model.items.weight, state[None])
    torch.testing.assert_close(model.score(torch.tensor([0]))[0], expected)
    options = ["n_users=60", "n_items=40", "n_interactions=900", "loss=ccl"]
    assert resolve("sasrec", [*options, "similarity=cosine"]).config.similarity == "cosine"
    with pytest.raises(ConfigError, match="cosines take no biases"):
        resolve("sasrec", [*options, "similarity=cosine", "item_biases=true"])
    with pytest.raises(ConfigError, match="loss ccl needs cosine scores: expected cosine, found dot"):
        resolve("sasrec", options)
