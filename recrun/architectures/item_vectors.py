"""Hand vectors of items, such as embeddings of texts or images, to models, and connect items with similar ones.

Shapes: I items, V numbers in a vector, K neighbours, D embedding, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from recrun.architectures.graph import weighted_sums
from recrun.errors import ConfigError, Fault

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

Scale = Literal["none", "max", "unit"]

_BLOCK: Final = 1 << 24
"""The most similarities that are held at once."""


def vectors_of_items(data: TrainingData, model: str, scale: Scale = "none") -> dict[str, Tensor]:
    """Return the vectors of the items by name, float32 (I, V) each.

    Args:
        data: the train part.
        model: the name of the model that reads them, for messages.
        scale: "max" divides all by their largest absolute number, "unit" each one by its length; 0 stays 0.

    Raises:
        ConfigError: the data has none.
    """
    if not data.item_vectors:
        message = f"model {model} reads vectors of the items, and the data has none; name their files, "
        raise ConfigError(Fault(f"{message}as in item_vectors=[text.parquet]", key="item_vectors"))
    return {name: _scaled(torch.from_numpy(vectors), scale) for name, vectors in data.item_vectors.items()}


def _scaled(vectors_IV: Tensor, scale: Scale) -> Tensor:
    if scale == "max":
        return vectors_IV / vectors_IV.abs().max().clamp(min=torch.finfo(vectors_IV.dtype).tiny)
    return F.normalize(vectors_IV, dim=1) if scale == "unit" else vectors_IV


def nearest_items(vectors_IV: Tensor, n_neighbors: int) -> Tensor:
    """Return the items with the largest cosines for each item, itself among them, int64 (I, K).

    An item whose vector is 0 is similar to none, and has itself K times.

    Args:
        vectors_IV: the vectors.
        n_neighbors: K, at most I.
    """
    units_IV = F.normalize(vectors_IV, dim=1)
    step = max(1, _BLOCK // len(units_IV))
    blocks = [units_IV[start : start + step] for start in range(0, len(units_IV), step)]
    nearest_IK = torch.cat([(block_BV @ units_IV.T).topk(n_neighbors, dim=1).indices for block_BV in blocks])
    own_I1 = torch.arange(len(nearest_IK))[:, None]
    return torch.where(units_IV.any(dim=1, keepdim=True), nearest_IK, own_I1)


class ItemGraph(nn.Module):
    """A graph of items and their nearest ones by some vectors, which stays as it is built.

    Called with embeddings of the items (I, D), it returns for each item the mean of those of its K nearest items,
    itself among them, averaged over the vectors with their weights. The backward pass is the product with the
    transposed matrix. It moves with the model to its device, but is not part of its state.

    *Source:* Zhou, Shen, "A Tale of Two Graphs", MM 2023, with neighbours as in its authors' code.

    Args:
        vectors: the vectors by name, (I, V) each.
        weights: the weight of each name; they are divided by their sum.
        n_neighbors: K.
    """

    neighbors: Tensor
    starts: Tensor
    weights: Tensor
    transposed_neighbors: Tensor
    transposed_starts: Tensor
    transposed_weights: Tensor

    def __init__(self, vectors: Mapping[str, Tensor], weights: Mapping[str, float], n_neighbors: int) -> None:
        super().__init__()
        n_items, total = len(next(iter(vectors.values()))), sum(weights.values())
        if n_neighbors > n_items:
            message = f"expected at most the number of items, {n_items}, found {n_neighbors}"
            raise ConfigError(Fault(message, key="n_neighbors"))
        rows = np.tile(np.repeat(np.arange(n_items), n_neighbors), len(vectors))
        columns = np.concatenate([nearest_items(each, n_neighbors).numpy().ravel() for each in vectors.values()])
        values = np.repeat([weights[name] / total / n_neighbors for name in vectors], n_items * n_neighbors)
        # Entries of a pair that several vectors make neighbours are summed.
        matrix = sparse.csr_matrix((values.astype(np.float32), (rows, columns)), shape=(n_items, n_items))
        self._register("", matrix)
        self._register("transposed_", matrix.T.tocsr())

    def _register(self, prefix: str, matrix: sparse.csr_matrix) -> None:
        matrix.sort_indices()
        for name, array in (("neighbors", matrix.indices), ("starts", matrix.indptr[:-1])):
            self.register_buffer(prefix + name, torch.from_numpy(array.astype(np.int64)), persistent=False)
        self.register_buffer(f"{prefix}weights", torch.from_numpy(matrix.data), persistent=False)

    def forward(self, items_ID: Tensor) -> Tensor:
        """Return the weighted means of the neighbours' embeddings (I, D)."""
        product: Tensor = _Product.apply(items_ID, self)  # type: ignore[no-untyped-call]
        return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, items_ID: Tensor, graph: ItemGraph) -> Tensor:
        context.graph = graph
        return weighted_sums(items_ID, graph.neighbors, graph.starts, graph.weights)

    @staticmethod
    def backward(context: Any, gradient_ID: Tensor) -> tuple[Tensor, None]:
        graph = context.graph
        parts = graph.transposed_neighbors, graph.transposed_starts, graph.transposed_weights
        return weighted_sums(gradient_ID, *parts), None
