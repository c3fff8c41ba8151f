"""Register the built-in splits under the names that the setting `split` takes."""

from __future__ import annotations

import numpy as np

from recrun.data.splits import Unsplit, rules
from recrun.data.splits.sessions import by_sessions
from recrun.registry import SPLITS


@SPLITS.register("ratio", keeps_order=False)
def ratio(rows: Unsplit) -> np.ndarray:
    """Hold out a random share of each user's interactions."""
    return rules.by_ratio(
        rows.users, rows.n_users, test_ratio=rows.test_ratio, valid_ratio=rows.valid_ratio, rng=rows.rng
    )


@SPLITS.register(
    "leave_one_out",
    needs_time=True,
    keeps_order=True,
    without_share="split=leave_one_out tests on one interaction",
)
def leave_one_out(rows: Unsplit) -> np.ndarray:
    """Hold out each user's latest interaction."""
    return rules.leave_one_out(rows.users, rows.times, rows.n_users, with_valid=rows.valid_ratio > 0)


@SPLITS.register(
    "leave_k", needs_time=True, keeps_order=True, without_share="split=leave_k tests on n_held_out interactions"
)
def leave_k(rows: Unsplit) -> np.ndarray:
    """Hold out each user's latest `n_held_out` interactions."""
    with_valid = rows.valid_ratio > 0
    return rules.leave_k(rows.users, rows.times, rows.n_users, n_held_out=rows.n_held_out, with_valid=with_valid)


@SPLITS.register("k_fold", keeps_order=False, without_share="split=k_fold tests on one fold")
def k_fold(rows: Unsplit) -> np.ndarray:
    """Divide each user's interactions at random into `n_folds` folds and hold out one of them."""
    folds = {"n_folds": rows.n_folds, "fold": rows.test_fold}
    return rules.by_fold(rows.users, rows.n_users, **folds, valid_ratio=rows.valid_ratio, rng=rows.rng)


@SPLITS.register("cold_users", keeps_order=True)
def cold_users(rows: Unsplit) -> np.ndarray:
    """Hold out all interactions of a random share of users."""
    shares = {"test_ratio": rows.test_ratio, "valid_ratio": rows.valid_ratio}
    return rules.by_group(rows.users, rows.n_users, **shares, rng=rows.rng)


@SPLITS.register("new_users", new_users=True)
def new_users(rows: Unsplit) -> np.ndarray:
    """Hold out a random share of users, give a share of their interactions to the model, and test on the others."""
    shares = {"test_ratio": rows.test_ratio, "valid_ratio": rows.valid_ratio, "fold_in_ratio": rows.fold_in_ratio}
    times = rows.times if rows.fold_in_by == "time" else None
    return rules.by_new_users(rows.users, rows.items, times, rows.n_users, rows.n_items, **shares, rng=rows.rng)


@SPLITS.register("sessions", needs_time=True, compares_users=True, keeps_order=True, new_users=True)
def sessions(rows: Unsplit) -> np.ndarray:
    """Hold out the latest sessions, each a user of the data, give their items, and test on what follows these."""
    return by_sessions(rows)


@SPLITS.register("cold_items", keeps_order=False)
def cold_items(rows: Unsplit) -> np.ndarray:
    """Hold out all interactions of a random share of items."""
    shares = {"test_ratio": rows.test_ratio, "valid_ratio": rows.valid_ratio}
    return rules.by_group(rows.items, rows.n_items, **shares, rng=rows.rng)


@SPLITS.register("time", needs_time=True, compares_users=True, keeps_order=True)
def time(rows: Unsplit) -> np.ndarray:
    """Hold out the latest share of all interactions."""
    return rules.by_time(rows.times, test_ratio=rows.test_ratio, valid_ratio=rows.valid_ratio)


@SPLITS.register("user_time", needs_time=True, keeps_order=True)
def user_time(rows: Unsplit) -> np.ndarray:
    """Hold out the latest share of each user's interactions."""
    shares = {"test_ratio": rows.test_ratio, "valid_ratio": rows.valid_ratio}
    return rules.by_user_time(rows.users, rows.times, rows.n_users, **shares)
