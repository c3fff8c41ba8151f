"""The model `dcn`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recrun.models.dcn import DCN
from tests.clicks import clicks, embed_by_hand, rows

RATES: list[dict[str, Any]] = [{"dropout": 0.3}, {"dropouts": [0.3, 0.2]}]


def _model(**settings: Any) -> DCN:
    torch.manual_seed(2)
    model = DCN(clicks(), **{"embedding_dim": 3, "hidden_dims": [6, 4], "init_std": 0.5, **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_a_logit_is_that_of_crosses_and_network_in_parallel() -> None:
    model = _model(n_cross_layers=2)
    first: Tensor = embed_by_hand(model.tokenizer.embeddings).flatten(1)
    crossed = first
    for cross, shift in zip(model.crosses, model.shifts, strict=True):
        crossed = torch.einsum("bx,by,y->bx", first, crossed, cross.weight[0]) + shift + crossed  # type: ignore[index]
    deep = torch.relu(torch.relu(model.deep[0](first)) @ model.deep[3].weight.T + model.deep[3].bias)
    weight = model.output.weight[0]
    expected = crossed @ weight[:12] + deep @ weight[12:] + model.output.bias
    torch.testing.assert_close(model(rows()), expected)


def test_one_rate_leaves_the_last_layer_whole_and_rates_of_layers_do_not() -> None:
    rates = [[layer.p for layer in _model(**given).deep if isinstance(layer, torch.nn.Dropout)] for given in RATES]
    assert rates == [[0.3, 0.0], [0.3, 0.2]]
