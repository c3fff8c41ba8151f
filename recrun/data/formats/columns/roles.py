"""Judge whether columns taken by position hold what their roles need, and propose other columns where they do not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np

from recrun.data.formats.columns.looks import ENOUGH, MOST, Look, look_at, look_at_ids, look_at_numbers
from recrun.data.formats.columns.names import COLUMN_KEYS, REQUIRED_ROLES
from recrun.data.formats.columns.sample_lines import sample_columns
from recrun.data.formats.find_bad_row import TextShape
from recrun.data.formats.table import Table
from recrun.data.formats.values.times import find_unit
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError

_FEW: Final = 11
"""Steps of the finest usual scale of ratings, 0 to 10."""
_SHOWN: Final = 12
_ASIN: Final = re.compile(r"B[0-9A-Z]{9}|\d{9}[\dX]")
_REVIEWER: Final = re.compile(r"A[0-9A-Z]{11,}")
"""The ids of products and of reviewers at Amazon, whose files have them in either order."""


class RolesError(DataError):
    """Columns that cannot have the roles that their positions give them.

    Args:
        message: why, and what each column looks like.
        path: the file.
        settings: the keys that name the columns which may be meant; none when the content does not tell.
    """

    def __init__(self, message: str, *, path: Path, settings: Mapping[str, str]) -> None:
        super().__init__(message, path=path, line=1, kind="column-role")
        self.settings = dict(settings)


class ByPosition:
    """The roles that columns of a file without a header row got by their positions alone.

    Args:
        path: the file.
        shape: how it is laid out, and the position of the column of each role.
        named: the roles whose column a user named; they are not doubted.
        is_fixed: whether the format says which column is which, so that no others are proposed.
    """

    def __init__(self, path: Path, shape: TextShape, named: Collection[str], *, is_fixed: bool = False) -> None:
        self._path = path
        self._shape = shape
        self._roles = shape.positions
        self._named = named
        self._is_fixed = is_fixed

    def check_sample(self) -> None:
        """Check that the values are of the right kind; how often each occurs only the whole file tells.

        Raises:
            RolesError: dates where ids should be, text where a number should be, and the like.
        """
        columns = sample_columns(self._path, self._shape)
        looks = {role: look_at(columns[place]) for role, place in self._roles.items()}
        self._refuse(_wrong_kinds(looks))

    def check_table(self, table: Table) -> None:
        """Check the columns of the whole file.

        Raises:
            RolesError: they cannot be users, items, ratings and times in this order.
        """
        looks = {USER: look_at_ids(table.users), ITEM: look_at_ids(table.items)}
        if RATING in table.columns:
            looks[RATING] = look_at_numbers(table.columns[RATING])
        if TIMESTAMP in table.columns:
            looks[TIMESTAMP] = look_at_numbers(table.columns[TIMESTAMP], are_dates=table.time_is_date)
        self._refuse(_wrong_kinds(looks))
        self._refuse(_wrong_values(looks))

    def _refuse(self, found: Iterable[tuple[str, str]]) -> None:
        """Refuse the file if there are doubts, with what columns from all over it look like."""
        doubts = {role: why for role, why in found if role not in self._named}
        if not doubts:
            return
        told = "; ".join(
            f"column {self._roles[role] + 1} would be the {role}, but {why}" for role, why in doubts.items()
        )
        looks = [look_at(column) for column in sample_columns(self._path, self._shape, spread=True)]
        settings = {} if self._is_fixed else self._proposal(looks)
        remedy = " ".join(f"{key}={name}" for key, name in settings.items())
        if not settings:
            keys = ", ".join(COLUMN_KEYS[role] for role in doubts)
            remedy = f"{keys} to the numbers of the right columns (rating_column= or time_column= for none)"
        if self._is_fixed:
            remedy = "format to another one (csv?)"
        columns = [f"{place}: {look}" for place, look in enumerate(looks[:_SHOWN], start=1)]
        columns += [f"and {len(looks) - _SHOWN} more"] * (len(looks) > _SHOWN)
        raise RolesError(
            f"there is no header row, and {told}; set {remedy}. The columns are {'; '.join(columns)}",
            path=self._path,
            settings=settings,
        )

    def _proposal(self, looks: Sequence[Look]) -> dict[str, str]:
        """Return the keys that differ from the positions, where the content tells users and items."""
        taken = {role: self._roles[role] for role in self._named if role in self._roles}
        proposed = propose_roles(looks, taken)
        if not set(REQUIRED_ROLES) <= proposed.keys():
            return {}
        free = [role for role in COLUMN_KEYS if role not in self._named]
        return {
            COLUMN_KEYS[role]: str(proposed[role] + 1) if role in proposed else ""
            for role in free
            if proposed.get(role) != self._roles.get(role)
        }


def propose_roles(looks: Sequence[Look], taken: Mapping[str, int]) -> dict[str, int]:
    """Return the roles that columns may have by their content, as far as it tells.

    Args:
        looks: of all columns.
        taken: the roles that are known.
    """
    roles = dict(taken)

    def free() -> list[int]:
        return [place for place in range(len(looks)) if place not in roles.values()]

    if TIMESTAMP not in roles:
        times = [place for place in free() if looks[place].kind == "dates" or looks[place].unit is not None]
        if times:  # beside a date, a time is the finer of the two
            roles[TIMESTAMP] = max(times, key=lambda place: (looks[place].n_distinct, -place))
    ids = [place for place in free() if _may_be_ids(looks[place])]
    # A column of a few values is rather a category or a rating.
    ids.sort(key=lambda place: looks[place].n_distinct <= _FEW and looks[place].n_rows >= ENOUGH)
    pair = _likeliest_pair(looks, ids, [roles[role] for role in REQUIRED_ROLES if role in roles])
    if {USER, ITEM}.isdisjoint(roles) and len(pair) == 2 and _are_swapped(looks[pair[0]], looks[pair[1]]):
        pair = pair[::-1]
    wanted = [role for role in REQUIRED_ROLES if role not in roles]
    roles |= dict(zip(wanted, pair, strict=False))
    if RATING not in roles:
        ratings = [place for place in free() if _may_be_ratings(looks[place])]
        roles |= {RATING: ratings[0]} if ratings else {}
    return roles


def _likeliest_pair(looks: Sequence[Look], ids: Sequence[int], known: Sequence[int]) -> list[int]:
    """Return the columns of users and items among some, without those that are known, in the order of the file.

    A user comes to an item once, or less often again than to the same rating, category or place. Of pairs that differ
    about as often, the first one is taken.
    """
    if len(known) == 2 or not ids:
        return []
    pairs = list(combinations(ids, 2)) if not known else [(known[0], place) for place in ids]
    if not pairs:
        return [ids[0]]
    shares = [_share_of_pairs(looks[first], looks[second]) for first, second in pairs]
    best = next(pair for pair, share in zip(pairs, shares, strict=True) if share >= max(shares) - 0.1)
    return sorted(place for place in best if place not in known)


def _may_be_ids(look: Look) -> bool:
    is_kind = look.kind == "text" or (look.are_whole and look.unit is None and look.bounds[0] >= 0)
    is_kind = is_kind and not _counts_rows(look)
    return is_kind and (look.n_distinct > 1 or look.n_rows == 1) and not look.n_empty


def _may_be_ratings(look: Look) -> bool:
    # Scales with a zero are rare, and categories that begin with one are not.
    return look.are_few_steps and look.bounds[0] > 0 and (look.n_distinct > 2 or look.n_rows < ENOUGH)


def _wrong_kinds(looks: Mapping[str, Look]) -> Iterator[tuple[str, str]]:
    """Yield (role, why not) of columns whose values are of another kind than the role's."""
    for role in REQUIRED_ROLES:
        look = looks[role]
        if look.kind == "dates" or (look.kind == "numbers" and not look.are_whole):
            yield role, f"holds {look}"
    rating, time = looks.get(RATING), looks.get(TIMESTAMP)
    if rating is not None and rating.kind != "nothing":
        is_time = rating.kind == "numbers" and find_unit(rating.numbers) is not None
        if rating.kind != "numbers" or is_time or rating.are_coordinates:
            yield RATING, f"holds {rating}"
    if time is not None and time.kind == "text":
        yield TIMESTAMP, f"holds {time}"
    if _are_swapped(looks[USER], looks[ITEM]):
        yield USER, f"holds {looks[USER]} (products of Amazon?)"
        yield ITEM, f"holds {looks[ITEM]} (reviewers?)"


