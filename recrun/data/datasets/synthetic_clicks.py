"""Generate clicks in memory from a known model, so that the best possible metrics are known too.

N rows, U users, I items, D hidden tastes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recrun.data import tags
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import Shares
from recrun.data.fields import DenseField, FieldTuple, SparseField
from recrun.data.formats.table import Ids, Table
from recrun.data.interactions import Interactions
from recrun.metrics.pointwise import binary_log_loss, grouped_auc
from recrun.randomness import generator
from recrun.registry import DATASETS
from recrun.types import NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

LABEL = "label"
_N_HOURS = 24
_N_TASTES = 4


@DATASETS.register("SyntheticClicks", labelled=True)
class SyntheticClicks(RecDataSet):
    """Generated clicks: rows of a user, an item, an hour and a price, labelled 1 (clicked) or 0.

    A row is clicked with probability σ(b + a_user + c_item + d_hour - price + s <p_user, q_item>), with normal
    effects and tastes; s is `interaction_strength`. The notes tell what that model itself reaches on test, which no
    other can beat but by luck.
    """

    def __init__(
        self,
        root: str | Path = ".",
        *,
        n_rows: PositiveInt = 40000,
        n_users: PositiveInt = 200,
        n_items: PositiveInt = 100,
        interaction_strength: NonNegativeFloat = 1.0,
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
        probability = self._probability(users, items, columns)
        columns[LABEL] = (rng.random(wanted["n_rows"]) < probability).astype(np.float32)
        return {WHOLE: Table(Path(type(self).__name__), Ids.of(users), Ids.of(items), columns)}

    def _probability(self, users: np.ndarray, items: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the probability of a click (N,) for original ids of users and items."""
        wanted = self.settings
        rng = generator(wanted["data_seed"], 0, "clicks-model")
        of_user, of_item = rng.normal(0, 0.7, wanted["n_users"]), rng.normal(0, 0.7, wanted["n_items"])
        of_hour = rng.normal(0, 0.5, _N_HOURS)
        tastes_UD = rng.normal(0, 1, (wanted["n_users"], _N_TASTES))
        tastes_ID = rng.normal(0, 1, (wanted["n_items"], _N_TASTES))
        logits = -0.5 + of_user[users] + of_item[items] + of_hour[columns["hour"]] - columns["price"]
        logits += wanted["interaction_strength"] * (tastes_UD[users] * tastes_ID[items]).sum(axis=1)
        probability: np.ndarray = 1 / (1 + np.exp(-logits))
        return probability

    def _best(self) -> dict[str, float]:
        rows: Interactions = self._parts["test"]
        probability = self._probability(self.user_ids[rows.users], self.item_ids[rows.items], rows.columns)
        labels = rows.columns[LABEL]
        return {
            "auc": grouped_auc(probability, labels, np.zeros(len(rows), dtype=np.int8)),
            "logloss": binary_log_loss(probability, labels),
        }

    def _make_fields(self) -> FieldTuple:
        ids = [field for field in super()._make_fields() if field.match(tags.ID)]
        hour = SparseField("hour", tags=tags.FEATURE, transformer="none", count=_N_HOURS)
        return FieldTuple([*ids, hour, DenseField("price", tags=tags.FEATURE), DenseField(LABEL, tags=tags.TARGET)])
