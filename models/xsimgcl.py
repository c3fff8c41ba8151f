"""XSimGCL: SimGCL with a single noisy propagation and a contrastive loss between layers.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch, InitialEmbeddings
from recrun.architectures.prediction import Batch
from recrun.errors import ConfigError, Fault
from recrun.models.simgcl import contrast, decay, noisy
from recrun.registry import MODELS
from recrun.types import Annotated, NonNegativeFloat, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


@MODELS.register("xsimgcl", loss="bpr", new_users=True, gradients="dense")
class XSimGCL(GraphArch):
    """Train SimGCL with one noisy propagation, contrasting its final embeddings with one of its layers.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of (A E + ... + A^L E) / L. In training, noise is added in each layer, and `contrast` of this mean with layer
    `contrast_layer`, over the distinct users and the distinct positive items of a batch, is added to the loss.

    *Source:* Yu, Xia, Chen, Cui, Hung, Yin, "XSimGCL: Towards Extremely Simple Graph Contrastive Learning for
    Recommendation", IEEE TKDE 2024; the L2 term as in SELFRec, the authors' library.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        contrast_layer: the layer, counted from 1, that the mean is contrasted with.
        contrast_weight: weight of the contrastive loss.
        contrast_temperature: temperature of the contrastive loss.
        noise: length of the noise of each node in each layer.
        embedding_decay: weight of the L2 term, the norms of the batch's noisy users and positives (see `simgcl.decay`).
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
        **initial: how embeddings start.

    Raises:
        ConfigError: `contrast_layer` is larger than `n_layers`.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        contrast_layer: Annotated[
            PositiveInt,
            Where("contrast_layer <= n_layers", "expected one of the {n_layers} layers, found {contrast_layer}"),
        ] = 1,
        contrast_weight: NonNegativeFloat = 0.2,
        contrast_temperature: PositiveFloat = 0.15,
        noise: NonNegativeFloat = 0.2,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        if contrast_layer > n_layers:
            message = f"expected one of the {n_layers} layers, found {contrast_layer}"
            raise ConfigError(Fault(message, key="contrast_layer"))
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.contrast_layer = n_layers, contrast_layer
        self.contrast_weight, self.noise = contrast_weight, noise
        self.contrast_temperature = contrast_temperature
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores under noise, the L2 term, and the contrastive loss."""
        mean_ND, layer_ND = self._propagate(self.noise)
        with self.hold(self.graph.split(mean_ND)):
            loss = super().training_loss(batch, criterion)
        return loss + self._contrast(batch[self.user_column], batch[self.item_column], mean_ND, layer_ND)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term."""
        return self.embedding_decay * decay(self._averages(), users, items) if self.embedding_decay else 0.0

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return all users' and items' embeddings, averaged over the layers; noisy only within `training_loss`.

        For the cosine they are scaled to unit length.
        """
        return self.scale(self._averages())

    def _averages(self) -> tuple[Tensor, Tensor]:
        return self.held or self.graph.split(self._propagate(noise=0.0)[0])

    def _propagate(self, noise: float) -> tuple[Tensor, Tensor]:
        """Return the mean over the layers (N, D), and the layer to contrast it with."""
        layer_ND = self.nodes()
        layers = []
        for _ in range(self.n_layers):
            layer_ND = self.graph(layer_ND)
            layer_ND = noisy(layer_ND, noise) if noise else layer_ND
            layers.append(layer_ND)
        return torch.stack(layers).mean(0), layers[self.contrast_layer - 1]

    def _contrast(self, users: Tensor, items: Tensor, mean_ND: Tensor, layer_ND: Tensor) -> Tensor | float:
        if self.contrast_weight == 0:
            return 0.0
        terms = [
            contrast(F.embedding(some, one), F.embedding(some, other), self.contrast_temperature)
            for some, one, other in zip(
                (users.unique(), items[:, 0].unique()),
                self.graph.split(mean_ND),
                self.graph.split(layer_ND),
                strict=True,
            )
        ]
        return self.contrast_weight * (terms[0] + terms[1])
