"""Join train and valid to one part to train on, where nothing is left to be validated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recrun.data.interactions import TIMESTAMP, Interactions, join
from recrun.data.orders import chronological_order
from recrun.data.splits import GIVEN_PART


def train_and_valid(
    parts: Mapping[str, Interactions], n_users: int, beginnings: np.ndarray | None = None
) -> Interactions:
    """Return the rows of train and valid, by user, then by time where there is one; among equal times, train is first.

    Where users are held out, those of valid become users of train, with what is given of them too. What is given of the
    users of test is not trained on, nor are users who are only the beginning of another.

    Args:
        parts: "train" and "valid", and where users are held out "given".
        n_users: U.
        beginnings: which users are beginnings, bool (U,); None if none are.
    """
    pieces, valid = [parts["train"]], parts["valid"]
    if GIVEN_PART in parts:
        given = parts[GIVEN_PART]
        is_of_valid = np.bincount(valid.users, minlength=n_users) > 0
        pieces.append(given.take(is_of_valid[given.users]))
    rows = join([*pieces, valid])
    if beginnings is not None:
        rows = rows.take(~beginnings[rows.users])
    order = chronological_order(rows.users, rows.columns.get(TIMESTAMP))
    return rows if order is None else rows.take(order)
