"""`recrun data`: what data files hold, and where data sets come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from recrun.cli._options import debug_option, json_option, print_json

if TYPE_CHECKING:
    from recrun.data.datasets.base import RecDataSet
    from recrun.data.describe.files import Description
    from recrun.registry.component import Parameter


@click.group("data")
def command() -> None:
    """Look into data files, and download data sets.

    \b
    Example:
        recrun data describe ratings.csv
    """


@command.command("describe")
@click.argument("what", metavar="PATH|DATASET")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]")
@click.option(
    "--lines",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="How many lines are named of each kind of fault.",
)
@json_option
@debug_option
def describe_command(what: str, settings: tuple[str, ...], lines: int, as_json: bool) -> None:
    """Say what data holds, what is wrong with it, and what recrun does about that.

    PATH is a file of interactions in any format, or a folder with a train and a test file; KEY=VALUE are settings of
    the data set File (`recrun show File`), such as separator, user_column or test_path, where they are not to be found
    out. For labelled rows (a column is called label or click, or label_column is set) they are those of LabelledFile.
    DATASET is a registered data set (`recrun list datasets`); KEY=VALUE are root and its own settings.

    Prints figures, every fault with its lines, and the settings that read the data. Exits with 2 where training would
    refuse it.

    \b
    Example:
        recrun data describe ratings.csv
    """
    from recrun.config.yaml_writer import dump_mapping
    from recrun.data.describe.problems import ACTIONS
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.data_description import description_report

    description = _describe(what, settings, lines)
    document = description.document()
    if as_json:
        print_json(document)
    else:
        report = description_report(document, ACTIONS, dump_mapping(description.settings))
        stdout_console().print(report, soft_wrap=True)
    if not description.is_usable:
        raise SystemExit(2)


_PATHS = ("path", "train_path", "valid_path", "test_path", "user_path", "item_path")


def _describe(what: str, settings: tuple[str, ...], limit: int) -> Description:
    from pathlib import Path

    from recrun.registry import DATASETS
    from recrun.registry.user_files import is_file_reference

    path = Path(what).expanduser()
    if path.exists() or not (what in DATASETS or is_file_reference(what)):
        from recrun.config.find import read_overrides
        from recrun.data.describe.files import describe_path
        from recrun.data.describe.labelled import describe_rows, is_labelled

        labelled = DATASETS.describe("LabelledFile").parameters
        usual = {parameter.name for parameter in DATASETS.describe("File").parameters}
        if any(parameter.name in read_overrides(settings) for parameter in labelled if parameter.name not in usual):
            values, given = _read(settings, labelled, refused=_PATHS)
            return describe_rows(path, {key: values[key] for key in given}, limit=limit)
        component = DATASETS.describe("File")
        values, given = _read(settings, component.parameters, refused=("path", "train_path"))
        known = {key: values[key] for key in given}
        if is_labelled(path, known) and set(known) <= {parameter.name for parameter in labelled}:
            return describe_rows(path, known, limit=limit)
        return describe_path(path, known, limit=limit)
    from recrun.data.describe.files import describe_dataset

    values, given = _read(settings, (_root_setting(), *DATASETS.describe(what).parameters))
    root = values.pop("root")
    return describe_dataset(what, root, {key: values[key] for key in given if key != "root"})


@command.command("fetch")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[root=DIR]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for data before trying again.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@json_option
@debug_option
def fetch_command(name: str, settings: tuple[str, ...], timeout: float, quiet: bool, as_json: bool) -> None:
    """Download a data set, verify its checksums, and put it where recrun looks for it.

    NAME is a registered data set (`recrun list datasets`). Its files go into its own folder in root, which is `data`
    unless set. Files that are there already are verified and left alone; a download that broke off is continued.

    \b
    Example:
        recrun data fetch MovieLens100K root=data
    """
    from recrun.data.download.fetch import fetch, next_command
    from recrun.data.download.http import Limits
    from recrun.report.terminal.console import stderr_console, stdout_console
    from recrun.report.terminal.download_progress import FetchView, fetched_report

    root: str = _read(settings, [_root_setting()])[0]["root"]
    with FetchView(stderr_console(), is_quiet=quiet) as view:
        fetched = fetch(name, root, limits=Limits(timeout=timeout), watch=view)
    if as_json:
        print_json(fetched.document())
    else:
        stdout_console().print(fetched_report(fetched.document()))
        click.echo(f"next: {next_command(fetched, root)}")


_format_option = click.option(
    "--format",
    type=click.Choice(["csv", "parquet", "inter", "lightgcn"]),
    default="csv",
    show_default=True,
    help="Format that is written.",
)


@command.command("split")
@click.argument("what", metavar="CONFIG|DATASET|PATH")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]")
@click.option("--to", required=True, metavar="DIR", type=click.Path(), help="Folder to be made.")
@_format_option
@json_option
@debug_option
def split_command(what: str, settings: tuple[str, ...], to: str, format: str, as_json: bool) -> None:
    """Write train, valid and test of data, with original ids, to files of their own in a new folder.

    CONFIG is a YAML file, whose data is meant; DATASET a registered data set with its settings and root; PATH a file of
    interactions with settings of the data set File.

    \b
    Example:
        recrun data split Synthetic split=k_fold test_fold=2 --to folds/2 --format parquet
    """
    from recrun.data.export import write_parts

    _report(write_parts(_open(what, settings), to, format), as_json, to)


@command.command("convert")
@click.argument("what", metavar="CONFIG|DATASET|PATH")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]")
@click.option("--to", required=True, metavar="FILE", type=click.Path(), help="File to be made.")
@_format_option
@json_option
@debug_option
def convert_command(what: str, settings: tuple[str, ...], to: str, format: str, as_json: bool) -> None:
    """Write all interactions of data, as they are left by its filters, with original ids, to one new file.

    Arguments as for `data split`.

    \b
    Example:
        recrun data convert ratings.csv rating_threshold=4 --to liked.inter --format inter
    """
    from recrun.data.export import write_whole

    _report(write_whole(_open(what, settings), to, format), as_json)


def _open(what: str, settings: tuple[str, ...]) -> RecDataSet:
    """Return the data set that is meant by a config, a name or a file."""
    from pathlib import Path

    from recrun.registry import DATASETS
    from recrun.registry.user_files import is_file_reference

    path = Path(what).expanduser()
    root: str | Path
    if path.suffix in (".yaml", ".yml"):
        from recrun.config.resolve import resolve

        resolved = resolve(what, settings)
        name, root, values = resolved.config.dataset, resolved.config.root, resolved.arguments("dataset")
    elif path.exists() or not (what in DATASETS or is_file_reference(what)):
        refused = ("path", "train_path", "valid_path", "test_path")
        values, _ = _read(settings, DATASETS.describe("File").parameters, refused=refused)
        name, root, values = "File", path.parent, {**values, "path": path.name}
    else:
        values, _ = _read(settings, (_root_setting(), *DATASETS.describe(what).parameters))
        name, root = what, values.pop("root")
    dataset: RecDataSet = DATASETS.get(name)(root, **values)
    return dataset


def _report(document: dict[str, Any], as_json: bool, folder: str | None = None) -> None:
    if as_json:
        print_json(document)
        return
    for part, file in document["files"].items():
        click.echo(f"wrote {file} ({document['rows'][part]:,} rows)")
    if document["left_out"]:
        click.echo(f"warning: the format cannot hold {', '.join(document['left_out'])}; left out", err=True)
    if folder is not None and "test" in document["files"]:
        names = [f"{part}_path={file.rpartition('/')[2]}" for part, file in document["files"].items()]
        click.echo(f"read them with: dataset=File root={folder} {' '.join(names)}")


def _read(
    settings: tuple[str, ...], parameters: Iterable[Parameter], refused: tuple[str, ...] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the values of parameters, and which of them the arguments set.

    Raises:
        ConfigError: an argument is not KEY=VALUE, sets something else or what is `refused`, or has a wrong type.
    """
    from recrun.config.find import read_overrides
    from recrun.config.parser import Parser

    given = read_overrides(settings)
    parser = Parser([parameter for parameter in parameters if parameter.name not in refused])
    return parser.resolve(given), list(given)


def _root_setting() -> Parameter:
    from recrun.config.settings import RUN

    return next(parameter for parameter in RUN if parameter.name == "root")
