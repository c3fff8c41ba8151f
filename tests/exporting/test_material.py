"""What is gathered of a model: what is known, what is left out, and which weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from recrun.architectures.item_weights import ItemWeights
from recrun.errors import ConfigError
from recrun.exporting import material as material_module
from recrun.exporting.material import Material, refuse_too_many

from .conftest import RANKING


@pytest.mark.parametrize(("as_of", "parts"), [("valid", 1), ("test", 2), ("end", 3)])
def test_what_is_known_is_what_the_recommender_leaves_out(
    as_of: Any, parts: int, material_of: Callable[..., Material]
) -> None:
    material = material_of("popularity", as_of=as_of)
    rows = material.known.histories(60)
    for user in range(60):
        assert sorted(set(rows.row(user).tolist())) == material.recommender.seen.row(user).tolist()
    assert set(material.known.parts_N.tolist()) == set(range(parts))


def test_histories_are_those_that_a_model_of_sequences_reads(material_of: Callable[..., Material]) -> None:
    material = material_of("sasrec", as_of="end")
    own = material.recommender.model._histories
    found = material.known.histories(60)
    assert found.indptr.tolist() == own.indptr.tolist()
    assert found.indices.tolist() == own.indices.tolist()


def test_nothing_of_users_is_gathered_where_they_are_left_out(material_of: Callable[..., Material]) -> None:
    material = material_of("bprmf", with_users=False)
    assert material.vectors is not None
    assert material.vectors.users_UD is None
    assert not material.with_seen
    assert material.holds == {"vectors"}  # a network of it would hold the vectors of users
    assert material_of("neumf", with_users=False).holds == set()
    assert material_of("sasrec", with_users=False).holds == {"vectors", "network"}  # by histories, of anyone


@pytest.mark.parametrize("model", ["ease", "itemknn"])
def test_the_largest_weights_of_each_item_are_kept(model: str, material_of: Callable[..., Material]) -> None:
    whole, cut = material_of(model), material_of(model, neighbors=3)
    assert whole.weights is not None
    assert cut.weights is not None
    dense = np.asarray(whole.weights.matrix if model == "ease" else whole.weights.matrix.toarray())
    kept = cut.weights.matrix.toarray()
    for row, left in zip(dense, kept, strict=True):
        assert np.sort(np.abs(left[left != 0])) == pytest.approx(np.sort(np.abs(row))[::-1][: np.sum(left != 0)][::-1])
        assert np.all(left[left != 0] == row[left != 0])
        assert np.sum(left != 0) == min(3, np.sum(row != 0))
    assert cut.was_cut is not None
    assert cut.was_cut.kept == 3
    assert cut.was_cut.same_top_20 is not None
    assert 0.3 < cut.was_cut.same_top_20 < 1
    everything = material_of(model, neighbors=50)
    assert everything.was_cut is not None
    assert everything.was_cut.same_top_20 == 1


@pytest.mark.parametrize("model", RANKING)
def test_a_network_and_weights_score_as_the_model_does(model: str, material_of: Callable[..., Material]) -> None:
    material = material_of(model, as_of="valid")
    own, users = material.recommender.model, torch.arange(60)
    rows = material.known.histories(60).distinct().to_scipy(50)
    with torch.no_grad():
        expected = own.score(users)
    scale = float(expected.abs().max())
    if material.weights is not None:
        offsets = 0 if material.weights.offsets is None else material.weights.offsets
        product = rows @ material.weights.matrix
        scores = np.asarray(product.toarray() if sparse.issparse(product) else product) + offsets
        assert np.abs(scores - expected.numpy()).max() <= 1e-5 * scale
    if material.vectors is not None:
        assert material.vectors.users_UD is not None
        products = material.vectors.users_UD @ material.vectors.items_ID.T
        assert np.abs(products - expected.numpy()).max() <= 1e-5 * scale
    if material.network is not None:
        items, lengths = material.known.histories(60).latest(np.arange(60), 70)  # more than a model reads
        inputs = {
            "users": (users,),
            "rows": (torch.from_numpy(rows.toarray()),),
            "histories": (torch.from_numpy(items), torch.from_numpy(lengths)),
        }
        with torch.no_grad():
            found = material.network(*inputs[material.network.reads])
        scores = (found[0] if isinstance(found, tuple) else found).numpy()
        assert np.abs(scores - expected.numpy()).max() <= 1e-5 * scale


def test_an_empty_history_scores_nothing_and_padding_does_not_matter(material_of: Callable[..., Material]) -> None:
    network = material_of("bert4rec").network
    assert network is not None
    lengths = torch.tensor([0, 3])
    with torch.no_grad():
        scores, states = network(torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]), lengths)
        padded, _ = network(torch.tensor([[0, 0, 0, 0, 0, 0], [5, 6, 7, 0, 49, 3]]), lengths)
    assert scores[0].abs().max() == states[0].abs().max() == 0
    assert torch.allclose(scores, padded, atol=1e-5)


def test_neighbors_of_a_model_without_weights_are_refused(material_of: Callable[..., Material]) -> None:
    with pytest.raises(ConfigError, match="--neighbors has no effect: bprmf has no weights between items"):
        material_of("bprmf", neighbors=3)


def test_too_many_weights_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material_module, "MOST_WEIGHTS", 8)
    refuse_too_many(ItemWeights(sparse.csr_matrix(np.eye(8, dtype=np.float32))), "slim")
    with pytest.raises(ConfigError, match=r"^ease has 9 weights between 3 items .*; keep .* with --neighbors N"):
        refuse_too_many(ItemWeights(np.ones((3, 3), dtype=np.float32)), "ease")