def _wrong_values(looks: Mapping[str, Look]) -> Iterator[tuple[str, str]]:
    """Yield (role, why not) of columns whose values occur as those of the role never do."""
    rating, time = looks.get(RATING), looks.get(TIMESTAMP)
    n_rows = looks[USER].n_rows
    # Ids may be as large as times; beside a column of times, they are.
    has_times = time is not None and (time.kind == "dates" or find_unit(time.numbers) is not None)
    if n_rows < ENOUGH:
        if time is not None and not has_times:
            yield from ((role, f"holds {looks[role]}") for role in REQUIRED_ROLES if looks[role].unit is not None)
        return
    # Beside times and ratings that are some, one user is the beginning of a file that is sorted by user.
    is_excerpt = has_times and (rating is None or rating.are_few_steps)
    for role in REQUIRED_ROLES:
        look = looks[role]
        if look.n_distinct == 1 and not (role == USER and is_excerpt):
            yield role, "all its values are equal"
        elif look.are_clock_times and not has_times:
            yield role, f"holds {look}"
    if rating is not None and _counts_rows(looks[USER]) and looks[ITEM].n_distinct < MOST * n_rows:
        yield USER, "it numbers the rows"
    if _grows_unevenly(looks[ITEM], looks[USER]):
        yield ITEM, "no value occurs twice, and they grow from row to row"
    if rating is not None and rating.bounds[0] >= 1000:
        # Scales end at 100 and counts begin at 1; this is an id, a price or a time.
        yield RATING, f"holds {rating}"
    if time is not None and not has_times and _are_no_times(time, looks[USER]):
        yield TIMESTAMP, f"holds {time}, which are no times"
    if rating is not None and _is_rating_before(looks[USER], looks[ITEM], rating):
        few = USER if looks[USER].n_distinct < looks[ITEM].n_distinct else ITEM
        yield few, f"has {looks[few].n_distinct} values in {n_rows} rows, again and again"


