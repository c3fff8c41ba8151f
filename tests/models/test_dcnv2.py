"""The model `dcnv2`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.architectures.base import n_parameters
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.models.dcnv2 import DCNv2
from tests.clicks import clicks, criteo, embed_by_hand, rows


def _model(**settings: Any) -> DCNv2:
    torch.manual_seed(2)
    model = DCNv2(clicks(), **{"embedding_dim": 3, "hidden_dims": [6, 4], **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_it_has_as_many_parameters_as_that_of_the_published_number() -> None:
    config, names = resolve("criteo_x1/dcnv2").config, resolve("criteo_x1/dcnv2").components["model"].parameters
    with torch.device("meta"):
        model = DCNv2(criteo(), **{parameter.name: config[parameter.name] for parameter in names})
    assert n_parameters(model) == 22_018_021


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_a_logit_is_that_of_matrix_crosses_and_a_network_beside_or_above_them(structure: str) -> None:
    model = _model(structure=structure, n_cross_layers=2)
    first = embed_by_hand(model.tokenizer.embeddings).flatten(1)
    crossed = first
    for cross in model.crosses:
        crossed = first * (torch.einsum("ij,bj->bi", cross.weight, crossed) + cross.bias) + crossed  # type: ignore[arg-type]
    below = first if structure == "parallel" else crossed
    for place in (0, 3):
        below = torch.relu(below @ model.deep[place].weight.T + model.deep[place].bias)  # type: ignore[operator, union-attr]
    last = torch.cat([crossed, below], dim=1) if structure == "parallel" else below
    torch.testing.assert_close(model(rows()), last @ model.output.weight[0] + model.output.bias)


def test_a_cross_layer_of_low_rank_is_a_gated_mixture_of_experts() -> None:
    model = _model(low_rank=2, n_experts=3, n_cross_layers=1)
    first, layer = embed_by_hand(model.tokenizer.embeddings).flatten(1), model.crosses[0]
    gates = (first @ layer.gate.weight.T).softmax(1)  # type: ignore[operator, union-attr]
    mixed = first.clone()
    for expert in range(3):
        down, inner, up = (getattr(layer, name)[expert] for name in ("down", "inner", "up"))
        hidden = torch.tanh(torch.tanh(first @ down) @ inner.T) @ up.T
        mixed = mixed + gates[:, expert, None] * (first * (hidden + layer.bias))
    torch.testing.assert_close(first * layer(first) + first, mixed)


def test_experts_need_a_rank() -> None:
    with pytest.raises(ConfigError, match=r"n_experts: .*experts have a low_rank"):
        resolve("dcnv2", ["n_experts=2"])
    assert resolve("dcnv2", ["n_experts=2", "low_rank=8"]).config.n_experts == 2
