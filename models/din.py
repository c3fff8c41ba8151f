"""DIN: the parts of a history that matter to the item shown, weighted by attention.

Shapes: B rows, L places of a history, M filled places of all rows, D embedding, G columns of a group, W = G D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch, Decays, PredictingArch, perceptron, rates_of_layers
from recrun.data.fields import Tokenizer
from recrun.data.multi_columns.multi_field import MultiField
from recrun.errors import ConfigError, Fault, unknown
from recrun.registry import MODELS
from recrun.types import (
    Annotated,
    AppliesIf,
    BatchNormalized,
    Fraction,
    MinLen,
    PositiveFloat,
    PositiveInt,
    RateOfLayers,
    RatesOfLayers,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("din", loss="bce", gradients="mixed")
class DIN(PredictingArch):
    """Predict a click by what of a user's history matters to the item shown.

    Histories are columns that share the categories of another (`shared_columns`), which is their target. Each becomes
    Σ_l a(t, h_l) h_l over its places, in place of a mean: t is the embedding of the target, and a is a perceptron on
    t, h_l, t - h_l and t * h_l. All fields then go side by side through another perceptron.

    The paper does not normalise the weights a, and lets the outer product of t and h_l take part; t - h_l and t * h_l
    are of the authors' code and FuxiCTR. The authors' code has a softmax over weights divided by √W, W being the length
    of an embedding. In `dice`, and in dropout, only filled places take part, which in FuxiCTR all do.

    *Source:* Zhou, Zhu, Song, Fan, Zhu, Ma, Yan, Jin, Li, Gai, "Deep Interest Network for Click-Through Rate
    Prediction", KDD 2018, sections 4.3 and 5.2.

    Args:
        embedding_dim: length of the embeddings.
        history_groups: columns of histories that are attended to as one, such as items and their categories, whose
            embeddings stand side by side; every other history has an attention of its own.
        attention_dims: units of each hidden layer of the attention.
        attention_activation: activation of the hidden layers of the attention.
        attention_dropout: dropout rate of the hidden layers of the attention.
        attention_softmax: normalise the weights of a history by a softmax.
        attention_scaled: divide the weights by the root of the length of an embedding before the softmax.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers.
        dropouts: dropout rate of each hidden layer, in place of dropout; null uses dropout.
        batch_norm: normalise each hidden layer over the batch, between its linear part and its activation.
        activation: activation of the hidden layers.
        init_std: standard deviation of the initial embeddings.
        **decays: weights of the L2 terms.

    Raises:
        ConfigError: there is no history, or a group holds something else or histories that differ in length.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 16,
        history_groups: list[Annotated[list[str], MinLen(1)]] = [],  # noqa: B006 - never changed
        attention_dims: Annotated[list[PositiveInt], MinLen(1)] = [80, 40],  # noqa: B006 - never changed
        attention_activation: Literal[
            "relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "prelu", "dice"
        ] = "sigmoid",
        attention_dropout: Fraction = 0.0,
        attention_softmax: bool = False,
        attention_scaled: Annotated[
            bool, AppliesIf("attention_softmax", "weights are divided for attention_softmax only")
        ] = False,
        hidden_dims: Annotated[list[PositiveInt], MinLen(1)] = [64, 64],  # noqa: B006 - never changed
        dropout: RateOfLayers = 0.0,
        dropouts: RatesOfLayers = None,
        batch_norm: BatchNormalized = False,
        activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "prelu", "dice"] = "dice",
        init_std: PositiveFloat = 0.01,
        **decays: Unpack[Decays],
    ) -> None:
        super().__init__(data, **decays)
        self.groups = self._groups(data, history_groups)
        self.tokenizer = Tokenizer(self.features).embed(embedding_dim)
        self.attentions = nn.ModuleList(
            HistoryAttention(
                len(group) * embedding_dim,
                attention_dims,
                attention_dropout,
                activation=attention_activation,
                softmax=attention_softmax,
                divisor=(len(group) * embedding_dim) ** 0.5 if attention_scaled else 1.0,
            )
            for group in self.groups
        )
        rates = rates_of_layers(dropout, dropouts, len(hidden_dims))
        widths = [len(self.features) * embedding_dim, *hidden_dims, 1]
        self.deep = perceptron(widths, rates, batch_norm=batch_norm, activation=activation)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        embedded: dict[str, Tensor] = {}
        for group, attention in zip(self.groups, self.attentions, strict=True):
            summed_BW = self._attend(group, attention, batch)
            embedded |= dict(zip(group, summed_BW.chunk(len(group), dim=1), strict=True))
        for field in self.features:
            if field.name not in embedded:
                embedded[field.name] = self.tokenizer[field.name].look_up(batch[field.name])[:, 0]
        logits: Tensor = self.deep(torch.cat([embedded[field.name] for field in self.features], dim=1)).squeeze(-1)
        return logits

    def _attend(self, group: Sequence[str], attention: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted sums (B, W) of the histories of a group."""
        fields = [self.tokenizer[name] for name in group]
        targets_BW = torch.cat([field.embeddings(batch[str(field.shares)][:, 0]) for field in fields], dim=1)
        length = min(batch[name].shape[1] for name in group)
        places_GBL = torch.stack([batch[name][:, :length] for name in group])
        is_filled_BL = (places_GBL >= 0).all(dim=0)
        histories_BLW = torch.cat(
            [field.embeddings(places.clamp(min=0)) for field, places in zip(fields, places_GBL, strict=True)], dim=2
        )
        summed_BW: Tensor = attention(targets_BW, histories_BLW, is_filled_BL)
        return summed_BW

    def _groups(self, data: TrainingData, named: Sequence[Sequence[str]]) -> list[list[str]]:
        """Return the columns of each group: those that are named, then every other history alone.

        Raises:
            ConfigError: there is no history, or a group holds something else, one twice, or some of unlike lengths.
        """
        histories = [field.name for field in self.features if isinstance(field, MultiField) and field.shares]
        if not histories:
            raise ConfigError(
                "din needs a column with a history, such as the items that a user clicked before: name it in "
                "multi_columns, and in shared_columns the column whose categories it shares"
            )
        listed = [name for group in named for name in group]
        for name in listed:
            if name not in histories:
                raise ConfigError(Fault(unknown("history", name, histories), key="history_groups"))
            if listed.count(name) > 1:
                raise ConfigError(Fault(f"{name} is there twice; name each once", key="history_groups"))
        for group in named:
            lengths = [(data.interactions.columns[name] >= 0).sum(axis=1) for name in group]
            for name, its in zip(group, lengths, strict=True):
                if not np.array_equal(its, lengths[0]):
                    row = int((its != lengths[0]).argmax())
                    told = f"expected as many in {name} as in {group[0]}, found {its[row]} and {lengths[0][row]}"
                    raise ConfigError(Fault(f"{told} in row {row} of train", key="history_groups"))
        return [*map(list, named), *([name] for name in histories if name not in listed)]


class HistoryAttention(nn.Module):
    """Sum the embeddings of a history, weighted by a perceptron on each and the embedding of the target.

    Args:
        width: W, the length of an embedding.
        hidden_dims: units of each hidden layer.
        dropout: dropout rate of the hidden layers.
        activation: activation of the hidden layers.
        softmax: normalise the weights of a row by a softmax over its filled places.
        divisor: divides the weights before the softmax.
    """

    def __init__(
        self,
        width: int,
        hidden_dims: Sequence[int],
        dropout: float,
        *,
        activation: str,
        softmax: bool,
        divisor: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = perceptron([4 * width, *hidden_dims, 1], dropout, activation=activation)
        self.softmax, self.divisor = softmax, divisor

    def forward(self, targets_BW: Tensor, histories_BLW: Tensor, is_filled_BL: Tensor) -> Tensor:
        """Return the sums (B, W) over the filled places of histories (B, L, W); 0 where there are none.

        Args:
            targets_BW: the embedding of each row's target.
            histories_BLW: the embeddings of its history.
            is_filled_BL: which places are filled, bool.
        """
        histories_MW = histories_BLW[is_filled_BL]
        targets_MW = targets_BW[is_filled_BL.nonzero()[:, 0]]
        pairs = torch.cat([targets_MW, histories_MW, targets_MW - histories_MW, targets_MW * histories_MW], dim=1)
        weights_M = self.network(pairs).squeeze(-1).to(histories_BLW.dtype)
        weights_BL = histories_BLW.new_zeros(is_filled_BL.shape).masked_scatter(is_filled_BL, weights_M)
        if self.softmax:
            lowest = torch.finfo(weights_BL.dtype).min
            weights_BL = (weights_BL / self.divisor).masked_fill(~is_filled_BL, lowest).softmax(dim=1) * is_filled_BL
        return torch.einsum("bl,blw->bw", weights_BL, histories_BLW)
