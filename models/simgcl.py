"""SimGCL: LightGCN with a contrastive loss between noisy views of the embeddings.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, M nodes of a batch, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch, InitialEmbeddings
from recrun.architectures.prediction import Batch
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


def noisy(embeddings_ND: Tensor, size: float) -> Tensor:
    """Return embeddings plus random vectors of length `size`, each with the signs of its embedding."""
    noise_ND = F.normalize(torch.rand_like(embeddings_ND), dim=1)
    return embeddings_ND + size * noise_ND * embeddings_ND.detach().sign()


def contrast(first_MD: Tensor, second_MD: Tensor, temperature: float) -> Tensor:
    """Return the InfoNCE loss of two views: the cross entropy of matching each row with its own in the other view.

    The logits are cosines divided by the temperature. Averaged over the rows, where the paper sums.
    """
    logits_MM = F.normalize(first_MD, dim=1) @ F.normalize(second_MD, dim=1).T / temperature
    return (logits_MM.logsumexp(dim=1) - logits_MM.diagonal()).mean()


def decay(vectors: tuple[Tensor, Tensor], users: Tensor, items: Tensor) -> Tensor:
    """Return the L2 term of a batch: the root of the sum of its users' squared norms, plus that of positives, over B.

    The norms are of the vectors that are scored, and are not squared; negatives do not count.

    Args:
        vectors: all users' (U, D) and all items' (I, D).
        users: (B, 1).
        items: (B, 1 + K), the positive first.
    """
    batch = zip((users[:, 0], items[:, 0]), vectors, strict=True)
    norms = [torch.linalg.vector_norm(F.embedding(some, every)) for some, every in batch]
    return (norms[0] + norms[1]) / len(users)


@MODELS.register("simgcl", loss="bpr", new_users=True, gradients="dense")
class SimGCL(GraphArch):
    """Train LightGCN with a contrastive loss between two noisy views of each user and item.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of (A E + ... + A^L E) / L, which leaves out LightGCN's layer 0. In training this mean is computed twice more
    with noise added in each layer, and `contrast` of the two, over the distinct users and the distinct positive items
    of a batch, is added to the loss.

    *Source:* Yu, Yin, Xia, Chen, Cui, Nguyen, "Are Graph Augmentations Necessary? Simple Graph Contrastive Learning for
    Recommendation", SIGIR 2022; the L2 term as in SELFRec, the authors' library, in PyTorch.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        contrast_weight: weight of the contrastive loss.
        contrast_temperature: temperature of the contrastive loss.
        noise: length of the noise of each node in each layer.
        embedding_decay: weight of the L2 term, the norms of the batch's propagated users and positives (see `decay`).
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
        **initial: how embeddings start.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        contrast_weight: NonNegativeFloat = 0.5,
        contrast_temperature: PositiveFloat = 0.2,
        noise: NonNegativeFloat = 0.1,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers = n_layers
        self.contrast_weight, self.noise = contrast_weight, noise
        self.contrast_temperature = contrast_temperature
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores, the contrastive loss, and the L2 term."""
        with self.hold(self._propagate(noise=0.0)):
            return super().training_loss(batch, criterion)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the contrastive loss of two noisy views, and the L2 term."""
        l2 = self.embedding_decay * decay(self._averages(), users, items) if self.embedding_decay else 0.0
        return self._contrast(users, items) + l2

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items, averaged over the layers, without noise.

        For the cosine they are scaled to unit length.
        """
        return self.scale(self._averages())

    def _averages(self) -> tuple[Tensor, Tensor]:
        return self.held or self._propagate(noise=0.0)

    def _propagate(self, noise: float) -> tuple[Tensor, Tensor]:
        if noise == 0:
            return self.graph.split(self.graph.average(self.nodes(), [0.0, *[1 / self.n_layers] * self.n_layers]))
        layer_ND = self.nodes()
        total_ND = torch.zeros_like(layer_ND)
        for _ in range(self.n_layers):
            layer_ND = self.graph(layer_ND)
            layer_ND = noisy(layer_ND, noise)
            total_ND = total_ND + layer_ND
        return self.graph.split(total_ND / self.n_layers)

    def _contrast(self, users: Tensor, items: Tensor) -> Tensor | float:
        if self.contrast_weight == 0:
            return 0.0
        nodes = users.unique(), items[:, 0].unique()
        first, second = self._propagate(self.noise), self._propagate(self.noise)
        terms = [
            contrast(F.embedding(some, one), F.embedding(some, other), self.contrast_temperature)
            for some, one, other in zip(nodes, first, second, strict=True)
        ]
        return self.contrast_weight * (terms[0] + terms[1])
