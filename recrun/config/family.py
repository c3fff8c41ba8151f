"""Define the model families: the kind of rows a model is trained on, and what follows from it for a config.

A model belongs to the family of its nearest base class in `FAMILIES`. A new family in recrun is a base class in
`recrun/architectures` and an entry in `FAMILIES`. A family outside recrun is declared in the body of its base class, as
`family = Family(rows="baskets")` with literal keywords, which is read without importing it. Rows of a new kind need a
pipe of that name in `recrun.training.pipes.PIPES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from recrun.config.settings import TRAINING
from recrun.errors import RegistryError, unknown
from recrun.registry import MODELS
from recrun.registry.component import Component
from recrun.registry.traits import Written, read_traits


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the family of a model determines.

    Args:
        rows: what a training row is, as messages call it; also the name of the pipe of training rows.
        trains: whether its models are trained by gradient descent; if not, they are fitted in closed form and take no
            training settings.
        without: the training settings that do not apply to its rows.
        needs: the settings that each of its models must declare.
        evaluation: whether its models rank items, or predict the labels of rows.
        monitors: the metrics that are monitored unless others are set; empty for those of every run.
        losses: the only losses it allows; empty for any that `loss_over` allows.
        loss_over: whether its losses are computed on the scores of single items, or on users' whole rows.
        vectors: whether losses may compare the vectors of users and items.
        samplers: the samplers that its pipe supports, by their trait `draws`.
        corrects: whether its pipe provides the probabilities of negatives, for `logq_correction`.
        histories: whether its models need users' histories to score items; `take_histories` receives them.
        new_users: whether its models score users that training never saw, by `embed_histories`, unless they are
            `personal`.
        check_batch_size: the batch size with which `recrun check` trains its models on small data.
    """

    rows: str = "interactions"
    trains: bool = True
    without: tuple[str, ...] = ("positives", "draw_on")
    needs: tuple[str, ...] = ()
    evaluation: Literal["ranking", "predictions"] = "ranking"
    monitors: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    loss_over: Literal["items", "users"] = "items"
    vectors: bool = True
    samplers: tuple[str, ...] = ("rows", "batch", "candidates", "shared")
    corrects: bool = True
    histories: bool = False
    new_users: bool = False
    check_batch_size: int = 256

    @property
    def samples(self) -> bool:
        """Whether its training may use sampled negatives."""
        return self.trains and "sampler" not in self.without


SAMPLED_ITEMS: Final = Family(without=())
WHOLE_ROWS: Final = Family(rows="users", loss_over="users")
SEQUENCES: Final = Family(
    rows="sequences",
    needs=("max_length",),
    vectors=False,
    samplers=("rows", "shared"),
    histories=True,
    new_users=True,
    # A row is the whole history of a user, so small data has few rows.
    check_batch_size=16,
)
LABELLED_ROWS: Final = Family(
    rows="labels",
    # The original values of their categories are not kept, so that rows could not be matched.
    without=("sampler", "positives", "draw_on", "init_from", "init_match"),
    evaluation="predictions",
    monitors=("auc", "logloss"),
    losses=("bce",),
)
CLOSED_FORM: Final = Family(trains=False)

FAMILIES: Final[dict[str, Family]] = {
    "RecSysArch": SAMPLED_ITEMS,
    "RowsArch": WHOLE_ROWS,
    "SequenceArch": SEQUENCES,
    "PredictingArch": LABELLED_ROWS,
    "ClosedFormArch": CLOSED_FORM,
}
"""The families by the names of their base classes; graph models belong to the first."""


def family_of_class(model: type) -> Family:
    """Return the family of an imported class; that of sampled items for one that derives from none of `FAMILIES`."""
    declared = getattr(model, "family", None)
    if isinstance(declared, Family):
        return declared
    return next((FAMILIES[above.__name__] for above in model.__mro__ if above.__name__ in FAMILIES), SAMPLED_ITEMS)


def family_of(model: Component | None) -> Family:
    """Return the family of a model; that of sampled items if the model is unknown (None).

    Raises:
        RegistryError: its class declares a family with unknown or wrong keywords.
    """
    if model is None:
        return SAMPLED_ITEMS
    declared = model.traits.family
    if isinstance(declared, Family):
        return declared
    if isinstance(declared, Written):
        family = read_traits(Family, declared.keywords, f"{declared.where}: family of model {model.name}")
        known = [each.name for each in TRAINING]
        for key in family.without:
            if key not in known:
                raise RegistryError(f"{declared.where}: without: {unknown('training setting', key, known)}")
        return family
    if declared is not None:
        raise RegistryError(f"model {model.name}: expected family = Family(...), found {declared!r}")
    return next((FAMILIES[base] for base in model.bases if base in FAMILIES), SAMPLED_ITEMS)


def can_score_new_users(model: Component) -> bool:
    """Return whether a model scores users that training never saw, from their items."""
    return (model.traits.new_users or family_of(model).new_users) and not model.traits.personal


def without_new_users(name: str) -> str:
    """Return the message that a model cannot score new users, and which ones can."""
    able = ", ".join(each.name for each in MODELS if can_score_new_users(each))
    return f"model {name} cannot score new users, whom training never saw; models that can: {able}"
