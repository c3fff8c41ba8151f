"""Load the data sets of NGCF and LightGCN: `train.txt` and `test.txt`, one line per user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.settings import GivenParts
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.delimited import read_list
from recrun.data.formats.integer_lines import read_lightgcn
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import DATASETS

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LIGHTGCN = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data"
_RECZOO = "https://huggingface.co/datasets/reczoo"
"""Where the MD5 sums below are published, beside the files."""


def _files(urls: Sequence[str], **checksums: str) -> tuple[SourceFile, ...]:
    """Return the files whose checksums are given; `urls` are folders that hold them, the first to be tried first."""
    return tuple(
        SourceFile(
            f"{name}.txt",
            f"{urls[0]}/{name}.txt",
            checksum,
            optional=name.endswith("list"),
            mirrors=tuple(f"{url}/{name}.txt" for url in urls[1:]),
        )
        for name, checksum in checksums.items()
    )


class _LightGCNText(RecDataSet):
    """Base of data sets that come split into train and test, with ids from 0 and optional lists of original ids."""

    def __init__(
        self,
        root: str | Path = ".",
        *,
        valid_from: Literal["random", "end"] = "random",
        **preparation: Unpack[GivenParts],
    ) -> None:
        """Load the data set.

        Args:
            root: the folder in which data is looked for.
            valid_from: hold out at random, or the last interactions of each user in the order of the file. The lines of
                Gowalla are in the order of time as far as can be told, and its test part comes after them: their end
                resembles test more than a random share does.
            min_user_interactions: least number of interactions of a user over all parts; a k-core with the next one.
            min_item_interactions: least number of interactions of an item over all parts.
            duplicates: which of several interactions of a user with an item is kept, the first or the last in the
                file; or all of them, which needs mask_seen=false.
            **preparation: how interactions are held out and which are kept.

        Raises:
            DataError: files are missing or malformed.
        """
        super().__init__(root, Preparation(split="given", valid_from=valid_from, **preparation))

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        return {part: read_lightgcn(files[f"{part}.txt"], Layout()) for part in ("train", "test")}

    def rename(
        self, files: Mapping[str, Path], user_ids: np.ndarray, item_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        lists = [files.get(f"{kind}_list.txt") for kind in ("user", "item")]
        user_ids, item_ids = (
            ids if path is None else _original(path, ids) for path, ids in zip(lists, (user_ids, item_ids), strict=True)
        )
        return user_ids, item_ids


def _original(path: Path, ids: np.ndarray) -> np.ndarray:
    """Return the original ids that a list gives for the files' ids."""
    table = read_list(path)
    remapped = table.items.names[table.items.codes]
    order = np.argsort(remapped)
    if remapped.dtype.kind != "i" or len(table.items.names) != len(remapped):
        raise DataError(f"{path}: expected a different integer as remap_id in every line")
    places = np.searchsorted(remapped[order], ids)
    known = places < len(remapped)
    known[known] = remapped[order][places[known]] == ids[known]
    if not known.all():
        raise DataError(
            f"{path}: {int((~known).sum())} ids of the interactions are not listed, the first is {ids[~known][0]}"
        )
    original: np.ndarray = table.users.names[table.users.codes[order[places]]]
    return original


@DATASETS.register("Gowalla_m1", times="none")
class Gowalla_m1(_LightGCNText):
    """Gowalla check-ins in the split of NGCF and LightGCN: 29,858 users, 40,981 places, 810,128 + 217,242 interactions.

    *Source:* Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019; He et al., "LightGCN", SIGIR 2020.
    """

    folders = ("gowalla",)
    published: ClassVar[Mapping[str, int]] = {"users": 29_858, "items": 40_981, "train": 810_128, "test": 217_242}
    downloads = _files(
        (f"{_LIGHTGCN}/gowalla", f"{_RECZOO}/Gowalla_m1/resolve/main"),
        train="sha256:7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62",
        test="sha256:099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
        user_list="sha256:5344c4d0deef610e1f148f23ad216a0db03b36f88834cd39a06786a672c5f5a1",
        item_list="sha256:6b186f92890cc3f0c15a6dae5d6285f125a302bb8c5ea0cd9a16cf9c16347139",
    )


@DATASETS.register("Yelp18_m1", times="none")
class Yelp18_m1(_LightGCNText):
    """Yelp 2018 in the split of LightGCN: 31,668 users, 38,048 businesses, 1,237,259 + 324,147 interactions.

    *Source:* He et al., "LightGCN", SIGIR 2020.
    """

    folders = ("yelp2018",)
    published: ClassVar[Mapping[str, int]] = {"users": 31_668, "items": 38_048, "train": 1_237_259, "test": 324_147}
    downloads = _files(
        (f"{_RECZOO}/Yelp18_m1/resolve/main", f"{_LIGHTGCN}/yelp2018"),
        train="md5:1b8b5d22a227e01d6de002c53d32b4c4",
        test="md5:0d57d7399862c32152b045ec5d2698e7",
        user_list="md5:ae4f810cd6e827f10fc418753c7d92f9",
        item_list="md5:520fe559761ff2c654629201c807f353",
    )


@DATASETS.register("AmazonBooks_m1", times="none")
class AmazonBooks_m1(_LightGCNText):
    """Amazon books in the split of NGCF and LightGCN: 52,643 users, 91,599 books, 2,380,730 + 603,378 interactions.

    *Source:* Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019; He et al., "LightGCN", SIGIR 2020.
    """

    folders = ("amazon-book",)
    published: ClassVar[Mapping[str, int]] = {"users": 52_643, "items": 91_599, "train": 2_380_730, "test": 603_378}
    downloads = _files(
        (f"{_RECZOO}/AmazonBooks_m1/resolve/main", f"{_LIGHTGCN}/amazon-book"),
        train="md5:c916ecac04ca72300a016228258b41ed",
        test="md5:30f8ccfea18d25007ba9fb9aba4e174d",
        user_list="md5:132f8a5d6d35d5fdde1e0396488be235",
        item_list="md5:5b1125ef3bf4118a7988f1fd8ce52ef9",
    )


@DATASETS.register("AmazonCDs_m1", times="none")
class AmazonCDs_m1(_LightGCNText):
    """Amazon CDs in the split of BGCF: 43,169 users, 35,648 discs, 604,475 + 172,951 interactions.

    *Source:* Sun et al., "A Framework for Recommending Accurate and Diverse Items Using Bayesian Graph Convolutional
    Neural Networks", KDD 2020.
    """

    folders = ("amazon-cds",)
    published: ClassVar[Mapping[str, int]] = {"users": 43_169, "items": 35_648, "train": 604_475, "test": 172_951}
    downloads = _files(
        (f"{_RECZOO}/AmazonCDs_m1/resolve/main",),
        train="md5:2df6a35cac4373cf3eef95f75568da0a",
        test="md5:d29acb66d0fb74bc3bc0791cbbce5cf2",
    )
