"""The model `autoint`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.architectures.base import n_parameters
from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.models.autoint import AutoInt
from tests.clicks import clicks, criteo, embed_by_hand, rows


def _model(**settings: Any) -> AutoInt:
    torch.manual_seed(2)
    model = AutoInt(clicks(), **{"embedding_dim": 3, "attention_dim": 4, "n_layers": 2, **settings}).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_it_has_as_many_parameters_as_that_of_the_published_number() -> None:
    config, names = resolve("criteo_x1/autoint").config, resolve("criteo_x1/autoint").components["model"].parameters
    with torch.device("meta"):
        model = AutoInt(criteo(), **{parameter.name: config[parameter.name] for parameter in names})
    assert n_parameters(model) == 23_844_454


@pytest.mark.parametrize("given", [{}, {"layer_norm": True}, {"scale_products": True}, {"residual": False}], ids=str)
def test_a_logit_is_that_of_fields_that_attend_to_each_other(given: dict[str, bool]) -> None:
    model = _model(n_heads=2, **given)
    fields = embed_by_hand(model.tokenizer.embeddings)
    for place, layer in enumerate(model.attention):
        heads = []
        for head in (slice(0, 2), slice(2, 4)):
            query, key, value = (fields @ getattr(layer, name).weight[head].T for name in ("queries", "keys", "values"))
            products = query @ key.mT / (2**0.5 if "scale_products" in given else 1)
            heads.append(torch.exp(products) / torch.exp(products).sum(2, keepdim=True) @ value)
        mixed = torch.cat(heads, dim=2)
        if given.get("residual", True):
            mixed = mixed + (fields @ layer.residual.weight.T if place == 0 else fields)  # type: ignore[operator, union-attr]
        if "layer_norm" in given:
            mixed = (mixed - mixed.mean(2, keepdim=True)) / (mixed.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
            mixed = mixed * layer.norm.weight + layer.norm.bias  # type: ignore[operator, union-attr]
        fields = torch.relu(mixed)
    torch.testing.assert_close(model(rows()), fields.flatten(1) @ model.output.weight[0] + model.output.bias)


def test_a_network_and_linear_terms_add_to_it() -> None:
    model = _model(deep_dims=[5], linear_terms=True)
    assert model.deep is not None
    assert model.linear is not None
    embedded = embed_by_hand(model.tokenizer.embeddings)
    attended = model.output(model.attention(embedded).flatten(1))[:, 0]
    deep = torch.relu(model.deep[0](embedded.flatten(1))) @ model.deep[3].weight[0] + model.deep[3].bias
    linear = embed_by_hand(model.linear.tokenizer.embeddings).sum((1, 2))
    torch.testing.assert_close(model(rows()), attended + deep + linear)


def test_heads_divide_the_length_and_settings_of_hidden_layers_need_some() -> None:
    with pytest.raises(ConfigError, match="n_heads: expected a divisor of attention_dim 32, found 5"):
        resolve("autoint", ["attention_dim=32", "n_heads=5"])
    for setting in ("batch_norm=true", "activation=tanh"):
        with pytest.raises(ConfigError, match="there are no hidden layers"):
            resolve("autoint", ["deep_dims=[]", setting])


def test_attention_is_dropped_in_training() -> None:
    model = _model(dropout=0.5)
    assert torch.equal(model(rows()), model(rows()))
    model.train()
    assert not torch.equal(model(rows()), model(rows()))
