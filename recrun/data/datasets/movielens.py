"""Load the MovieLens data sets of GroupLens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from recrun.data import filters
from recrun.data.datasets.amazon_beauty import _Sequences
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import Rated, RatedShares
from recrun.data.datasets.source_files import EntityFile, SourceFile
from recrun.data.formats.delimited import read_csv, read_pairs, read_udata
from recrun.data.formats.table import Ids, Layout, Table, data_error
from recrun.data.formats.values.ids import union_ids
from recrun.errors import DataError
from recrun.registry import DATASETS
from recrun.types import Annotated, Registered, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TERMS = "GroupLens: for research, with acknowledgement; no redistribution but under the terms of its README."
_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_FOLDS = {
    "u1": "18c6014a4b2c7324f250a63f8904a7b16b2b19f911129e346141507b0cbac950",
    "u2": "4de658d1e04ed9104629509a2e2528fce833ac8e048280183f1df167632038c3",
    "u3": "0f548b51c78327de4c156461d3e430b7e5579fe2b5681586a59416e48fd35f6d",
    "u4": "7c02ad0a1e7ab1083c8b9d4b627203a051dd7b5eab46d99fa44de33470de8db9",
    "u5": "351cc52e0d15b6c721466276fc24671d40936899e3d01fadeaf312915b8c5634",
    "ua": "d0497e202417720f57a184ec8c66be2d1afa4ff41bb53787c57b28d6bf79bc42",
    "ub": "d54a72d05730d5892062734b2bec73e976f9b713d18c828a18b968d6cce442da",
}
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _zipped(archive: str, name: str, sha256: str = "", *, optional: bool = False) -> SourceFile:
    """Return a file that comes in one of GroupLens' archives."""
    checksum = f"sha256:{sha256}" if sha256 else ""
    return SourceFile(name, f"{_GROUPLENS}/{archive}.zip", checksum, optional, member=f"{archive}/{name}")


@DATASETS.register("MovieLens100K")
class MovieLens100K(RecDataSet):
    """MovieLens 100K: 943 users, 1,682 films, 100,000 ratings from 1 to 5 with times.

    *Source:* Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 2015.
    """

    folders = ("ml-100k",)
    downloads = (
        _zipped("ml-100k", "u.data", "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"),
        *(_zipped("ml-100k", f"{fold}.test", checksum, optional=True) for fold, checksum in _FOLDS.items()),
        *(_zipped("ml-100k", name, optional=True) for name in ("u.user", "u.item", "README")),
    )
    entity_files: ClassVar[Mapping[str, EntityFile]] = {
        "user": EntityFile("u.user", ("user_id", "age", "gender", "occupation", "zip_code"), "|"),
        "item": EntityFile("u.item", ("item_id", "title", "release_date", "", ""), "|", "latin-1", ("genres", _GENRES)),
    }
    terms = _TERMS
    published: ClassVar[Mapping[str, int]] = {"users": 943, "items": 1_682, "interactions": 100_000}

    def __init__(
        self,
        root: str | Path = ".",
        *,
        split: Annotated[
            str, Registered("splits", without=("leave_k", "k_fold", "sessions"), also=("given",))
        ] = "ratio",
        fold: Annotated[
            Literal["u1", "u2", "u3", "u4", "u5", "ua", "ub"] | None,
            Where(
                "(split == 'given') == (fold is not None)",
                "split=given and fold (u1 to u5, ua, ub) go together; found split={split}, fold={fold}",
            ),
        ] = None,
        **preparation: Unpack[RatedShares],
    ) -> None:
        """Load the data set.

        Args:
            root: the folder in which data is looked for.
            split: held out is a random share of each user's interactions, each user's latest one, the latest of all,
                the latest share of each user's, or a given fold.
            fold: the fold that `split: given` tests on: u1 to u5 (20 % each), ua and ub (10 of each user); else null.
            test_ratio: share of the interactions that is tested on; not for leave_one_out and given folds.
            valid_ratio: share of the interactions that is validated on (of the rest, with a given fold); 0 for none.
            **preparation: how interactions are held out and which are kept.

        Raises:
            DataError: files are missing or malformed, or cannot be split as asked.
        """
        if (split == "given") != (fold is not None):
            raise DataError(f"split=given and fold ({', '.join(_FOLDS)}) go together; found split={split}, fold={fold}")
        self._fold = fold
        super().__init__(root, Preparation(split=split, **preparation))

    def sources(self) -> Sequence[SourceFile]:
        wanted = {"u.data", f"{self._fold}.test"}
        return [replace(file, optional=False) for file in self.downloads if file.name in wanted]

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        ratings = read_udata(files["u.data"], Layout())
        if self._fold is None:
            return {WHOLE: ratings}
        test = read_udata(files[f"{self._fold}.test"], Layout())
        return {"train": _without(ratings, test), "test": test}


