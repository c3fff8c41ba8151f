"""Define the traits of each kind of component: what the config layer must know about it without importing it.

A trait is a literal keyword of the `register` decorator or, if the class itself needs it too, an attribute in the body
of the class. An unknown trait, or a value of the wrong type, is a `RegistryError`.
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
    """A call in the body of a class, such as `family = Family(...)`, read from its source.

    Args:
        keywords: its literal keywords.
        where: `file:line`.
    """

    keywords: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Traits:
    """Base of all traits; used as it is for kinds that have none.

    `OF_CLASS` names the traits that are read from the body of the class instead of the decorator.
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class ModelTraits(Traits):
    """The traits of a model.

    Args:
        loss: its default loss.
        losses: the only losses that it works with; empty for any that fit.
        vectors: whether it has vectors of users and items.
        scores: "cosine" if its scores lie in [-1, 1].
        new_users: whether it scores users from their items alone, also users that training never saw; models that read
            histories always do, unless they are personal.
        gradients: "dense" if a step changes all rows of an embedding, "sparse" if those of a batch, "layered" if those
            of sampled items besides other parameters, "mixed" if it has such parameters and may change all rows.
        states: whether a model of sequences has a state after "each" item, or only after the "last", on prefixes.
        item_vectors: whether it reads vectors of items, so that data without them is refused.
        timed_by: the setting of a model of sequences with which it reads the times of items, unless it is 0.
        personal: an attribute of its class: whether a model of sequences has vectors of users, and scores no new ones.
        family: the attribute `family` of its class or a base class, which declares a family outside recrun (see
            `recrun.config.family`); None if recrun knows the family by the base class.
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ("family", "personal")
    loss: str = "bpr"
    losses: tuple[str, ...] = ()
    vectors: bool = True
    scores: Literal["any", "cosine"] = "any"
    new_users: bool = False
    gradients: Literal["sparse", "dense", "layered", "mixed"] = "sparse"
    states: Literal["each", "last"] = "each"
    item_vectors: bool = False
    timed_by: str = ""
    personal: bool = False
    family: Any = None


@dataclass(frozen=True)
class LossTraits(Traits):
    """The traits of a loss.

    Args:
        min_negatives: the fewest sampled negatives it works with.
        scores: "cosine" if it needs scores in [-1, 1].
        masks: whether a negative with a very low score adds nothing to it, so that rows may share negatives of which
            some do not count.
        trains_on: "users" if it is computed on users' whole rows, "items" if on the scores of single items.
        ranks_all_items: whether it is computed on the scores of all items (an attribute of the class).
        compares_vectors: whether it takes vectors instead of scores (an attribute of the class).
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ("ranks_all_items", "compares_vectors")
    min_negatives: int = 1
    scores: Literal["any", "cosine"] = "any"
    masks: bool = False
    trains_on: Literal["items", "users"] = "items"
    ranks_all_items: bool = False
    compares_vectors: bool = False

    @property
    def takes_negatives(self) -> bool:
        """Whether it compares positives with sampled negatives."""
        return not (self.ranks_all_items or self.compares_vectors or self.trains_on == "users")


@dataclass(frozen=True)
class DatasetTraits(Traits):
    """The traits of a data set.

    Args:
        labelled: whether its rows are labelled, for models that predict labels.
        times: "none" if it tells neither times nor an order of interactions.
        item_vectors: whether it brings vectors of its items itself (`own_item_vectors`).
        conditions: an attribute of the class: the conditions between its settings, as `{setting: [(condition, message),
            ...]}`, besides those that types declare; see `recrun.types.Where`.
    """

    OF_CLASS: ClassVar[tuple[str, ...]] = ("conditions",)
    labelled: bool = False
    times: Literal["any", "none"] = "any"
    item_vectors: bool = False
    conditions: Any = None


LAYOUT_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("separator", "header", "escape"),
    "rows": ("filter", "drop_missing"),
    "columns": ("user_column", "item_column", "rating_column", "time_column", "time_format"),
}
"""Settings of a file that a format takes all, or none of: how text is cut, which rows are read, what columns are."""


@dataclass(frozen=True)
class FormatTraits(Traits):
    """The traits of a file format.

    Args:
        extensions: the file name extensions that it is recognised by, such as ".csv".
        times: "none" if it tells neither times nor an order of interactions, "order" if only the order of each user's.
        rated: whether it may have ratings or weights.
        without: the settings of a file that mean nothing to it, such as "encoding", and names of `LAYOUT_GROUPS`, which
            stand for their settings.
    """

    extensions: tuple[str, ...] = ()
    times: Literal["any", "order", "none"] = "any"
    rated: bool = True
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        settings = tuple(key for each in self.without for key in LAYOUT_GROUPS.get(each, (each,)))
        object.__setattr__(self, "without", settings)


