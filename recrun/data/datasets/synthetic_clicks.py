"""Generate clicks in memory from a known model, so that the best possible metrics are known too.

N rows, U users, I items, D hidden tastes, L items of a history.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from recrun.data import tags
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import Shares
from recrun.data.fields import DenseField, Field, FieldTuple, SparseField
from recrun.data.formats.table import Ids, Table
from recrun.data.interactions import ITEM, Interactions
from recrun.data.multi_columns.multi_field import NOTHING, MultiField
from recrun.metrics.pointwise import binary_log_loss, grouped_auc
from recrun.randomness import generator
from recrun.registry import DATASETS
from recrun.types import NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

LABEL = "label"
HISTORY = "history"
_N_HOURS = 24
_N_TASTES = 4


@DATASETS.register("SyntheticClicks", labelled=True)
class SyntheticClicks(RecDataSet):
    """Generated clicks: rows of a user, an item, an hour and a price, labelled 1 (clicked) or 0.

    A row is clicked with probability σ(b + a_user + c_item + d_hour - price + s <p_user, q_item>), with normal
    effects and tastes; s is `interaction_strength`. With histories, s times the largest <q_h, q_item> / √D of the items
    h of a row's history is added. The notes tell what that model itself reaches on test, which no other can beat but by
    luck.
    """

    def __init__(
        self,
        root: str | Path = ".",
        *,
        n_rows: PositiveInt = 40000,
        n_users: PositiveInt = 200,
        n_items: PositiveInt = 100,
        interaction_strength: NonNegativeFloat = 1.0,
        n_history_items: NonNegativeInt = 0,
        data_seed: NonNegativeInt = 0,
        **shares: Unpack[Shares],
    ) -> None:
        """Generate the data set.

        Args:
            root: not used.
            n_rows: number of rows in all parts together.
            n_users: number of users.
            n_items: number of items.
            interaction_strength: how much a click depends on the pair of user and item; 0 leaves the sum of effects.
            n_history_items: the most items in the history of a row, a random number of random items that shares the
                categories of the item; 0 for rows without one.
            data_seed: seed of what is generated.
            test_ratio: share of each user's rows that is tested on.
            valid_ratio: share of each user's rows that is validated on; 0 for none.
            **shares: how many rows are held out.
        """
        super().__init__(root, Preparation(split="ratio", duplicates="all", labelled=True, **shares))
        self.best = self._best() if len(self._parts["test"]) else {}
        if self.best:
            reached = ", ".join(f"{name} {value:.4f}" for name, value in self.best.items())
            self.notes.append(f"the generating model itself reaches on test: {reached}")

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        wanted = self.settings
        rng = generator(wanted["data_seed"], 0, "clicks")
        users = rng.integers(wanted["n_users"], size=wanted["n_rows"])
        items = rng.integers(wanted["n_items"], size=wanted["n_rows"])
        columns = {
            "hour": rng.integers(_N_HOURS, size=wanted["n_rows"]),
            "price": rng.normal(size=wanted["n_rows"]).astype(np.float32),
        }
        item_ids = Ids.of(items).names
        if wanted["n_history_items"]:
            columns[HISTORY] = self._histories(len(item_ids))
        probability = self._probability(users, items, columns, item_ids)
        columns[LABEL] = (rng.random(wanted["n_rows"]) < probability).astype(np.float32)
        return {WHOLE: Table(Path(type(self).__name__), Ids.of(users), Ids.of(items), columns)}

    def _histories(self, n_items: int) -> np.ndarray:
        """Return the histories (N, L) of the rows: internal ids of items, `NOTHING` in places that are not filled."""
        shape = self.settings["n_rows"], self.settings["n_history_items"]
        rng = generator(self.settings["data_seed"], 0, "clicks-histories")
        histories = rng.integers(n_items, size=shape)
        lengths = rng.integers(shape[1] + 1, size=(shape[0], 1))
        return np.where(np.arange(shape[1]) < lengths, histories, NOTHING)

    def _probability(
        self, users: np.ndarray, items: np.ndarray, columns: Mapping[str, np.ndarray], item_ids: np.ndarray
    ) -> np.ndarray:
        """Return the probability of a click (N,) for original ids of users and items.

        Args:
            users: (N,).
            items: (N,).
            columns: the features; histories hold internal ids.
            item_ids: the original id of each item.
        """
        wanted = self.settings
        rng = generator(wanted["data_seed"], 0, "clicks-model")
        of_user, of_item = rng.normal(0, 0.7, wanted["n_users"]), rng.normal(0, 0.7, wanted["n_items"])
        of_hour = rng.normal(0, 0.5, _N_HOURS)
        tastes_UD = rng.normal(0, 1, (wanted["n_users"], _N_TASTES))
        tastes_ID = rng.normal(0, 1, (wanted["n_items"], _N_TASTES))
        logits = -0.5 + of_user[users] + of_item[items] + of_hour[columns["hour"]] - columns["price"]
        logits += wanted["interaction_strength"] * (tastes_UD[users] * tastes_ID[items]).sum(axis=1)
        if HISTORY in columns:
            likeness = self._largest_likeness(tastes_ID[items], tastes_ID[item_ids], columns[HISTORY])
            logits += wanted["interaction_strength"] * likeness
        probability: np.ndarray = 1 / (1 + np.exp(-logits))
        return probability

    @staticmethod
    def _largest_likeness(tastes_ND: np.ndarray, tastes_ID: np.ndarray, histories_NL: np.ndarray) -> np.ndarray:
        """Return the largest product, over √D, of an item and those of its history (N,); 0 for an empty one."""
        products = np.einsum("nd,nld->nl", tastes_ND, tastes_ID[histories_NL]) / _N_TASTES**0.5
        is_empty = histories_NL == NOTHING
        return np.where(is_empty.all(axis=1), 0.0, np.where(is_empty, -np.inf, products).max(axis=1))

    def _best(self) -> dict[str, float]:
        rows: Interactions = self._parts["test"]
        probability = self._probability(
            self.user_ids[rows.users], self.item_ids[rows.items], rows.columns, self.item_ids
        )
        labels = rows.columns[LABEL]
        return {
            "auc": grouped_auc(probability, labels, np.zeros(len(rows), dtype=np.int8)),
            "logloss": binary_log_loss(probability, labels),
        }

    def _make_fields(self) -> FieldTuple:
        ids = [field for field in super()._make_fields() if field.match(tags.ID)]
        hour = SparseField("hour", tags=tags.FEATURE, transformer="none", count=_N_HOURS)
        features: list[Field] = [hour, DenseField("price", tags=tags.FEATURE)]
        if self.settings["n_history_items"]:
            item = next(field for field in ids if field.name == ITEM)
            features.append(MultiField(HISTORY, like=cast(SparseField, item)))
        return FieldTuple([*ids, *features, DenseField(LABEL, tags=tags.TARGET)])
