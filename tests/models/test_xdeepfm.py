"""The model `xdeepfm`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.architectures.base import n_parameters
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.models.xdeepfm import XDeepFM
from tests.clicks import clicks, criteo, embed_by_hand, rows


def _model(**settings: Any) -> XDeepFM:
    torch.manual_seed(2)
    model = XDeepFM(clicks(), **{"embedding_dim": 3, "hidden_dims": [6], "cross_dims": [5, 2], **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_it_has_as_many_parameters_as_that_of_the_published_number() -> None:
    config, names = resolve("criteo_x1/xdeepfm").config, resolve("criteo_x1/xdeepfm").components["model"].parameters
    with torch.device("meta"):
        model = XDeepFM(criteo(), **{parameter.name: config[parameter.name] for parameter in names})
    assert n_parameters(model) == 23_461_462


def test_a_logit_is_the_sum_of_linear_terms_compressed_crosses_and_a_network() -> None:
    model = _model()
    first = embed_by_hand(model.tokenizer.embeddings)
    maps, sums = first, []
    for layer in model.crosses.layers:
        weights = layer.weight.view(len(layer.weight), maps.shape[1], 4)  # type: ignore[operator, arg-type]
        maps = torch.einsum("hij,bid,bjd->bhd", weights, maps, first) + layer.bias[:, None]  # type: ignore[index]
        sums.append(maps.sum(2))
    crossed = torch.cat(sums, 1) @ model.crosses.output.weight[0] + model.crosses.output.bias
    linear = embed_by_hand(model.linear.tokenizer.embeddings).sum((1, 2))
    torch.testing.assert_close(model(rows()), linear + crossed + model.deep(first.flatten(1))[:, 0])


def test_each_layer_of_crosses_needs_a_feature_map() -> None:
    with pytest.raises(ConfigError, match="cross_dims"):
        resolve("xdeepfm", ["cross_dims=[16,0]"])
    with pytest.raises(ConfigError, match="cross_dims"):
        resolve("xdeepfm", ["cross_dims=[]"])
