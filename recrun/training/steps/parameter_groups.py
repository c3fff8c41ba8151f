"""Group the parameters of a model by whether their weights decay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from recrun.errors import ConfigError, Fault


def parameter_groups(model: nn.Module, weight_decay_on: str = "all") -> Iterable[Tensor] | list[dict[str, Any]]:
    """Return what an optimizer is built from, so that `weight_decay` applies only to some parameters.

    *Source:* for "weights": Devlin, Chang, Lee and Toutanova, NAACL 2019 (BERT), whose code leaves out biases and
    LayerNorm.

    Args:
        model: the model to be trained.
        weight_decay_on: "all": every parameter, in one group. "weights": not those of norms, biases (by their name) and
            others with fewer than two dimensions. "embeddings": only the tables of embeddings.

    Raises:
        ConfigError: it applies to no parameter of the model.
    """
    if weight_decay_on == "all":
        return model.parameters()
    chosen = _weights(model) if weight_decay_on == "weights" else _tables(model)
    ids = {id(parameter) for parameter in chosen}
    decayed = [parameter for parameter in model.parameters() if id(parameter) in ids]
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    if not decayed:
        message = f"the model has no {weight_decay_on}, so that nothing would decay; set all"
        raise ConfigError(Fault(message, key="weight_decay_on"))
    groups: list[dict[str, Any]] = [{"params": decayed}]
    return [*groups, {"params": others, "weight_decay": 0.0}] if others else groups


def _weights(model: nn.Module) -> Iterator[Tensor]:
    of_norms = {id(each) for module in model.modules() if _is_norm(module) for each in module.parameters(recurse=False)}
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2 and "bias" not in name and id(parameter) not in of_norms:
            yield parameter


def _is_norm(module: nn.Module) -> bool:
    """Return whether a module normalizes: LayerNorm, BatchNorm1d, GroupNorm, RMSNorm, or one of the user's own."""
    return any(kind.__name__.rstrip("123d").endswith("Norm") for kind in type(module).__mro__)


def _tables(model: nn.Module) -> Iterator[Tensor]:
    return (module.weight for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag))
