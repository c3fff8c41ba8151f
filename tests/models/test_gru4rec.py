"""The model `gru4rec`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.gru4rec import GRU4Rec
from recrun.workflows.build import build


def test_scores_are_those_of_the_units_equations(in_order: TrainingData) -> None:
    torch.manual_seed(4)
    model = GRU4Rec(in_order, max_length=4, embedding_dim=5, hidden_dim=3).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    gru = model.gru
    weights, biases = (gru.weight_ih_l0, gru.weight_hh_l0), (gru.bias_ih_l0, gru.bias_hh_l0)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [6, 0, 7, 1], 5: [0, 5]}.items():
        hidden = torch.zeros(3)
        for item in history:
            of_item = (weights[0] @ model.items.weight[item] + biases[0]).chunk(3)
            of_hidden = (weights[1] @ hidden + biases[1]).chunk(3)
            reset, update = torch.sigmoid(of_item[0] + of_hidden[0]), torch.sigmoid(of_item[1] + of_hidden[1])
            candidate = torch.tanh(of_item[2] + reset * of_hidden[2])
            hidden = (1 - update) * candidate + update * hidden
        torch.testing.assert_close(scores[user], model.items.weight @ model.output(hidden))


def test_it_forgets_what_lies_before_the_longest_history(in_order: TrainingData) -> None:
    torch.manual_seed(4)
    short = GRU4Rec(in_order, max_length=2, embedding_dim=5, hidden_dim=3)
    long = GRU4Rec(in_order, max_length=9, embedding_dim=5, hidden_dim=3)
    long.load_state_dict(short.state_dict())
    differs = (short.score(torch.arange(6)) != long.score(torch.arange(6))).any(1)
    assert differs.tolist() == [True, False, False, True, False, False]


def test_a_checkpoint_from_before_the_forms_were_settings_loads_and_its_weights_are_the_same(
    in_order: TrainingData,
) -> None:
    torch.manual_seed(4)
    model = GRU4Rec(in_order, embedding_dim=5, hidden_dim=3)
    names = ["items.weight", *(f"gru.{kind}_{of}_l0" for kind in ("weight", "bias") for of in ("ih", "hh"))]
    assert list(model.state_dict()) == [*names, "output.weight", "output.bias"]
    torch.manual_seed(4)
    items, gru, output = torch.nn.Embedding(9, 5), torch.nn.GRU(5, 3, batch_first=True), torch.nn.Linear(3, 5)
    torch.nn.init.normal_(items.weight, std=0.02)
    torch.nn.init.xavier_normal_(output.weight)
    assert torch.equal(model.items.weight, items.weight)
    assert torch.equal(model.gru.weight_hh_l0, gru.weight_hh_l0)
    assert torch.equal(model.output.weight, output.weight)


@pytest.mark.parametrize("output_form", ["projected", "constrained", "separate"])
@pytest.mark.parametrize("item_biases", [False, True])
def test_items_are_scored_against_the_state_as_the_settings_say(
    in_order: TrainingData, output_form: Any, item_biases: bool
) -> None:
    torch.manual_seed(4)
    model = GRU4Rec(
        in_order, embedding_dim=5, hidden_dim=5, output_form=output_form, item_biases=item_biases, bias=False
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    assert not any(name.startswith("gru.bias") for name in model.state_dict())
    hidden, _ = model.gru(model.items(torch.tensor([[3, 1, 4]])))
    state = model.output(hidden[0, -1])
    items = model.items.weight if model.own is None else model.own.weight
    expected = items @ state
    if model.biases is not None:
        expected = expected + model.biases[:, 0]
    assert (model.own is None, model.biases is None) == (output_form != "separate", not item_biases)
    torch.testing.assert_close(model.score(torch.arange(1))[0], expected)


@pytest.mark.parametrize("initialization", ["recboard", "authors"])
def test_weights_start_as_those_of_recboard_or_of_the_authors(in_order: TrainingData, initialization: Any) -> None:
    torch.manual_seed(4)
    model = GRU4Rec(in_order, embedding_dim=60, hidden_dim=80, initialization=initialization)
    if initialization == "recboard":
        assert model.items.weight.std().item() == pytest.approx((2 / (9 + 60)) ** 0.5, rel=0.1)
        bounds = (6 / (60 + 240)) ** 0.5, (6 / (80 + 240)) ** 0.5, 80**-0.5
        assert model.output.bias.abs().max() > 0
    else:
        assert model.items.weight.abs().max().item() == pytest.approx((6 / (9 + 60)) ** 0.5, rel=0.05)
        bounds = (6 / (60 + 80)) ** 0.5, (6 / (80 + 80)) ** 0.5, (6 / (60 + 80)) ** 0.5
        assert not model.output.bias.any()
        assert not model.gru.bias_ih_l0.any()
    for weights, bound in zip(
        (model.gru.weight_ih_l0, model.gru.weight_hh_l0, model.output.weight), bounds, strict=True
    ):
        assert weights.abs().max().item() == pytest.approx(bound, rel=0.02)
        assert weights.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_hidden_dropout_is_on_the_states_of_each_layer(in_order: TrainingData, n_layers: int) -> None:
    torch.manual_seed(4)
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    model = GRU4Rec(
        in_order, embedding_dim=5, hidden_dim=5, n_layers=n_layers, state_dropout=0.5, output_form="constrained"
    )
    states = torch.stack([model(items, lengths)[0] for _ in range(20)])
    assert 0.3 < (states == 0).double().mean() < 0.7
    kept = torch.where(states == 0, torch.nan, states)
    spread = torch.tensor(np.nanmax(kept.detach().numpy(), 0) - np.nanmin(kept.detach().numpy(), 0))
    assert bool(spread.max() > 1e-6) is (n_layers == 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["output_form=constrained"], "hidden_dim: expected embedding_dim 64 with output_form=constrained, found 128"),
        (["initialization=authors", "init_std=0.1"], "init_std: does not apply: it is for initialization=normal"),
        (["output_form=tied"], "output_form: expected one of projected, constrained, separate"),
        (["bias=1"], "bias: expected true or false"),
        (["state_dropout=1"], "state_dropout: expected a number >= 0 and < 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("gru4rec", options)


def test_the_form_of_the_authors_trains_on_their_losses() -> None:
    form = [
        "output_form=constrained",
        "embedding_dim=16",
        "hidden_dim=16",
        "item_biases=true",
        "initialization=authors",
    ]
    small = [
        "n_users=60",
        "n_items=40",
        "n_interactions=900",
        "device=cpu",
        "threads=1",
        "max_length=8",
        "n_negatives=5",
    ]
    for loss in ("top1", "top1_max", "bpr_max"):
        coach = build(resolve("gru4rec", [*small, *form, f"loss={loss}", "optimizer=adagrad", "lr=0.05"]))
        batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
        losses = []
        for _ in range(10):
            coach.optimizer.zero_grad()
            value = coach.model.training_loss(batch, coach.criterion)
            value.backward()
            coach.optimizer.step()
            losses.append(value.item())
        assert losses[-1] < losses[0]
