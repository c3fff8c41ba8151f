"""The graph of users and items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recrun.architectures.graph import Normalization, UserItemGraph


@pytest.fixture(scope="module")
def rows() -> csr_matrix:
    """Interactions of 30 users with 20 items; user 3, item 5 and the last of both have none."""
    rng = np.random.default_rng(7)
    table = (rng.random((30, 20)) < rng.uniform(0.05, 0.6, 20)).astype(np.float32)
    table[[3, -1]], table[:, [5, -1]] = 0, 0
    return csr_matrix(table)


@pytest.fixture(scope="module")
def adjacency(rows: csr_matrix) -> torch.Tensor:
    """The weighted adjacency matrix, dense and written as the paper has it."""
    table = rows.toarray()
    whole = np.block([[np.zeros((30, 30)), table], [table.T, np.zeros((20, 20))]])
    degrees = whole.sum(1)
    roots = np.divide(1, np.sqrt(degrees), out=np.zeros(50), where=degrees > 0)
    return torch.from_numpy(np.diag(roots) @ whole @ np.diag(roots))


def test_nodes_become_the_weighted_sums_of_their_neighbours(rows: csr_matrix, adjacency: torch.Tensor) -> None:
    nodes = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(UserItemGraph(rows)(nodes), (adjacency @ nodes.double()).float())


def test_gradients_are_those_of_the_dense_product(rows: csr_matrix, adjacency: torch.Tensor) -> None:
    graph, random = UserItemGraph(rows), torch.Generator().manual_seed(1)
    nodes, weights = torch.randn(50, 4, generator=random), torch.randn(50, 4, generator=random)
    sparse, dense = nodes.clone().requires_grad_(), nodes.double().requires_grad_()
    (graph(graph(sparse)).square() * weights).sum().backward()
    ((adjacency @ (adjacency @ dense)).square() * weights).sum().backward()
    assert sparse.grad is not None
    assert dense.grad is not None
    torch.testing.assert_close(sparse.grad, dense.grad.float())


@pytest.mark.parametrize("normalization", ["symmetric", "left"])
@pytest.mark.parametrize("weights", [[1.0], [0.25, 0.25, 0.25, 0.25], [0.0, 2.0, 0.5]])
def test_the_weighted_sum_of_layers_is_that_of_products_one_after_another(
    rows: csr_matrix, weights: list[float], normalization: Normalization
) -> None:
    graph, random = UserItemGraph(rows, normalization), torch.Generator().manual_seed(2)
    nodes, factors = torch.randn(50, 4, generator=random), torch.randn(50, 4, generator=random)
    for edges in (None, graph.drop(0.4)):
        one, other = nodes.clone().requires_grad_(), nodes.clone().requires_grad_()
        layer, expected = other, weights[0] * other
        for weight in weights[1:]:
            layer = graph(layer, edges)
            expected = expected + weight * layer
        found = graph.average(one, weights, edges)
        torch.testing.assert_close(found, expected)
        (found.square() * factors).sum().backward()
        (expected.square() * factors).sum().backward()
        torch.testing.assert_close(one.grad, other.grad)


def test_dropped_messages_are_missing_in_one_direction_and_the_others_are_scaled(
    rows: csr_matrix, adjacency: torch.Tensor
) -> None:
    graph = UserItemGraph(rows)
    edges, whole = graph.drop(0.25), torch.eye(50)
    matrix = graph(whole, edges)
    kept = matrix != 0
    assert 0.65 < kept.sum() / (adjacency != 0).sum() < 0.85
    assert not torch.equal(kept, kept.T)
    torch.testing.assert_close(matrix[kept], (adjacency / 0.75).float()[kept])
    weights, nodes = torch.randn(50, 50), whole.clone().requires_grad_()
    (graph(nodes, edges) * weights).sum().backward()
    assert nodes.grad is not None
    torch.testing.assert_close(nodes.grad, matrix.T @ weights)


def test_a_subgraph_lacks_a_share_of_the_interactions_and_has_the_weights_of_its_own_degrees(rows: csr_matrix) -> None:
    graph = UserItemGraph(rows)
    matrix = graph(torch.eye(50), graph.subgraph(0.3)).double()
    assert torch.equal(matrix, matrix.T)
    left = (matrix != 0).double()
    assert left.sum() == 2 * int(rows.nnz * 0.7)
    assert (left[:30, 30:] <= torch.from_numpy(rows.toarray())).all()
    roots = left.sum(1).clamp(min=1).rsqrt()
    torch.testing.assert_close(matrix, roots[:, None] * left * roots, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(graph(torch.eye(50), graph.subgraph(0.0)), graph(torch.eye(50)))
    assert not torch.equal(graph.subgraph(0.3).weights_E, graph.subgraph(0.3).weights_E)


def test_the_graph_is_no_part_of_a_models_state_and_follows_it(rows: csr_matrix) -> None:
    graph = UserItemGraph(rows)
    assert graph.state_dict() == {}
    assert {buffer.device.type for buffer in graph.to("meta").buffers()} == {"meta"}


def test_nodes_are_split_into_users_and_items(rows: csr_matrix) -> None:
    users, items = UserItemGraph(rows).split(torch.arange(50.0)[:, None])
    assert (users[0, 0], users[-1, 0], items[0, 0], items[-1, 0]) == (0, 29, 30, 49)


def test_the_sums_do_not_depend_on_the_number_of_threads(rows: csr_matrix) -> None:
    nodes, before = torch.randn(50, 64), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = UserItemGraph(rows)(nodes)
        torch.set_num_threads(2)
        assert torch.equal(UserItemGraph(rows)(nodes), one)
    finally:
        torch.set_num_threads(before)
