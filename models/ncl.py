"""NCL: LightGCN with contrastive losses with the neighbours of nodes and with the centres of clusters of nodes.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding, C clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch, InitialEmbeddings
from recrun.architectures.prediction import Batch
from recrun.models.sgl import identify
from recrun.registry import MODELS
from recrun.types import (
    Annotated,
    AppliesIf,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Where,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData

_ITERATIONS: Final = 25
"""Most iterations of k-means, the number of its authors' library."""
_NONE: Final = -1
"""The cluster of a node before clusters are found, which has no loss."""


@MODELS.register("ncl", loss="bpr", new_users=True, gradients="dense")
class NCL(GraphArch):
    """Train LightGCN with contrastive losses between a node and its structural and its semantic neighbours.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of (E + A E + ... + A^L E) / (L + 1). Added to the loss are, summed over the rows of a batch, with cosines over
    a temperature as logits, the cross entropy
    of finding a node among all of its kind by its embedding of an even layer, which is that of like nodes two steps
    away: structure_weight times that of the user plus item_weight times that of the positive item;
    of finding the centre of a node's cluster among all centres by its embedding e: prototype_weight times that of the
    user plus that of the positive item.
    The clusters of users and of items are found by k-means on E at the start of each epoch after the first
    `prototype_warmup`, which have no such term. An epoch is counted as often as the rows trained reach the number of
    interactions in train; the count and the clusters are part of a checkpoint.

    *Source:* Lin, Tian, Hou, Zhao, "Improving Graph Collaborative Filtering with Neighborhood-enriched Contrastive
    Learning", WWW 2022, equations 5 to 15; the L2 term as in its authors' code (RUCAIBox/NCL). There k-means is that of
    faiss, which splits large clusters where one is empty. With embeddings much larger than those of Xavier's
    initialisation the structural loss is stronger than the other for hundreds of steps.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        contrast_temperature: temperature of both contrastive losses.
        structure_weight: weight of the loss with structural neighbours, per row.
        item_weight: weight of items in it, relative to users.
        contrast_layer: the layer that a node is found by; even, so that it is made of nodes of the same kind.
        prototype_weight: weight of the loss with the centres of clusters, per row.
        n_prototypes: C, the clusters of users, and those of items; at most as many as there are.
        prototype_warmup: epochs without clusters.
        embedding_decay: weight of the L2 term: the norm of the matrix of the batch's users' embeddings before
            propagation, plus those of its positives and of its negatives, over B; norms are not squared.
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
        **initial: how embeddings start.
    """

    # What warm starts must know of the rows of each: clusters are of users and of items, centres of neither.
    tensor_axes: ClassVar[dict[str, str]] = {
        "user_centers": "",
        "item_centers": "",
        "user_clusters": "user",
        "item_clusters": "item",
    }

    n_rows: Tensor
    clustered: Tensor
    user_centers: Tensor
    item_centers: Tensor
    user_clusters: Tensor
    item_clusters: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        contrast_temperature: PositiveFloat = 0.05,
        structure_weight: NonNegativeFloat = 1e-6,
        item_weight: NonNegativeFloat = 1.5,
        contrast_layer: Annotated[
            PositiveInt, Where("contrast_layer % 2 == 0", "expected an even number, found {contrast_layer}")
        ] = 2,
        prototype_weight: NonNegativeFloat = 1e-7,
        n_prototypes: Annotated[
            PositiveInt, AppliesIf("prototype_weight > 0", "prototype_weight is 0, so that nothing is clustered")
        ] = 2000,
        prototype_warmup: Annotated[
            NonNegativeInt, AppliesIf("prototype_weight > 0", "prototype_weight is 0, so that nothing is clustered")
        ] = 20,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.contrast_layer = n_layers, contrast_layer
        self.contrast_temperature = contrast_temperature
        self.structure_weight, self.item_weight = structure_weight, item_weight
        self.prototype_weight, self.prototype_warmup = prototype_weight, prototype_warmup
        self.n_interactions = max(1, data.csr().nnz)
        # What a resumed run must go on with: the rows trained, the epoch of the clusters, and the clusters.
        self.register_buffer("n_rows", torch.zeros((), dtype=torch.int64))
        self.register_buffer("clustered", torch.full((), -1, dtype=torch.int64))
        for kind, n_nodes in (("user", data.n_users), ("item", data.n_items)):
            self.register_buffer(f"{kind}_centers", torch.zeros(n_prototypes, embedding_dim))
            self.register_buffer(f"{kind}_clusters", torch.full((n_nodes,), _NONE))
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores, the contrastive losses, and the L2 term."""
        users_B, items_B = batch[self.user_column][:, 0], batch[self.item_column][:, 0]
        if self.prototype_weight:
            self._cluster_when_due()
            self.n_rows += len(users_B)
        layers = self._propagate()
        with self.hold(self._average(layers)):
            loss = super().training_loss(batch, criterion)
        return loss + self._structure(layers, users_B, items_B) + self._prototypes(users_B, items_B)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term."""
        if self.embedding_decay == 0:
            return 0.0
        rows = [self.User.look_up(users), self.Item.look_up(items[:, :1]), self.Item.look_up(items[:, 1:])]
        norms = [torch.linalg.vector_norm(each) for each in rows if each.numel()]
        return self.embedding_decay * torch.stack(norms).sum() / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the averaged embeddings of all users and all items, at unit length for the cosine."""
        return self.scale(self.held or self._average(self._propagate()))

    def _propagate(self) -> list[Tensor]:
        """Return the layers from 0 to the last that is needed (N, D)."""
        layers = [self.nodes()]
        for _ in range(max(self.n_layers, self.contrast_layer) if self.training else self.n_layers):
            layers.append(self.graph(layers[-1]))
        return layers

    def _average(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        total_ND = layers[0]
        for layer_ND in layers[1 : self.n_layers + 1]:
            total_ND = total_ND + layer_ND
        return self.graph.split(total_ND / (self.n_layers + 1))

    def _structure(self, layers: list[Tensor], users_B: Tensor, items_B: Tensor) -> Tensor | float:
        if self.structure_weight == 0:
            return 0.0
        context, center = self.graph.split(layers[self.contrast_layer]), self.graph.split(layers[0])
        of_users = identify(users_B, context[0], center[0], self.contrast_temperature)
        of_items = identify(items_B, context[1], center[1], self.contrast_temperature)
        return self.structure_weight * len(users_B) * (of_users + self.item_weight * of_items)

    def _prototypes(self, users_B: Tensor, items_B: Tensor) -> Tensor | float:
        if self.prototype_weight == 0 or self.clustered < 0:
            return 0.0
        pairs = (
            (self.User.look_up(users_B), self.user_centers[: len(self.user_clusters)], self.user_clusters[users_B]),
            (self.Item.look_up(items_B), self.item_centers[: len(self.item_clusters)], self.item_clusters[items_B]),
        )
        terms = []
        for rows, centers, own in pairs:
            logits = F.normalize(rows, dim=1) @ centers.T / self.contrast_temperature
            terms.append(F.cross_entropy(logits, own, ignore_index=_NONE, reduction="sum"))
        return self.prototype_weight * (terms[0] + terms[1])

    @torch.no_grad()
    def _cluster_when_due(self) -> None:
        epoch = int(self.n_rows) // self.n_interactions
        if epoch < self.prototype_warmup or epoch == int(self.clustered):
            return
        for kind, table in (("user", self.User), ("item", self.Item)):
            buffers = dict(self.named_buffers(recurse=False))
            centers_CD, kept_N = buffers[f"{kind}_centers"], buffers[f"{kind}_clusters"]
            found_CD, clusters_N = cluster(table.embeddings.weight, min(len(centers_CD), len(kept_N)))
            centers_CD[: len(found_CD)] = F.normalize(found_CD, dim=1)
            kept_N.copy_(clusters_N)
        self.clustered.fill_(epoch)


@torch.no_grad()
def cluster(rows_ND: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
    """Return the centres (C, D) of clusters of rows by k-means, and the cluster of each row (N,).

    It starts from rows drawn at random by torch's generator, and ends when no row changes its cluster, or after 25
    iterations. A cluster that loses all of its rows keeps its centre.

    Args:
        rows_ND: what is clustered.
        n_clusters: C, at most N.
    """
    centers_CD = rows_ND[torch.randperm(len(rows_ND), device=rows_ND.device)[:n_clusters]].clone()
    clusters_N = _nearest(rows_ND, centers_CD)
    for _ in range(_ITERATIONS):
        counts_C = torch.bincount(clusters_N, minlength=n_clusters)
        sums_CD = torch.zeros_like(centers_CD).index_add_(0, clusters_N, rows_ND)
        centers_CD = torch.where(counts_C[:, None] > 0, sums_CD / counts_C.clamp(min=1)[:, None], centers_CD)
        before_N, clusters_N = clusters_N, _nearest(rows_ND, centers_CD)
        if torch.equal(before_N, clusters_N):
            break
    return centers_CD, clusters_N


def _nearest(rows_ND: Tensor, centers_CD: Tensor) -> Tensor:
    """Return which centre is the nearest to each row (N,)."""
    half_C = centers_CD.square().sum(dim=1) / 2
    blocks = rows_ND.split(4096)
    return torch.cat([torch.addmm(-half_C, block, centers_CD.T).argmax(dim=1) for block in blocks])
