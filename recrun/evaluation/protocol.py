"""Say what is ranked for whom: all items or a few candidates, with those seen or without, for all users or a sample.

Papers with tables of "1 + 99" rank the held-out item among 99 others. Such numbers are far higher than those of a
ranking of all items, and may order models otherwise (Krichene and Rendle, KDD 2020, "On Sampled Metrics for Item
Recommendation"). They are comparable only with numbers of the same candidates, so a result names its protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.errors import DataError
from recrun.evaluation.user_sample import UserSample
from recrun.files import sha256_file

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, Interactions
    from recrun.evaluation.given_candidates import Given
    from recrun.evaluation.index_search import IndexSearch


@dataclass
class Protocol:
    """Which items are ranked for each user, and for which users.

    Args:
        n_drawn: how many items are drawn for each user beside the relevant ones; None for all items.
        by: "uniform", or "popularity" for probabilities proportional to the number of users in train.
        seed: of the draw.
        path: the file of the candidates of each user, instead.
        root: the folder to which it is relative.
        masks_seen: whether items that a user has interacted with before are left out.
        sample: the users.
        index: the kind of the approximate index in which the items are found; None for an exact ranking.
        index_breadth: how much of it is searched; None for the usual part.
        notes: what a user should know about the candidates and the sample; whoever tells them clears them.
    """

    n_drawn: int | None = None
    by: str = "uniform"
    seed: int = 1
    path: str | None = None
    root: str = "."
    masks_seen: bool = True
    sample: UserSample = field(default_factory=UserSample)
    index: str | None = None
    index_breadth: int | None = None
    notes: list[str] = field(default_factory=list)
    _made: dict[str, CSR] = field(default_factory=dict)
    _lists: Given | None = None
    _told: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Protocol:
        """Return the protocol that settings choose."""
        return cls(
            settings.get("candidates"),
            settings.get("candidates_by", "uniform"),
            settings.get("candidates_seed", 1),
            settings.get("candidates_path"),
            settings.get("root", "."),
            settings.get("mask_seen", True),
            UserSample.of(settings),
            settings.get("eval_index"),
            settings.get("eval_index_breadth"),
        )

    @property
    def ranks_all(self) -> bool:
        """Whether there are no candidates."""
        return self.n_drawn is None and self.path is None

    def choice(self, split: str) -> tuple[Any, ...]:
        """Return what tells two protocols of a part apart, apart from the content of a file."""
        items = self.n_drawn, self.by, self.seed, self.path, self.masks_seen
        return *items, self.sample.choice(split), self.index, self.index_breadth

    @property
    def search(self) -> IndexSearch | None:
        """The search of an approximate index; None for an exact ranking."""
        if self.index is None:
            return None
        from recrun.evaluation.index_search import IndexSearch

        return IndexSearch(self.index, self.index_breadth)

    @property
    def file(self) -> Path:
        """The file of given candidates."""
        return Path(self.root).expanduser() / str(self.path)

    def describe(self, base: Any) -> dict[str, Any] | None:
        """Return what a result says of its protocol: None where all items but those seen are ranked for all users.

        Args:
            base: the data set; the SHA-256 of a file of candidates may be among its `hashes` (`record_in`).

        Raises:
            DataError: that file cannot be read.
        """
        found: dict[str, Any] = {} if self.masks_seen else {"mask_seen": False}
        if self.path is not None:
            found |= {"candidates_path": self.path, "sha256": base.hashes.get(self.path) or self._digest()}
        elif self.n_drawn is not None:
            found |= {"candidates": self.n_drawn, "candidates_by": self.by, "candidates_seed": self.seed}
        if self.search is not None:
            found |= self.search.describe(base.n_items)
        return found | self.sample.describe(base) or None

    def masked(self, base: Any, split: str) -> CSR:
        """Return the items that are not ranked for each user: those seen before, or none.

        Args:
            base: the data set.
            split: "valid" or "test".
        """
        from recrun.data.interactions import CSR

        found: CSR = base.seen(check_mode(split)) if self.masks_seen else CSR.empty(base.n_users)
        return found

    def record_in(self, hashes: dict[str, str]) -> None:
        """Count the file of given candidates among the data's sources, so that a change of it is found.

        Args:
            hashes: the SHA-256 of these sources.

        Raises:
            DataError: it cannot be read.
        """
        if self.path is not None:
            hashes[self.path] = self._digest()

    def _digest(self) -> str:
        try:
            return sha256_file(self.file)
        except OSError as error:
            raise DataError(f"cannot read {self.file}, the candidates_path: {error.strerror}") from None

    def check(self, model: Any, base: Any, splits: Iterable[str]) -> None:
        """Check that items can be searched and given candidates be used.

        No more of a part is read than whose items are to be found.

        Args:
            model: whose items are searched.
            base: the data set.
            splits: the parts that will be evaluated.

        Raises:
            ConfigError: the model's scores cannot be searched.
            DataError: the file cannot be read, or has no candidates for a user with relevant items.
        """
        if self.search is not None:
            self.search.check(model, base)
        self._check_candidates(base, splits)

    def _check_candidates(self, base: Any, splits: Iterable[str]) -> None:
        if self.path is None:
            return
        found = self._given(base)
        for split in splits:
            mode = check_mode(split)
            for missing in base.reasons(mode, partial(self._missing, base, mode)).values():
                more = "".join(f"; {note}" for note in found.notes)
                but = f"other than items seen before or to be found in {split}"
                raise DataError(f"{self.file} has no candidates for {missing}, {but}{more}")

    def _missing(self, base: Any, mode: Mode, rows: Interactions) -> dict[str, str]:
        from recrun.evaluation.given_candidates import without_candidates

        relevant = self.sample.drawn(rows.csr(base.n_users), mode)
        missing = without_candidates(self._given(base), relevant, self.masked(base, mode), base)
        return {} if missing is None else {"candidates": missing}

    def relevant(self, base: Any, split: str) -> CSR:
        """Return the items to be found of the users that are evaluated, U rows.

        Args:
            base: the data set.
            split: "valid" or "test".
        """
        if self.sample.n is not None and split not in self._told:
            self._told.add(split)
            self.notes += filter(None, [self.sample.note(base, split)])
        return self.sample.drawn(base.csr(check_mode(split)), split)

    def candidates(self, base: Any, split: str) -> CSR | None:
        """Return the items that are ranked for each evaluated user, relevant ones included; None for all.

        They are drawn or read once, and do not depend on the model, its seed or the epoch.

        Args:
            base: the data set.
            split: "valid" or "test".

        Raises:
            DataError: as `check`.
        """
        if self.ranks_all:
            return None
        if split not in self._made:
            from recrun.data.interactions import union
            from recrun.evaluation.candidates import drawn
            from recrun.evaluation.given_candidates import notes_on

            self._check_candidates(base, [split])
            relevant = self.sample.drawn(base.csr(check_mode(split)), split)
            if self.path is not None:
                found = self._given(base)
                self._made[split] = union(found.lists, relevant)
                self.notes += notes_on(found, split, base, self.masked(base, split), relevant)
            else:
                self._made[split], notes = drawn(base, split, self.n_drawn or 0, self.by, self.seed, relevant)
                self.notes += notes
        return self._made[split]

    def _given(self, base: Any) -> Given:
        if self._lists is None:
            from recrun.evaluation.given_candidates import given

            self._lists = given(self.file, base)
            self.notes += self._lists.notes
        return self._lists
