"""FREEDOM: LightGCN on a pruned graph, beside a frozen graph of items with similar texts or images.

Shapes: B users in a batch, K negatives, U users, I items, D embedding, V numbers in a vector of an item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import Batch, hide_uncounted
from recrun.architectures.graph import EdgeWeights, GraphArch, InitialEmbeddings
from recrun.architectures.item_vectors import ItemGraph, vectors_of_items
from recrun.data.postprocessing.batch_negatives import SEEN, SHARED
from recrun.errors import ConfigError, Fault
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, NonNegativeFloat, PositiveInt, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


@MODELS.register("freedom", loss="bpr", losses=("bpr",), new_users=True, gradients="dense", item_vectors=True)
class FREEDOM(GraphArch):
    """Add to LightGCN's vectors of items those of the items with the most similar content, on a frozen graph.

    With A the normalized adjacency matrix of users and items, E the embeddings of its nodes and S the frozen graph of
    items (`ItemGraph`), vectors are (E + A E + ... + A^L E) / (L + 1), and to those of items S^M times their embeddings
    is added. In training, A is pruned: a share of the interactions is left out, drawn such that those of users and
    items of high degree are left out most, and what is left is normalized by its own degrees. The loss adds to BPR of
    the scores, for each file of vectors, `content_weight` times BPR of the products of users' vectors with the items'
    vectors as a linear layer projects them.

    The graph is pruned for each batch; in the authors' code it is for each epoch. There the vectors that the
    layer projects are trained with it (`trained_vectors`).

    *Source:* Zhou, Shen, "A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal Recommendation",
    MM 2023; the neighbours of an item include itself, and their weights are 1 / K, as in its authors' code (MMRec).

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated on the graph of users and items.
        n_item_layers: M, how often embeddings are propagated on the graph of items.
        n_neighbors: how many similar items, itself among them, each item has on the graph of items.
        vector_weights: the weights of the files of vectors on the graph of items, in their order; null for equal ones.
        pruned_share: share of the interactions that is left out in training.
        content_weight: weight of the loss of the projected vectors.
        trained_vectors: whether the vectors that are projected are trained; the graph of items stays as it is.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        **initial: how embeddings start.

    Raises:
        ConfigError: the data has no vectors of items, `vector_weights` are not one for each file, or there are fewer
            items than neighbours.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 2,
        n_item_layers: PositiveInt = 1,
        n_neighbors: PositiveInt = 10,
        vector_weights: Annotated[
            list[NonNegativeFloat] | None,
            Where("vector_weights is None or len(vector_weights) == 0 or max(vector_weights) > 0", "all are 0"),
        ] = None,
        pruned_share: Fraction = 0.8,
        content_weight: NonNegativeFloat = 1e-3,
        trained_vectors: bool = False,
        embedding_decay: NonNegativeFloat = 0.0,
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay)
        vectors = vectors_of_items(data, "freedom")
        weights = [1.0] * len(vectors) if vector_weights is None else vector_weights
        if len(weights) != len(vectors) or not any(weights):
            message = f"expected a weight for each of {', '.join(vectors)}, not all 0, found {vector_weights}"
            raise ConfigError(Fault(message, key="vector_weights"))
        self.n_layers, self.n_item_layers = n_layers, n_item_layers
        self.pruned_share, self.content_weight = pruned_share, content_weight
        self.item_graph = ItemGraph(vectors, dict(zip(vectors, weights, strict=True)), n_neighbors)
        contents = list(vectors.values()) if content_weight > 0 else []
        self.n_contents = len(contents)
        for number, content_IV in enumerate(contents):
            if trained_vectors:
                self.register_parameter(f"content_{number}", nn.Parameter(content_IV.clone()))
            else:
                self.register_buffer(f"content_{number}", content_IV, persistent=False)
        self.projections = nn.ModuleList(nn.Linear(content_IV.shape[1], embedding_dim) for content_IV in contents)
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores, that of the projected vectors, and the L2 term."""
        edges = self.graph.prune(self.pruned_share) if self.pruned_share > 0 else None
        vectors = self._propagate(edges)
        with self.hold(vectors):
            loss = super().training_loss(batch, criterion)
            users, items = self.pairs(batch)
        for content_IV, projection in zip(self._contents(), self.projections, strict=True):
            of_items = _projected(content_IV, projection)
            scores = self.batch_items.scores(F.embedding(users[:, 0], vectors[0]), items, of_items)
            if SHARED in batch:
                scores = hide_uncounted(scores, items, batch[SEEN])
            loss = loss + self.content_weight * criterion.from_users(scores, users[:, 0])
        return loss

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of all users and all items, on the whole graph."""
        return self.held or self._propagate(None)

    def _contents(self) -> list[Tensor]:
        return [getattr(self, f"content_{number}") for number in range(self.n_contents)]

    def _propagate(self, edges: EdgeWeights | None) -> tuple[Tensor, Tensor]:
        weights = [1 / (self.n_layers + 1)] * (self.n_layers + 1)
        users_UD, items_ID = self.graph.split(self.graph.average(self.nodes(), weights, edges))
        similar_ID = self.Item.embeddings.weight
        for _ in range(self.n_item_layers):
            similar_ID = self.item_graph(similar_ID)
        return users_UD, items_ID + similar_ID


def _projected(content_IV: Tensor, projection: nn.Linear) -> Callable[[Tensor | None], Tensor]:
    """Return what returns the projected vectors (..., D) of items (...), or of all items for None."""

    def of_items(items: Tensor | None) -> Tensor:
        vectors: Tensor = projection(content_IV if items is None else F.embedding(items, content_IV))
        return vectors

    return of_items