def _are_swapped(users: Look, items: Look) -> bool:
    """Return whether users have the shape of Amazon's products, and items that of its reviewers."""
    return all(
        look.shapes and sum(shape.fullmatch(value) is not None for value in look.shapes) >= MOST * len(look.shapes)
        for look, shape in ((users, _ASIN), (items, _REVIEWER))
    )


def _counts_rows(look: Look) -> bool:
    """Return whether a column counts upwards by one from each row to the next."""
    if look.kind != "numbers" or look.n_distinct < look.n_rows or look.bounds[1] - look.bounds[0] >= 2 * look.n_rows:
        return False
    return bool((np.diff(look.codes) == 1).all())


def _grows_unevenly(items: Look, users: Look) -> bool:
    """Return whether a column holds another number in each row, larger than the last by one amount or another.

    Within one user, items often stand in such an order; over several users they do not.
    """
    if int((np.diff(users.codes) != 0).sum()) < 5:
        return False
    if items.kind != "numbers" or items.n_distinct < MOST * items.n_rows:
        return False
    return len(np.unique(np.diff(items.numbers))) > 2 and _grow(items.codes)


def _are_no_times(times: Look, users: Look) -> bool:
    """Return whether numbers that are no times since 1970 cannot be an order either.

    Years and days may be; so may counters, which hardly repeat within the file or within a user, and numbers that grow
    from row to row. Prices, quantities, hours and degrees repeat, and grow and fall at random.
    """
    if not times.are_whole or times.n_distinct == 1:
        return True
    if times.are_days or times.n_distinct >= MOST * times.n_rows or _grow(times.column):
        return False
    same_user = np.diff(users.codes) == 0
    if same_user.sum() >= ENOUGH and _grow(np.diff(times.column)[same_user], are_steps=True):
        return False
    longest = int(np.bincount(users.codes).max())
    counts_rows = times.bounds[1] - times.bounds[0] <= 2 * longest
    return not (counts_rows and _share_of_pairs(users, times) >= MOST)


def _grow(values: np.ndarray, *, are_steps: bool = False) -> bool:
    """Return whether numbers grow from row to row, apart from those that stay as they are."""
    steps = values if are_steps else np.diff(values)
    n_moves = int((steps != 0).sum())
    return n_moves > 1 and int((steps > 0).sum()) >= 0.95 * n_moves


def _is_rating_before(users: Look, items: Look, ratings: Look) -> bool:
    """Return whether the second column (or the first) holds ratings or categories, and the third one the ids.

    A user rates an item once, but gives the same rating, or comes to the same category, again and again.
    """
    few, other = sorted((users, items), key=lambda look: look.n_distinct)
    if not few.are_few_steps or not ratings.are_whole or ratings.n_distinct <= max(_FEW, 2 * few.n_distinct):
        return False
    return _share_of_pairs(users, items) < MOST and _share_of_pairs(other, ratings) >= 0.98


def _share_of_pairs(first: Look, second: Look) -> float:
    """Return how many of the pairs of two columns differ, as a share of the rows."""
    pairs = first.codes * second.n_distinct + second.codes
    return len(np.unique(pairs)) / len(pairs)
