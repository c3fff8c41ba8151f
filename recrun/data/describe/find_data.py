"""Find the data that an argument of the command line means, to load it or to describe it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.given.arguments import read_overrides
from recrun.config.parser import Parser
from recrun.config.resolve import resolve
from recrun.config.settings import RUN
from recrun.data.datasets.base import RecDataSet
from recrun.data.describe.files import Description, describe_dataset, describe_path
from recrun.data.describe.find_parts import fixed_parent, has_parts, parts_in
from recrun.data.describe.labelled import describe_rows, is_labelled
from recrun.data.describe.problems import LIMIT
from recrun.registry import DATASETS
from recrun.registry.component import Parameter
from recrun.registry.user_files import is_file_reference

_ROOT: Final = next(parameter for parameter in RUN if parameter.name == "root")
_LABELLED_PATHS: Final = ("path", "train_path", "valid_path", "test_path", "user_path", "item_path")


@dataclass(frozen=True)
class Found:
    """The data that an argument means.

    Args:
        dataset: its name in the registry: "File" or "LabelledFile" for a path.
        root: the folder of data sets, or that of the path.
        settings: the settings that were given.
        path: the file or folder; None for a data set that is named.
    """

    dataset: str
    root: str
    settings: dict[str, Any]
    path: Path | None = None


def find_data(what: str, arguments: Sequence[str] = ()) -> Found:
    """Return which data is meant by the path of a config or of data, or the name of a data set.

    Args:
        what: a YAML file, whose data is meant; a file of data or a folder with its parts; or a registered data set.
        arguments: KEY=VALUE, the settings of the data set, and `root` for one that is named.

    Raises:
        ConfigError: an argument is not KEY=VALUE, sets something else, or has a wrong type.
        RegistryError: `what` is `./file.py:Name`, and there is no such class.
    """
    path = Path(what).expanduser()
    if path.suffix in (".yaml", ".yml"):
        resolved = resolve(what, arguments)
        return Found(resolved.config.dataset, resolved.config.root, resolved.arguments("dataset"))
    if not path.exists() and (what in DATASETS or is_file_reference(what)):
        given = read_settings(arguments, (_ROOT, *DATASETS.describe(what).parameters))
        return Found(what, given.pop("root", _ROOT.default), given)
    parameters = {name: DATASETS.describe(name).parameters for name in ("File", "LabelledFile")}
    names = {name: {parameter.name for parameter in parameters[name]} for name in parameters}
    if names["LabelledFile"] - names["File"] & read_overrides(arguments).keys():
        given = read_settings(arguments, parameters["LabelledFile"], without=_LABELLED_PATHS)
        return Found("LabelledFile", str(path.parent), given, path)
    given = read_settings(arguments, parameters["File"], without=("path", "train_path"))
    if given.keys() <= names["LabelledFile"] and is_labelled(path, given):
        return Found("LabelledFile", str(path.parent), given, path)
    return Found("File", str(path.parent), given, path)


def open_data(what: str, arguments: Sequence[str] = ()) -> RecDataSet:
    """Load the data that `find_data` finds.

    Raises:
        DataError: it cannot be read or split as asked.
        ConfigError, RegistryError: as `find_data` does.
    """
    found = find_data(what, arguments)
    root, settings = found.root, dict(found.settings)
    if found.path is not None and found.path.is_dir() and has_parts(found.path):
        root = str(found.path)
        settings |= {f"{part}_path": path.name for part, path in parts_in(found.path).items()}
    elif found.path is not None:
        root = str(fixed_parent(found.path))
        settings["train_path" if settings.get("test_path") is not None else "path"] = str(found.path.relative_to(root))
    dataset: RecDataSet = DATASETS.get(found.dataset)(root, **settings)
    return dataset


def describe_data(what: str, arguments: Sequence[str] = (), *, limit: int = LIMIT) -> Description:
    """Describe the data that `find_data` finds.

    Args:
        what: as for `find_data`.
        arguments: as for `find_data`.
        limit: lines named of each kind of fault.

    Raises:
        DataError: there is no such file, or a data set cannot be loaded.
        ConfigError, RegistryError: as `find_data` does.
    """
    found = find_data(what, arguments)
    if found.path is None:
        return describe_dataset(found.dataset, found.root, found.settings)
    describe = describe_rows if found.dataset == "LabelledFile" else describe_path
    return describe(found.path, found.settings, limit=limit)


def read_settings(
    arguments: Sequence[str], parameters: Iterable[Parameter], without: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the values of the parameters that KEY=VALUE arguments set.

    Raises:
        ConfigError: an argument is not KEY=VALUE, sets something else or what is excluded, or has a wrong type.
    """
    given = read_overrides(arguments)
    values = Parser([parameter for parameter in parameters if parameter.name not in without]).resolve(given)
    return {key: values[key] for key in given}


def read_root(arguments: Sequence[str]) -> str:
    """Return the folder of data sets, where the arguments may only be `root=DIR`."""
    root: str = read_settings(arguments, [_ROOT]).get("root", _ROOT.default)
    return root
