"""The traits of each kind of component: what the config layer must know of one before it is imported.

A trait is a literal keyword of the `register` decorator, or, where the class itself needs it too, an attribute in the
body of the class. A trait that does not exist, or has a value of another type, is a `RegistryError`.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from recrun.errors import RegistryError, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """A call in the body of a class, such as `family = Family(...)`, as its source has it.

    Args:
        keywords: its literal keywords.
        where: `file:line`.
    """

    keywords: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Traits:
    """The traits of a kind that has none; base of the others.

    `OF_CLASS` names those that are read from the body of the class, and not from the decorator.
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class ModelTraits(Traits):
    """What is known of a model.

    Args:
        loss: its usual loss.
        losses: the only losses that it takes; empty for any that fit.
        vectors: whether it has vectors of users and items.
        scores: "cosine" if its scores are bounded by [-1, 1].
        gradients: "dense" if a step moves all rows of an embedding, "sparse" if only those of the batch.
        family: the attribute `family` of its class or of a class above it: how a family of one's own is declared (see
            `recrun.config.family`); None for one that recrun knows by its base class.
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ("family",)
    loss: str = "bpr"
    losses: tuple[str, ...] = ()
    vectors: bool = True
    scores: Literal["any", "cosine"] = "any"
    gradients: Literal["sparse", "dense"] = "sparse"
    family: Any = None


@dataclass(frozen=True)
class LossTraits(Traits):
    """What is known of a loss.

    Args:
        min_negatives: the fewest sampled negatives that make sense.
        scores: "cosine" if it needs scores bounded by [-1, 1].
        trains_on: "users" if it is over users' whole rows, "items" if over the scores of single items.
        ranks_all_items: whether it is over the scores of all items (an attribute of the class).
        compares_vectors: whether it takes vectors in place of scores (an attribute of the class).
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ("ranks_all_items", "compares_vectors")
    min_negatives: int = 1
    scores: Literal["any", "cosine"] = "any"
    trains_on: Literal["items", "users"] = "items"
    ranks_all_items: bool = False
    compares_vectors: bool = False

    @property
    def takes_negatives(self) -> bool:
        """Whether it compares positives with sampled negatives."""
        return not (self.ranks_all_items or self.compares_vectors or self.trains_on == "users")


@dataclass(frozen=True)
class DatasetTraits(Traits):
    """What is known of a data set.

    Args:
        labelled: whether its rows are labelled, for models that predict labels.
    """

    labelled: bool = False


@dataclass(frozen=True)
class FormatTraits(Traits):
    """What is known of a file format.

    Args:
        extensions: the ends of file names that stand for it, such as ".csv".
    """

    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricTraits(Traits):
    """What is known of a metric.

    Args:
        kind: the name of its kind, registered in `METRIC_KINDS` or in the file of the metric.
        grouped: whether it is over the rows of each user.
        smaller_is_better: whether the best value is the smallest.
    """

    kind: str = "ranking"
    grouped: bool = False
    smaller_is_better: bool = False


@dataclass(frozen=True)
class MetricKindTraits(Traits):
    """What is known of a kind of metrics.

    Args:
        cutoff: whether its metrics are over the first k items, and named as name@k.
        evaluations: the evaluations of model families that can compute it: rankings of all items, predicted labels.
    """

    cutoff: bool = False
    evaluations: tuple[Literal["ranking", "predictions"], ...] = ("ranking",)


@dataclass(frozen=True)
class OptimizerTraits(Traits):
    """What is known of an optimizer.

    Args:
        sparse: whether it updates only the rows of embeddings that a batch has.
    """

    sparse: bool = False


@dataclass(frozen=True)
class SchedulerTraits(Traits):
    """What is known of a schedule of the learning rate.

    Args:
        uses_epochs: whether it depends on the number of epochs.
        needs_value: whether it follows the validation metric.
    """

    uses_epochs: bool = False
    needs_value: bool = False


@dataclass(frozen=True)
class SamplerTraits(Traits):
    """What is known of a sampler of negatives.

    Args:
        draws: whether it draws for single rows, takes negatives from the batch, or yields candidates to choose from.
        min_negatives: the fewest negatives that make sense.
    """

    draws: Literal["rows", "batch", "candidates"] = "rows"
    min_negatives: int = 1


@dataclass(frozen=True)
class SplitTraits(Traits):
    """What is known of a split.

    Args:
        needs_time: whether it reads times; data without times is refused.
        compares_users: whether it compares the times of different users.
        without_share: why `test_ratio` has no meaning for it, or None where it has.
    """

    needs_time: bool = False
    compares_users: bool = False
    without_share: str | None = None


def read_traits(kind: type[T], written: Mapping[str, Any], where: str, of_class: Mapping[str, Any] | None = None) -> T:
    """Return traits of a kind from the keywords that give them.

    Args:
        kind: a frozen dataclass.
        written: the keywords.
        where: what gives them, as messages begin.
        of_class: what the body of the class says of those named by `OF_CLASS`.

    Raises:
        RegistryError: there is no such trait (the message names the nearest one), or its value is of another type.
    """
    types_of = _types_of(kind)
    in_class = getattr(kind, "OF_CLASS", ())
    names = [each.name for each in fields(kind) if each.name not in in_class]  # type: ignore[arg-type]
    faults = []
    for name, value in written.items():
        if name in in_class:
            faults.append(f"trait {name!r} is an attribute of the class; write it in its body")
        elif name not in names:
            guess = nearest(name, names)
            hint = f"did you mean {guess!r}?" if guess else f"available: {', '.join(names) or 'none'}"
            faults.append(f"unknown trait {name!r}, {hint}")
        elif not _fits(types_of[name], value):
            faults.append(_explain(name, types_of[name], value))
    of_class = {name: value for name, value in (of_class or {}).items() if name in in_class}
    faults += [
        _explain(name, types_of[name], value) for name, value in of_class.items() if not _fits(types_of[name], value)
    ]
    if faults:
        raise RegistryError(f"{where}: {'; '.join(faults)}")
    given = {**written, **of_class}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


_types_of: Callable[[Any], dict[str, Any]] = cache(get_type_hints)

_WORDS: Final = {bool: "true or false", int: "a whole number", str: "a text"}


def _fits(annotation: Any, value: Any) -> bool:
    if annotation is Any:
        return True
    if get_origin(annotation) is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        each = get_args(annotation)[0]
        return isinstance(value, (tuple, list)) and all(_fits(each, item) for item in value)
    if get_origin(annotation) is types.UnionType:
        return any(_fits(each, value) for each in get_args(annotation))
    return type(value) is annotation


def _explain(name: str, annotation: Any, value: Any) -> str:
    if get_origin(annotation) is tuple and get_origin(get_args(annotation)[0]) is Literal:
        choices = get_args(get_args(annotation)[0])
        return f"trait {name!r} expects a tuple, each item one of {', '.join(map(repr, choices))}, found {value!r}"
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        guess = nearest(value, choices) if isinstance(value, str) else None
        hint = f", did you mean {guess!r}?" if guess else ""
        return f"trait {name!r} expects one of {', '.join(map(repr, choices))}, found {value!r}{hint}"
    if get_origin(annotation) is tuple:
        return f"trait {name!r} expects a tuple, each item {_WORDS[get_args(annotation)[0]]}, found {value!r}"
    return f"trait {name!r} expects {_WORDS.get(annotation, annotation)}, found {value!r}"
