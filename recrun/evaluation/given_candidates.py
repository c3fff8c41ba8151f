"""Read the candidates that are ranked for each user from a file.

Shapes: U users, I items, N pairs of a user and an item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.data.formats.told_by_name import read_by_name
from recrun.data.interactions import CSR, union
from recrun.data.original_ids import OriginalIds
from recrun.data.postprocessing.mode import check_mode
from recrun.errors import DataError
from recrun.evaluation.candidates import Ints, among
from recrun.files import open_regular

_NEGATIVES: Final = re.compile(r"\(([^,()]+),([^,()]+)\)((?:\t[^\t]+)*)\t?")
_MOST_BYTES: Final = 1 << 32
_LONGEST_ID: Final = 1000


@dataclass(frozen=True, eq=False)
class Given:
    """The candidates of a file.

    Args:
        lists: the items of each user.
        targets: of a `.negative` file, the item of each `(user,item)` by user; empty for other files.
        n_targets: how many such items the file names, unknown ones included.
        notes: on rows that are not used.
    """

    lists: CSR
    targets: CSR
    n_targets: int
    notes: list[str]

    def others(self, seen: CSR, relevant: CSR, n_items: int) -> NDArray[np.bool_]:
        """Return which of the given items, (N,), are ranked beside the relevant ones: neither seen nor relevant."""
        keys_N, keys_M = (_keys(each, n_items) for each in (self.lists, union(seen, relevant)))
        return ~among(keys_N, keys_M)


def given(path: Path, base: Any) -> Given:
    """Read the candidates of each user from a file.

    A file with columns or lists in any format of `recrun list formats` that its extension tells has a row for each user
    and candidate. One that ends in `.negative` has lines `(user,item)<tab>candidate<tab>candidate...`, as those of NCF
    (He et al., WWW 2017).

    Args:
        path: the file.
        base: the data set.

    Raises:
        DataError: the file cannot be read.
    """
    pairs, targets = _read_pairs(path)
    user_of_N, item_of_N = pairs.places(base)
    is_known_N = (user_of_N >= 0) & (item_of_N >= 0)
    lists = CSR.from_pairs(user_of_N[is_known_N], item_of_N[is_known_N], base.n_users)
    n_repeated = int(is_known_N.sum()) - lists.nnz
    counts = {
        "the data does not have their users": int((user_of_N < 0).sum()),
        "the data does not have their items": int((item_of_N < 0).sum()),
        "they repeat others": n_repeated,
    }
    notes = [
        f"{count:,} of {len(user_of_N):,} rows of {path.name} are not used: {why}"
        for why, count in counts.items()
        if count
    ]
    of_target, target = targets.places(base)
    is_known = (of_target >= 0) & (target >= 0)
    found = CSR.from_pairs(of_target[is_known], target[is_known], base.n_users)
    return Given(lists, found, len(target), notes)


def without_candidates(found: Given, relevant: CSR, seen: CSR, base: Any) -> str | None:
    """Return which users with items to be found have no candidates besides, in words; None if all have some.

    Args:
        found: the given items.
        relevant: the items to be found, U rows.
        seen: the items that are not ranked.
        base: the data set.
    """
    users_N = found.lists.pairs()[0][found.others(seen, relevant, base.n_items)]
    has_others_U = np.bincount(users_N, minlength=base.n_users) > 0
    without = np.flatnonzero((relevant.lengths > 0) & ~has_others_U)
    if not len(without):
        return None
    others = f" and {len(without) - 1:,} other users" if len(without) > 1 else ""
    return f"user {base.user_ids[without[0]]}{others}"


def notes_on(found: Given, split: str, base: Any, seen: CSR, relevant: CSR | None = None) -> Iterator[str]:
    """Yield what a user should know of given candidates on a split.

    Args:
        found: the given items.
        split: "valid" or "test".
        base: the data set.
        seen: the items that are not ranked.
        relevant: the items to be found of the evaluated users, U rows; those of all users if None.
    """
    relevant = base.csr(check_mode(split)) if relevant is None else relevant
    users_N = found.lists.pairs()[0]
    is_evaluated_U = relevant.lengths > 0
    n_seen = int((~found.others(seen, CSR.empty(base.n_users), base.n_items) & is_evaluated_U[users_N]).sum())
    if n_seen:
        yield f"{n_seen:,} given candidates of {split} are not ranked: their users have seen them"
    lengths = np.bincount(users_N[found.others(seen, relevant, base.n_items)], minlength=base.n_users)[is_evaluated_U]
    if len(lengths) and lengths.min() < lengths.max():
        sizes = f"from {lengths.min():,} to {lengths.max():,}"
        yield f"users of {split} have {sizes} candidates besides the items to be found"
    if split == "test" and found.n_targets:
        hits = among(_keys(found.targets, base.n_items), _keys(base.csr("test"), base.n_items))
        n_other = found.n_targets - int(hits.sum())
        if n_other:
            yield f"{n_other:,} of {found.n_targets:,} lines begin with a (user,item) that is not in test"


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of a user and an item by original ids: the distinct ids, and of each pair the places among them."""

    users: NDArray[Any]
    user_of_N: Ints
    items: NDArray[Any]
    item_of_N: Ints

    def places(self, base: Any) -> tuple[Ints, Ints]:
        """Return the internal ids of users and items, (N,) each; -1 for one that is not known."""
        users, items = OriginalIds(base.user_ids, "user"), OriginalIds(base.item_ids, "item")
        return users.find(self.users)[self.user_of_N], items.find(self.items)[self.item_of_N]

    @classmethod
    def of_texts(cls, users: Sequence[str], items: Sequence[str]) -> _Pairs:
        parts: list[NDArray[Any]] = []
        for texts in (users, items):
            place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
            parts += [np.array(list(place_of), dtype=np.str_), np.array([place_of[text] for text in texts], dtype=int)]
        return cls(*parts)


def _read_pairs(path: Path) -> tuple[_Pairs, _Pairs]:
    """Return the pairs of a user and a candidate, and those of a user and an item that is to be found."""
    if path.suffix == ".negative":
        return _read_negatives(path)
    table = read_by_name(path, also=(".negative",))
    pairs = _Pairs(table.users.names, table.users.codes, table.items.names, table.items.codes)
    return pairs, _Pairs.of_texts([], [])


def _read_negatives(path: Path) -> tuple[_Pairs, _Pairs]:
    users: list[str] = []
    items: list[str] = []
    targets: list[tuple[str, str]] = []
    try:
        with open_regular(path, limit=_MOST_BYTES) as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                match = _NEGATIVES.fullmatch(text)
                if match is None:
                    raise DataError(f"{path}:{number}: expected (user,item), a tab, and candidates between tabs")
                candidates = [each.strip() for each in match[3].split("\t")[1:]]
                if max(map(len, (match[1], match[2], *candidates))) > _LONGEST_ID:
                    raise DataError(f"{path}:{number}: an id has more than {_LONGEST_ID:,} characters")
                users += [match[1].strip()] * len(candidates)
                items += candidates
                targets.append((match[1].strip(), match[2].strip()))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8") from None
    return _Pairs.of_texts(users, items), _Pairs.of_texts([user for user, _ in targets], [item for _, item in targets])


def _keys(pairs: CSR, n_items: int) -> Ints:
    """Return `user * I + item` of each pair, ascending, (N,)."""
    users_N, items_N = pairs.pairs()
    keys_N: Ints = users_N.astype(np.int64) * n_items + items_N
    return keys_N
