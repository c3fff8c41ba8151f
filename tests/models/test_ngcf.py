"""The model `ngcf`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.data.postprocessing.batch_negatives import CANDIDATES
from recrun.errors import ConfigError
from recrun.models import ngcf
from recrun.models.ngcf import NGCF


def test_vectors_are_the_formula_on_dense_matrices(small_data: TrainingData, adjacency: Tensor) -> None:
    model = NGCF(small_data, embedding_dim=8, n_layers=2).eval()
    layer = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [layer]
    for number in range(2):
        met = adjacency @ layer
        sums, products = (each[number].weight.double().T for each in (model.sums, model.products))
        mixed = (met + layer) @ sums + (met * layer) @ products
        layer = torch.where(mixed > 0, mixed, 0.2 * mixed)
        layers.append(layer / layer.norm(dim=1, keepdim=True))
    torch.testing.assert_close(torch.cat(model.vectors()), torch.cat(layers, 1).float(), atol=1e-5, rtol=1e-4)


def test_vectors_are_those_of_the_authors_code_on_dense_matrices(small_data: TrainingData) -> None:
    model = NGCF(small_data, embedding_dim=8, n_layers=2, layer="code").eval()
    for each in (*model.sums, *model.products):
        torch.nn.init.normal_(each.bias)
    table = torch.from_numpy(small_data.matrix().toarray()).double()
    whole = torch.cat([torch.cat([torch.eye(40), table], 1), torch.cat([table.T, torch.eye(30)], 1)])
    mean = whole / whole.sum(1, keepdim=True)  # D^-1 (A + I)
    layer = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
    layers = [layer]
    for sums, products in zip(model.sums, model.products, strict=True):
        met = mean @ layer
        of_sums = met @ sums.weight.double().T + sums.bias.double()
        of_products = (met * layer) @ products.weight.double().T + products.bias.double()
        layer = sum(torch.where(each > 0, each, 0.2 * each) for each in (of_sums, of_products))  # type: ignore[assignment]
        layers.append(layer / layer.norm(dim=1, keepdim=True))
    torch.testing.assert_close(torch.cat(model.vectors()), torch.cat(layers, 1).float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", ["paper", "code"])
def test_the_l2_term_is_on_the_concatenated_embeddings_that_are_scored(small_data: TrainingData, layer: Any) -> None:
    model = NGCF(small_data, embedding_dim=8, layer=layer, message_dropout=0.5, embedding_decay=0.3)
    batch = {"user": torch.tensor([[3], [7]]), "item": torch.tensor([[1, 2], [5, 0]])}
    torch.manual_seed(4)
    users, items = (each.detach() for each in model.vectors())
    scored = BPRLoss().from_scores((users[batch["user"]] * items[batch["item"]]).sum(-1))
    squares = users[batch["user"]].square().sum() + items[batch["item"]].square().sum()
    torch.manual_seed(4)
    torch.testing.assert_close(model.training_loss(batch, BPRLoss()), scored + 0.3 * squares / 2 / 2)
    assert model.step is None


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_a_step_on_the_rows_of_a_batch_is_one_on_those_of_all_nodes(
    small_data: TrainingData, similarity: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = NGCF(small_data, embedding_dim=8, message_dropout=0.5, embedding_decay=0.3, similarity=similarity)
    batch = {"user": torch.tensor([[3], [7], [3]]), "item": torch.tensor([[1, 2], [5, 1], [1, 9]])}
    found, looked_up = [], []
    together = ngcf._concatenated
    monkeypatch.setattr(ngcf, "_concatenated", lambda layers: (looked_up.append(len(layers[0])), together(layers))[1])
    for few in (4, 1000):
        monkeypatch.setattr(ngcf, "_FEW", few)
        torch.manual_seed(4)
        model.zero_grad()
        loss = model.training_loss(batch, BPRLoss())
        loss.backward()
        found.append([loss.detach(), *(each.grad.clone() for each in model.parameters() if each.grad is not None)])
    assert looked_up == [9, 70], "once for scores and L2 term: 3 users and 6 items, and all nodes"
    assert len(found[0]) == 1 + len(list(model.parameters()))
    for of_rows, of_all in zip(*found, strict=True):
        torch.testing.assert_close(of_rows, of_all)


def test_the_l2_term_is_of_embeddings_that_are_not_scaled_for_the_cosine(small_data: TrainingData) -> None:
    model = NGCF(small_data, embedding_dim=8, similarity="cosine", message_dropout=0, embedding_decay=0.3)
    plain = NGCF(small_data, embedding_dim=8, message_dropout=0, embedding_decay=0.3)
    plain.load_state_dict(model.state_dict())
    pairs = torch.tensor([[3], [7]]), torch.tensor([[1, 2], [5, 0]])
    torch.testing.assert_close(model.penalty(*pairs), plain.penalty(*pairs))
    users, items = plain.vectors()
    torch.testing.assert_close(model(*pairs), torch.cosine_similarity(users[pairs[0]], items[pairs[1]], dim=-1))


@pytest.mark.parametrize("value", ["codes", "norm", "true", "null", "2", "[code]"])
def test_a_layer_that_is_neither_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="layer: expected one of paper, code, found"):
        resolve("ngcf", [f"layer={value}"])


def test_nodes_are_dropped_as_in_the_paper_or_as_in_its_code(small_data: TrainingData, adjacency: Tensor) -> None:
    table = torch.from_numpy(small_data.matrix().toarray())
    whole = torch.cat([torch.cat([torch.eye(40), table], 1), torch.cat([table.T, torch.eye(30)], 1)]).double()
    mean = whole / whole.sum(1, keepdim=True)
    for layer in ("paper", "code"):
        model = NGCF(
            small_data, embedding_dim=8, n_layers=1, layer=layer, node_dropout=0.4, message_dropout=0, init_std=1
        )
        torch.manual_seed(6)
        kept = model._drop_nodes()
        torch.manual_seed(6)
        vectors = torch.cat(model.vectors())[:, 8:].double()
        nodes = torch.cat([model.User.embeddings.weight, model.Item.embeddings.weight]).double()
        scale = torch.as_tensor(kept.scale_N1).double()
        assert 0.4 < (scale > 0).double().mean() < 0.8
        sums, products = model.sums[0].weight.double().T, model.products[0].weight.double().T
        if layer == "paper":
            met = adjacency @ (scale * nodes)
            mixed = (met + nodes) @ sums + (met * nodes) @ products
            output = torch.where(mixed > 0, mixed, 0.2 * mixed)
        else:
            entries = model.graph(torch.eye(70), kept.edges).double() / model.graph(torch.eye(70)).double()
            matrix = mean * entries.nan_to_num(0) + torch.diag(mean.diagonal() * scale[:, 0])
            assert int(((matrix == 0) & (mean != 0)).sum()) > 100
            met = matrix @ nodes
            terms = met @ sums, (met * nodes) @ products
            output = sum(torch.where(each > 0, each, 0.2 * each) for each in terms)  # type: ignore[assignment]
        torch.testing.assert_close(vectors, output / output.norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)
        assert torch.equal(model.eval().vectors()[0], model.vectors()[0])


def test_messages_are_dropped_while_training_only(small_data: TrainingData) -> None:
    model = NGCF(small_data, embedding_dim=8, message_dropout=0.5)
    dropped = [(model.vectors()[0][:, 8:] == 0).double().mean() for _ in range(2)]
    assert all(0.4 < share < 0.6 for share in dropped)
    assert not torch.equal(model.vectors()[0], model.vectors()[0])
    model.eval()
    assert torch.equal(model.vectors()[0], model.vectors()[0])
    assert (model.vectors()[0] != 0).all()


@pytest.mark.parametrize("few", [1, 1000])
def test_the_negatives_that_are_chosen_in_a_step_have_gradients(
    small_data: TrainingData, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngcf, "_FEW", few)
    model = NGCF(small_data, embedding_dim=8, embedding_decay=0.3, message_dropout=0.0)
    users, items, candidates = torch.tensor([[3], [7]]), torch.tensor([[1], [5]]), torch.arange(12).view(2, 1, 6)
    batch = {"user": users, "item": items, CANDIDATES: candidates}
    model.training_loss(batch, BPRLoss()).backward()
    found = [each.grad.clone() for each in model.parameters() if each.grad is not None]
    assert len(found) == len(list(model.parameters()))
    model.zero_grad()
    chosen = model.choose_hardest(users, candidates)
    model.training_loss({"user": users, "item": torch.cat([items, chosen], dim=1)}, BPRLoss()).backward()
    for gradient, each in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, each.grad)
