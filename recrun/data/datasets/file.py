"""Load interactions from a user's own files, in any of the formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from recrun.data.datasets.own_files import OwnFiles
from recrun.data.datasets.pieces import find_pieces, read_pieces, refuse_repeated
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import AnyInteractions
from recrun.data.datasets.source_files import SourceFile, pieces_of, refuse_twice
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout, Table
from recrun.data.formats.values.dates import parse_format
from recrun.errors import DataError, unknown
from recrun.registry import DATASETS, FORMATS
from recrun.registry.conditions import format_told_by
from recrun.types import Annotated, Registered

if TYPE_CHECKING:
    from typing_extensions import Unpack

_OTHER_COMPRESSIONS = (".bz2", ".xz", ".lz4", ".zip", ".7z", ".rar", ".tar", ".tgz", ".z")


@DATASETS.register("File")
class File(OwnFiles):
    """Interactions from files of your own: one file that is split here, or one for each part.

    The format follows from the file's extension: csv, tsv, parquet, inter (RecBole), data (`user item rating
    timestamp`). Set `format` for the others: lightgcn, sequences, pairs, triples.
    """

    conditions: ClassVar = {
        "split": [
            (
                "train_path is not None or split.needs_time != True or format.times != 'none'",
                "split={split} needs the time of each interaction, which format {format} does not tell; use ratio",
            ),
            (
                "train_path is not None or split.needs_time != True or time_column != ''",
                "split={split} needs the time of each interaction, and time_column is empty; name it, or use ratio",
            ),
            (
                "train_path is not None or split.compares_users != True or format.times != 'order'",
                "split={split} compares the times of users, and format {format} only tells the order of each user's "
                "interactions; use user_time, leave_one_out or ratio",
            ),
        ],
        "session_gap": [
            (
                "session_gap is None or format.times is None or format.times not in ['none', 'order']",
                "needs the time of each interaction, which format {format} does not tell; remove it",
            ),
            (
                "session_gap is None or time_column != ''",
                "needs the time of each interaction, and time_column is empty; name it",
            ),
        ],
        "rating_threshold": [
            (
                "rating_threshold is None or format.rated != False and rating_column != ''",
                "there are no ratings that could reach it; remove it, or name their rating_column",
            ),
        ],
        "format": [
            (
                "format is not None or has_format(path, root)",
                "the name of {path} does not tell its format; set format (recrun list "
                "formats), or ask: recrun data describe FILE",
            ),
            (
                "format is not None or has_format(train_path, root)",
                "the name of {train_path} does not tell its format; set format (recrun list "
                "formats), or ask: recrun data describe FILE",
            ),
            (
                "format is not None or has_format(valid_path, root)",
                "the name of {valid_path} does not tell its format; set format (recrun list "
                "formats), or ask: recrun data describe FILE",
            ),
            (
                "format is not None or has_format(test_path, root)",
                "the name of {test_path} does not tell its format; set format (recrun list "
                "formats), or ask: recrun data describe FILE",
            ),
        ],
    }

    def __init__(
        self,
        root: str | Path = ".",
        *,
        path: str | None = None,
        train_path: str | None = None,
        valid_path: str | None = None,
        test_path: str | None = None,
        format: Annotated[str, Registered("formats", files=False)] | None = None,
        **settings: Unpack[AnyInteractions],
    ) -> None:
        """Load the files.

        Args:
            root: the folder to which the paths are relative.
            path: the file that holds all interactions, to be split; or a folder of files, or a pattern such as
                parts/*.csv, which are read as one in the order of their names.
            train_path: the file of the train part, where the parts are given.
            valid_path: the file of the validation part; without it `valid_ratio` of train is held out.
            test_path: the file of the test part.
            format: name of the files' format (see `recrun list formats`); null infers it from the file's name.
            test_ratio: share of the interactions that is tested on (of the users or items, for cold_users,
                new_users and cold_items); not for leave_one_out, leave_k, k_fold and given parts.
            valid_ratio: share of the interactions that is validated on (of train, with given parts); 0 for none.
            **settings: how the files are written, which interactions are kept, and which are held out.

        Raises:
            DataError: files are missing or malformed, or cannot be split as asked.
        """
        self._paths = paths_of_parts("File", path, {"train": train_path, "valid": valid_path, "test": test_path})
        of_layout = {each.name for each in fields(Layout)}
        self._layout = Layout(**{key: self.settings[key] for key in of_layout})
        if self._layout.time_format is not None:
            parse_format(self._layout.time_format)
        self._folder = Path(root).expanduser()
        self._formats = {
            part: format_of(telling_name(self._folder, name), format) for part, name in self._paths.items()
        }
        preparation: Any = {key: value for key, value in settings.items() if key not in of_layout}
        preparation["split"] = split_of(self._paths, self.settings["split"])
        super().__init__(root, Preparation(**preparation))

    @classmethod
    def locations(cls, root: Path) -> list[Path]:
        return [root]

    def sources(self) -> Sequence[SourceFile]:
        return [SourceFile(name, many=True) for name in dict.fromkeys(self._paths.values())]

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        refuse_twice(self._paths, self.hashes)
        return {part: self._table(name, self._formats[part], files) for part, name in self._paths.items()}

    def _table(self, name: str, format: str, files: Mapping[str, Path]) -> Table:
        """Return the table of a file, or that of all files of a folder or a pattern."""
        read = partial(read_table, format)
        if name in files:
            return read(files[name], self._layout)
        pieces = pieces_of(name, files)
        whole = read_pieces(self._folder / name, list(pieces.values()), read, self._layout, format)
        filled = {piece.path for piece in whole.pieces}
        refuse_repeated({key: self.hashes[key] for key, piece in pieces.items() if piece in filled})
        return whole


def paths_of_parts(dataset: str, whole: str | None, parts: Mapping[str, str | None]) -> dict[str, str]:
    """Return the path of the one file, or those of given parts.

    Raises:
        DataError: neither is given, or both, or one file twice.
    """
    given = {part: name for part, name in parts.items() if name is not None}
    if whole is not None and not given:
        return {WHOLE: whole}
    if whole is None and {"train", "test"} <= set(given):
        if len(set(given.values())) < len(given):
            raise DataError(f"two parts cannot be one file: {given}")
        return given
    found = {"path": whole, **{f"{part}_path": name for part, name in given.items()}}
    shown = ", ".join(f"{key}={name}" for key, name in found.items() if name is not None) or "neither"
    raise DataError(f"{dataset} needs either path, or train_path and test_path (and maybe valid_path); found {shown}")


def split_of(paths: Mapping[str, str], split: str) -> str:
    """Return the split: the one asked for where there is one file, "given" where the parts are given.

    Raises:
        DataError: a split is asked for, and the parts are given.
    """
    if WHOLE in paths:
        return split
    if split != "ratio":
        raise DataError(f"split={split} splits one file (path), and the parts are given already; leave split out")
    return "given"


def telling_name(folder: Path, name: str) -> str:
    """Return the name that tells a format: that of a file, or of a folder, or else of the first file in the folder."""
    path = folder / name
    if not path.is_dir() or format_told_by(name) is not None:
        return name
    return find_pieces(path)[0].name


def format_of(name: str, chosen: str | None = None) -> str:
    """Return the format of a file: the chosen one, else the one of its extension.

    Raises:
        DataError: there is no such format, or the extension is of none.
    """
    if chosen is not None:
        if chosen not in FORMATS:
            raise DataError(unknown("format", chosen, FORMATS.names()))
        return chosen
    told = format_told_by(name)
    if told is not None:
        return told
    if Path(name).suffix.lower() in _OTHER_COMPRESSIONS:
        raise DataError(f"{name} is compressed or an archive, and recrun reads .gz and .zst only; unpack it")
    raise DataError(f"the name of {name} does not tell its format; set format to one of: {', '.join(FORMATS.names())}")