@dataclass(frozen=True)
class MetricTraits(Traits):
    """The traits of a metric.

    Args:
        kind: the name of its kind, registered in `METRIC_KINDS` or in the file of the metric.
        grouped: whether it is computed for each user's rows.
        smaller_is_better: whether the best value is the smallest.
        foreseeable: for the kinds "auc" and "pointwise": whether the data alone (labels and users of rows, relevant and
            seen items) decides if it is undefined, so that this is known before training.
        min_cutoff: the smallest cutoff that it has a value for.
    """

    kind: str = "ranking"
    grouped: bool = False
    smaller_is_better: bool = False
    foreseeable: bool = False
    min_cutoff: int = 1


@dataclass(frozen=True)
class MetricKindTraits(Traits):
    """The traits of a kind of metrics.

    Args:
        cutoff: whether its metrics are computed on the first k items, and written name@k.
        evaluations: the evaluations of model families that can compute it: rankings of all items, predicted labels.
    """

    cutoff: bool = False
    evaluations: tuple[Literal["ranking", "predictions"], ...] = ("ranking",)


@dataclass(frozen=True)
class OptimizerTraits(Traits):
    """The traits of an optimizer.

    Args:
        sparse: whether it updates only the embedding rows of a batch; with `layers`, other parameters too.
    """

    sparse: bool = False
    layers: bool = False


@dataclass(frozen=True)
class SchedulerTraits(Traits):
    """The traits of a learning-rate schedule.

    Args:
        uses_epochs: whether it depends on the number of epochs.
        needs_value: whether it follows the validation metric.
    """

    uses_epochs: bool = False
    needs_value: bool = False


@dataclass(frozen=True)
class SamplerTraits(Traits):
    """The traits of a sampler of negatives.

    Args:
        draws: whether it draws for single rows, takes negatives from the batch, draws candidates among which the model
            chooses, or draws negatives that the rows of a batch share.
        min_negatives: the fewest negatives it works with.
    """

    draws: Literal["rows", "batch", "candidates", "shared"] = "rows"
    min_negatives: int = 1


@dataclass(frozen=True)
class ReporterTraits(Traits):
    """The traits of a reporter.

    Args:
        package: the package that it imports, which `pip install 'recrun[package]'` installs; None if it needs none.
    """

    package: str | None = None


@dataclass(frozen=True)
class SplitTraits(Traits):
    """The traits of a split.

    Args:
        needs_time: whether it needs times; data without times is refused.
        compares_users: whether it compares the times of different users.
        keeps_order: whether what it holds out of a user's interactions is later than what it leaves in train; None if
            that is only seen on the data.
        new_users: whether it holds out users, whose rows are partly given to the model and partly to be found.
        without_share: why `test_ratio` does not apply to it, or None if it applies.
    """

    needs_time: bool = False
    compares_users: bool = False
    keeps_order: bool | None = None
    new_users: bool = False
    without_share: str | None = None


def read_traits(kind: type[T], written: Mapping[str, Any], where: str, of_class: Mapping[str, Any] | None = None) -> T:
    """Return the traits that keywords and class attributes give.

    Args:
        kind: a frozen dataclass.
        written: the keywords.
        where: the position of the keywords and what they belong to, as the start of messages.
        of_class: the attributes in the body of the class; those not in `OF_CLASS` are ignored.

    Raises:
        RegistryError: a trait is unknown (the message suggests the nearest one), or its value has the wrong type.
    """
    types_of = _types_of(kind)
    in_class = getattr(kind, "OF_CLASS", ())
    names = [each.name for each in fields(kind) if each.name not in in_class]  # type: ignore[arg-type]
    faults = []
    for name, value in written.items():
        if name in in_class:
            faults.append(f"trait {name!r} is an attribute of the class; set it in the class body")
        elif name not in names:
            guess = nearest(name, names)
            hint = f"did you mean {guess!r}?" if guess else f"available: {', '.join(names) or 'none'}"
            faults.append(f"unknown trait {name!r}, {hint}")
        elif not _fits(types_of[name], value):
            faults.append(_explain(name, types_of[name], value))
    of_class = {name: value for name, value in (of_class or {}).items() if name in in_class}
    faults += [_explain(name, types_of[name], of) for name, of in of_class.items() if not _fits(types_of[name], of)]
    if faults:
        raise RegistryError(f"{where}: {'; '.join(faults)}")
    given = {**written, **of_class}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


_types_of: Callable[[Any], dict[str, Any]] = cache(get_type_hints)

_WORDS: Final = {bool: "True or False", int: "an integer", str: "a string"}


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
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        guess = nearest(value, choices) if isinstance(value, str) else None
        hint = f", did you mean {guess!r}?" if guess else ""
        return f"trait {name!r} expects one of {', '.join(map(repr, choices))}, found {value!r}{hint}"
    if get_origin(annotation) is tuple:
        each = get_args(annotation)[0]
        among = get_origin(each) is Literal
        items = f"one of {', '.join(map(repr, get_args(each)))}" if among else f"being {_WORDS[each]}"
        return f"trait {name!r} expects a tuple, each item {items}, found {value!r}"
    return f"trait {name!r} expects {_WORDS.get(annotation, annotation)}, found {value!r}"