@DATASETS.register("MovieLensLatestSmall")
class MovieLensLatestSmall(RecDataSet):
    """MovieLens latest-small, for development: 610 users, 9,724 films, 100,836 ratings from 0.5 to 5 with times.

    *Source:* Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 2015.
    """

    folders = ("ml-latest-small",)
    downloads = (
        _zipped("ml-latest-small", "ratings.csv", "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646"),
        _zipped("ml-latest-small", "README.txt", optional=True),
    )
    entity_files: ClassVar[Mapping[str, EntityFile]] = {"item": EntityFile("movies.csv", separator=",")}
    terms = _TERMS
    published: ClassVar[Mapping[str, int]] = {"users": 610, "items": 9_724, "interactions": 100_836}

    def __init__(self, root: str | Path = ".", **preparation: Unpack[Rated]) -> None:
        """Load the data set.

        Args:
            root: the folder in which data is looked for.
            **preparation: how interactions are held out and which are kept.

        Raises:
            DataError: files are missing or malformed, or cannot be split as asked.
        """
        super().__init__(root, Preparation(**preparation))

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        return {WHOLE: read_csv(files["ratings.csv"], Layout(separator=",", header=True))}


def _without(table: Table, removed: Table) -> Table:
    """Return the rows of a table whose user and item are not in another one, all of whose rows must be in the first."""
    users, items = (union_ids([getattr(table, what), getattr(removed, what)]) for what in ("users", "items"))
    keys = filters.pair_keys(users.codes, items.codes)
    ours, theirs = keys[: len(table)], keys[len(table) :]
    missing = ~np.isin(theirs, ours)
    if missing.any():
        line = removed.line_of(int(missing.argmax()))
        raise data_error(removed.path, line, f"this interaction is not in {table.path}")
    kept = np.flatnonzero(~np.isin(ours, theirs))
    return replace(
        table,
        users=Ids(users.codes[kept], users.names),
        items=Ids(items.codes[kept], items.names),
        columns={name: values[kept] for name, values in table.columns.items()},
        line_of=lambda row: table.line_of(int(kept[row])),
        file_rows=lambda rows: table.file_rows(kept[rows]),
    )


@DATASETS.register("MovieLens1M")
class MovieLens1M(_Sequences):
    """MovieLens 1M as SASRec uses it: 6,040 users, 3,416 films, 999,611 ratings in the order of time.

    *Source:* Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 2015; the file of Kang and
    McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018.
    """

    folders = ("ml-1m/sasrec", "ml-1m")
    downloads = (
        SourceFile(
            "ml-1m.txt",
            "https://raw.githubusercontent.com/kang205/SASRec/master/data/ml-1m.txt",
            "sha256:b725f3acb3986fe3130bffd1e77a74d182a1f51799567a236dbd60270f95b0a2",
        ),
    )
    terms = "GroupLens: for research, with acknowledgement; no redistribution but under the terms of its README."
    published: ClassVar[Mapping[str, int]] = {"users": 6_040, "items": 3_416, "interactions": 999_611}

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        return {WHOLE: read_pairs(files["ml-1m.txt"], Layout())}
