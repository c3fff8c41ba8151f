"""Load Last.fm listening counts in the split that LightGCN's code ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.settings import GivenRatedParts
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.delimited import read_triples
from recrun.data.formats.table import Layout, Table
from recrun.registry import DATASETS

if TYPE_CHECKING:
    from typing_extensions import Unpack

_URL = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/lastfm"


@DATASETS.register("LastFM", times="none")
class LastFM(RecDataSet):
    """Last.fm: 1,880 users with interactions, 4,489 artists, 42,135 + 10,533 listening counts as the column "weight".

    *Source:* Cantador, Brusilovsky and Kuflik, HetRec workshop at RecSys 2011; the split of LightGCN-PyTorch.
    """

    folders = ("lastfm-lightgcn", "lastfm")
    downloads = (
        SourceFile(
            "data1.txt",
            f"{_URL}/data1.txt",
            "sha256:c82af3228cbbda2f55a39244de09ed93292894f1d0d9f1908ebb57e27598fded",
        ),
        SourceFile(
            "test1.txt",
            f"{_URL}/test1.txt",
            "sha256:de4417c0e6123284ce59a0934bcf5288ec1ec8774a18a1eef453c9952dfa48f9",
        ),
    )
    terms = "HetRec 2011: for research, not for commercial use; cite the workshop."
    published: ClassVar[Mapping[str, int]] = {"users": 1_880, "items": 4_489, "train": 42_135, "test": 10_533}

    def __init__(self, root: str | Path = ".", **preparation: Unpack[GivenRatedParts]) -> None:
        """Load the data set.

        Args:
            root: the folder in which data is looked for.
            rating_threshold: the least listening count that counts as an interaction; null counts all.
            min_user_interactions: least number of interactions of a user over all parts; a k-core with the next one.
            min_item_interactions: least number of interactions of an item over all parts.
            **preparation: how interactions are held out and which are kept.

        Raises:
            DataError: files are missing or malformed.
        """
        super().__init__(root, Preparation(split="given", **preparation))

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        layout = Layout(separator="\t")
        return {"train": read_triples(files["data1.txt"], layout), "test": read_triples(files["test1.txt"], layout)}
