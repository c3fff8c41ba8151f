"""The model `finalmlp`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.architectures.base import n_parameters
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.models.finalmlp import FinalMLP
from tests.clicks import N_ROWS_OF_CRITEO, clicks, criteo, embed_by_hand, rows


def _model(**settings: Any) -> FinalMLP:
    torch.manual_seed(2)
    model = FinalMLP(
        clicks(),
        **{
            "embedding_dim": 3,
            "hidden_dims": [5, 4],
            "second_hidden_dims": [6],
            "gate_dims": [7],
            "n_heads": 2,
            **settings,
        },
    ).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_it_has_as_many_parameters_as_that_of_the_published_number() -> None:
    config, names = resolve("criteo_x1/finalmlp").config, resolve("criteo_x1/finalmlp").components["model"].parameters
    with torch.device("meta"):
        model = FinalMLP(
            criteo(N_ROWS_OF_CRITEO + 26), **{parameter.name: config[parameter.name] for parameter in names}
        )
    assert n_parameters(model) == 22_478_162, "FuxiCTR 2 counts a category more of each field"


def test_a_logit_is_a_bilinear_form_of_two_networks_on_gated_embeddings() -> None:
    model = _model(gate_columns=["price", "user"])
    embedded = embed_by_hand(model.tokenizer.embeddings).flatten(1)
    gates: Any = model.gates
    contexts = [embed_by_hand(gates[0].tokenizer.embeddings).flatten(1), gates[1].context]
    assert contexts[0].shape == (40, 6)
    results = []
    for gate, context, stream, places in zip(gates, contexts, model.streams, [(0, 3), (0,)], strict=True):
        hidden = torch.relu(context @ gate.network[0].weight.T + gate.network[0].bias)
        opened = 2 / (1 + torch.exp(-(hidden @ gate.network[3].weight.T + gate.network[3].bias)))
        below = embedded * opened
        for place in places:
            below = torch.relu(below @ stream[place].weight.T + stream[place].bias)  # type: ignore[index]
        results.append(below)
    first, second = results
    expected = model.fusion.of_first(first)[:, 0] + model.fusion.of_second(second)[:, 0]
    for head in range(2):
        parts = first[:, 2 * head : 2 * head + 2], second[:, 3 * head : 3 * head + 3]
        expected = expected + torch.einsum("bm,mn,bn->b", parts[0], model.fusion.weights[head], parts[1])
    torch.testing.assert_close(model(rows()), expected)


def test_without_gates_both_networks_see_the_same() -> None:
    model = _model(gates=False)
    embedded = embed_by_hand(model.tokenizer.embeddings).flatten(1)
    assert len(model.gates) == 0
    torch.testing.assert_close(model(rows()), model.fusion(*(stream(embedded) for stream in model.streams)))


def test_an_open_gate_is_one() -> None:
    model = FinalMLP(clicks())
    for gate in model.gates:
        torch.testing.assert_close(gate(rows()), torch.ones(1, 4 * 16))


def test_what_a_gate_or_the_heads_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="gate_columns: unknown field 'prize'; did you mean 'price'"):
        _model(gate_columns=["prize"])
    with pytest.raises(
        ConfigError, match="n_heads: expected a divisor of the units of both last layers, 4 and 6, found"
    ):
        _model(n_heads=4)
    with pytest.raises(ConfigError, match="there are no gates"):
        resolve("finalmlp", ["gates=false", "gate_columns=[price]"])
