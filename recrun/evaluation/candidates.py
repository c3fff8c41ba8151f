"""Make the candidates that are ranked for each user: drawn beside the relevant items, or read from a file.

Shapes: U users, B users of a block, I items, N pairs of a user and an item.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout
from recrun.data.interactions import CSR, union
from recrun.data.postprocessing.mode import check_mode
from recrun.errors import DataError
from recrun.files import open_regular
from recrun.randomness import generator
from recrun.registry import FORMATS
from recrun.registry.conditions import format_told_by

Ints = NDArray[np.int64]

_BLOCK: Final = 1024
"""Users whose candidates are drawn together; fixed, because what is drawn depends on it."""
_ROUNDS: Final = 8
_NEGATIVES: Final = re.compile(r"\(([^,()]+),([^,()]+)\)((?:\t[^\t]+)*)\t?")
_MOST_BYTES: Final = 1 << 32


def drawn(base: Any, split: str, n: int, by: str, seed: int) -> tuple[CSR, list[str]]:
    """Draw items that a user with relevant ones has neither seen nor has to be found, without replacement.

    A user with fewer such items is given all of them. By popularity, items are drawn one after the other with
    probabilities proportional to their users in train; those without any are never drawn.

    Args:
        base: the data set.
        split: "valid" or "test".
        n: how many for each user.
        by: "uniform" or "popularity".
        seed: of the draw.

    Returns:
        The relevant and the drawn items of each user, and notes.
    """
    mode = check_mode(split)
    relevant = base.csr(mode)
    excluded = union(base.seen(mode), relevant)
    random = generator(seed, 0, f"candidates of {split}")
    users = np.flatnonzero(relevant.lengths)
    weights_I = None
    if by == "popularity":
        weights_I = np.bincount(base.csr("train").indices, minlength=base.n_items).astype(np.float64)
    pick = _picker(random, base.n_items, weights_I)
    rows, items = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(0, len(users), _BLOCK):
        users_B = users[start : start + _BLOCK]
        indptr, taken_N = excluded.rows(users_B)
        keys_N = np.repeat(np.arange(len(users_B)), np.diff(indptr)) * base.n_items + taken_N
        found_N = _drawn_block(np.sort(keys_N), len(users_B), base.n_items, n, pick, random, weights_I)
        rows.append(users_B[found_N // base.n_items])
        items.append(found_N % base.n_items)
    found = CSR.from_pairs(np.concatenate(rows), np.concatenate(items), relevant.n_rows)
    n_short = int((found.lengths[users] < n).sum())
    notes = [f"{n_short:,} users of {split} have fewer than {n} other items, and all of these are candidates"]
    return union(found, relevant), notes if n_short else []


def _picker(random: np.random.Generator, n_items: int, weights_I: NDArray[np.float64] | None) -> Callable[[int], Ints]:
    """Return a function that draws so many items with replacement."""
    if weights_I is None:
        return lambda n: random.integers(0, n_items, n)
    bounds_I = np.cumsum(weights_I)
    return lambda n: np.searchsorted(bounds_I, random.random(n) * bounds_I[-1], side="right")


def _drawn_block(
    excluded_N: Ints,
    n_rows: int,
    n_items: int,
    n: int,
    pick: Callable[[int], Ints],
    random: np.random.Generator,
    weights_I: NDArray[np.float64] | None,
) -> Ints:
    """Return n pairs of each row as keys `row * n_items + item`; drawn with replacement, repeated ones are drawn anew.

    Rows that are not full after some rounds have few items left to draw, or likely ones; theirs are drawn among what
    is left, which has the same distribution.
    """
    taken_N, found = excluded_N, [np.empty(0, dtype=np.int64)]
    missing_B = np.full(n_rows, n)
    for _ in range(_ROUNDS):
        wanted_B = np.where(missing_B > 0, missing_B + missing_B // 4 + 4, 0)
        rows_N = np.repeat(np.arange(n_rows), wanted_B)
        if not len(rows_N):
            break
        keys_N = rows_N * n_items + pick(len(rows_N))
        keys_N = keys_N[~_among(keys_N, taken_N)]
        keys_N = keys_N[np.sort(np.unique(keys_N, return_index=True)[1])]  # the first of each, in the order drawn
        rows_N = keys_N // n_items
        starts_B = np.searchsorted(rows_N, np.arange(n_rows))
        keys_N = keys_N[np.arange(len(rows_N)) - starts_B[rows_N] < missing_B[rows_N]]
        missing_B = missing_B - np.bincount(keys_N // n_items, minlength=n_rows)
        taken_N = np.sort(np.concatenate([taken_N, keys_N]))
        found.append(keys_N)
    for row in np.flatnonzero(missing_B):
        start, stop = np.searchsorted(taken_N, [row * n_items, (row + 1) * n_items])
        is_free_I = np.ones(n_items, dtype=bool) if weights_I is None else weights_I > 0
        is_free_I[taken_N[start:stop] - row * n_items] = False
        free = np.flatnonzero(is_free_I)
        if len(free) > missing_B[row]:
            shares = None if weights_I is None else weights_I[free] / weights_I[free].sum()
            free = random.choice(free, missing_B[row], replace=False, p=shares)
        found.append(row * n_items + free)
    return np.concatenate(found)


def _among(keys_N: Ints, sorted_M: Ints) -> NDArray[np.bool_]:
    if not len(sorted_M):
        return np.zeros(len(keys_N), dtype=bool)
    places_N = np.minimum(np.searchsorted(sorted_M, keys_N), len(sorted_M) - 1)
    return np.asarray(sorted_M[places_N] == keys_N)


def given(path: Path, base: Any) -> tuple[CSR, list[str]]:
    """Read the candidates of each user from a file.

    A file with columns or lists in any format of `recrun list formats` that its extension tells has a row for each user
    and candidate. One that ends in `.negative` has lines `(user,item)<tab>candidate<tab>candidate...`, as those of NCF
    (He et al., WWW 2017).

    Args:
        path: the file.
        base: the data set.

    Returns:
        The given items of each user, and notes on rows that name others than the data has.

    Raises:
        DataError: the file cannot be read.
    """
    users_N, items_N = _read_pairs(path)
    user_of_N, item_of_N = _places(users_N, base.user_ids), _places(items_N, base.item_ids)
    is_known_N = (user_of_N >= 0) & (item_of_N >= 0)
    found = CSR.from_pairs(user_of_N[is_known_N], item_of_N[is_known_N], base.n_users)
    notes = []
    for of_N, what in ((user_of_N, "users"), (item_of_N, "items")):
        n_unknown = int((of_N < 0).sum())
        if n_unknown:
            of = f"{n_unknown:,} of {len(of_N):,} rows of {path.name}"
            notes.append(f"{of} are not used: the data does not have their {what}")
    return found, notes


def without_candidates(candidates: CSR, users: NDArray[Any], user_ids: NDArray[Any]) -> str | None:
    """Return which users are to be ranked and have no given candidates, in words; None if all have some.

    Args:
        candidates: the given items of each user.
        users: those with items to be found, (N,), which may repeat.
        user_ids: the original id of each user, (U,).
    """
    without = np.unique(users[candidates.lengths[users] == 0])
    if not len(without):
        return None
    others = f" and {len(without) - 1:,} other users" if len(without) > 1 else ""
    return f"user {user_ids[without[0]]}{others}"


def _read_pairs(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the original ids of users and items, (N,) each."""
    if path.suffix == ".negative":
        return _read_negatives(path)
    format = format_told_by(path.name)
    if format is None:
        known = sorted({extension for each in FORMATS for extension in each.traits.extensions} | {".negative"})
        raise DataError(f"the name of {path} does not tell its format; let it end in one of: {', '.join(known)}")
    table = read_table(format, path, Layout())
    return table.users.names[table.users.codes], table.items.names[table.items.codes]


