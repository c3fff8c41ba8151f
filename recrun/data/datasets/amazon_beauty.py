"""Load Amazon Beauty as sequential recommendation papers use it: each user's items in time order, without times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import Sequences
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.integer_lines import read_sequences
from recrun.data.formats.table import Layout, Table
from recrun.registry import DATASETS
from recrun.types import Annotated, Registered

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Sequences(RecDataSet):
    """Base of data sets that give only the order of each user's interactions, and test on the last one."""

    def __init__(
        self,
        root: str | Path = ".",
        *,
        split: Annotated[
            str, Registered("splits", without=("leave_k", "k_fold", "time", "sessions"))
        ] = "leave_one_out",
        **preparation: Unpack[Sequences],
    ) -> None:
        """Load the data set.

        Args:
            root: the folder that data is looked for in.
            split: held out is each user's latest interaction, the latest share of each user's, or a random share.
            test_ratio: share of the interactions that is tested on; not for leave_one_out.
            valid_ratio: share of the interactions that is validated on; with leave_one_out the one before test, unless
                this is 0.
            **preparation: how interactions are held out and which are kept.

        Raises:
            DataError: files are missing or malformed, or cannot be split as asked.
        """
        super().__init__(root, Preparation(split=split, **preparation))


@DATASETS.register("Beauty")
class Beauty(_Sequences):
    """Amazon 2014 Beauty, 5-core: 22,363 users, 12,101 items, 198,502 reviews in the order of time.

    *Source:* McAuley, Targett, Shi, van den Hengel, "Image-Based Recommendations on Styles and Substitutes", SIGIR
    2015; the file of Zhou et al., "S3-Rec", CIKM 2020.
    """

    folders = ("amazon2014", "beauty", "amazon-beauty")
    downloads = (
        SourceFile(
            "Beauty.txt",
            "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/master/data/Beauty.txt",
            "sha256:226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
            mirrors=("https://raw.githubusercontent.com/salesforce/ICLRec/main/data/Beauty.txt",),
        ),
    )
    published: ClassVar[Mapping[str, int]] = {"users": 22_363, "items": 12_101, "interactions": 198_502}

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        return {WHOLE: read_sequences(files["Beauty.txt"], Layout())}
