"""The model `deepfm`, and the parts it shares with `fm` and `lr`."""

from __future__ import annotations

import torch

from recrun.models.deepfm import DeepFM
from recrun.models.fm import FM
from recrun.models.lr import LR
from tests.clicks import clicks, embed_by_hand, rows


def test_a_logit_is_the_sum_of_linear_terms_pairs_and_a_normalised_network() -> None:
    torch.manual_seed(2)
    model = DeepFM(clicks(), embedding_dim=3, hidden_dims=[5], batch_norm=True, activation="tanh").double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    embedded = embed_by_hand(model.tokenizer.embeddings)
    linear = embed_by_hand(model.linear.tokenizer.embeddings).sum((1, 2)) + model.linear.bias
    pairs = sum((embedded[:, i] * embedded[:, j]).sum(1) for i in range(4) for j in range(i))
    hidden = model.deep[0](embedded.flatten(1))
    scale, shift = model.deep[1].weight, model.deep[1].bias
    hidden = (hidden - hidden.mean(0)) / (hidden.var(0, correction=0) + 1e-5).sqrt() * scale + shift
    deep = torch.tanh(hidden) @ model.deep[4].weight[0] + model.deep[4].bias
    torch.testing.assert_close(model(rows()), linear + pairs + deep)


def test_the_other_models_are_its_parts() -> None:
    torch.manual_seed(2)
    lr, fm = LR(clicks(), init_std=0.5).double(), FM(clicks(), embedding_dim=3, init_std=0.5).double()
    linear = embed_by_hand(lr.linear.tokenizer.embeddings).sum((1, 2))
    torch.testing.assert_close(lr(rows()), linear)
    embedded = embed_by_hand(fm.tokenizer.embeddings)
    linear = embed_by_hand(fm.linear.tokenizer.embeddings).sum((1, 2))
    pairs = sum((embedded[:, i] * embedded[:, j]).sum(1) for i in range(4) for j in range(i))
    torch.testing.assert_close(fm(rows()), linear + pairs)