def _read_negatives(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    users: list[str] = []
    items: list[str] = []
    try:
        with open_regular(path, limit=_MOST_BYTES) as file:
            for number, line in enumerate(file, 1):
                match = _NEGATIVES.fullmatch(line.decode("utf-8").rstrip("\r\n"))
                if match is None:
                    raise DataError(f"{path}:{number}: expected (user,item), a tab, and candidates between tabs")
                candidates = match[3].split("\t")[1:]
                users += [match[1].strip()] * len(candidates)
                items += candidates
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    return np.array(users, dtype=np.str_), np.array(items, dtype=np.str_)


def _places(ids_N: NDArray[Any], known_U: NDArray[Any]) -> Ints:
    """Return the position of each id among known ones, (N,); -1 for one that is not known."""
    if not len(known_U) or not len(ids_N):
        return np.full(len(ids_N), -1)
    if (ids_N.dtype.kind in "iu") != (known_U.dtype.kind in "iu") or ids_N.dtype.kind not in "iu":
        ids_N, known_U = ids_N.astype(np.str_), known_U.astype(np.str_)
    order = np.argsort(known_U, kind="stable")
    places_N = np.minimum(np.searchsorted(known_U, ids_N, sorter=order), len(known_U) - 1)
    return np.where(known_U[order[places_N]] == ids_N, order[places_N], -1)
