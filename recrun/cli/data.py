"""`recrun data`: what data files hold, and where data sets come from."""

from __future__ import annotations

from typing import Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
    work_done,
)


@click.group("data")
def command() -> None:
    """Look into data files, and download data sets.

    \b
    Example:
        recrun data describe ratings.csv
    """


@command.command("describe")
@click.argument("what", metavar="CONFIG|DATASET|PATH", shell_complete=completes("data"))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
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
    """Describe data and name every fault in it.

    PATH is a file of interactions in any format, or a folder with a train and a test file; KEY=VALUE are settings of
    the data set File (`recrun show File`), such as separator, user_column or test_path, where they are not to be found
    out. For labelled rows (a column is called label or click, or label_column is set) they are those of LabelledFile.
    DATASET is a registered data set (`recrun list datasets`); KEY=VALUE are root and its own settings. CONFIG is a YAML
    file, whose data is meant.

    Prints figures, every fault with its lines, what recrun does about it, and the settings that read the data. Exits
    with 2 where training would refuse it.

    \b
    Example:
        recrun data describe ratings.csv
    """
    from recrun.config.yaml_writer import dump_mapping
    from recrun.data.describe.find_data import describe_data
    from recrun.data.describe.problems import ACTIONS
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.data_description import description_report

    description = describe_data(what, settings, limit=lines)
    document = description.document()
    if as_json:
        print_json(document)
    else:
        report = description_report(document, ACTIONS, dump_mapping(description.config))
        stdout_console().print(report)
    if not description.is_usable:
        raise SystemExit(2)


@command.command("fetch")
@click.argument("name", shell_complete=completes("datasets"))
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
    """Download a data set and verify its checksums.

    NAME is a registered data set (`recrun list datasets`). Its files go into its own folder in root, which is `data`
    unless set. Files that are there already are verified and left alone; a download that broke off is continued.

    \b
    Example:
        recrun data fetch MovieLens100K root=data
    """
    from recrun.data.describe.find_data import read_root
    from recrun.data.download.fetch import fetch, next_command
    from recrun.data.download.http import Limits
    from recrun.report.terminal.console import stderr_console, stdout_console
    from recrun.report.terminal.download_progress import FetchView, fetched_report

    root = read_root(settings)
    with FetchView(stderr_console(), is_quiet=quiet) as view:
        fetched = fetch(name, root, limits=Limits(timeout=timeout), watch=view)
    with work_done(f"the files of {name} are in {root}"):
        if as_json:
            print_json(fetched.document())
        else:
            stdout_console().print(fetched_report(fetched.document()))
            echo(f"next: {next_command(fetched, root)}")


_FORMATS = click.Choice(["csv", "parquet", "inter", "lightgcn"])


@command.command("split")
@click.argument("what", metavar="CONFIG|DATASET|PATH", shell_complete=completes("data"))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@click.option("--to", required=True, metavar="DIR", type=click.Path(), help="Folder to be made.")
@click.option("--format", type=_FORMATS, default="csv", show_default=True, help="Format that is written.")
@json_option
@debug_option
def split_command(what: str, settings: tuple[str, ...], to: str, format: str, as_json: bool) -> None:
    """Write train, valid and test to files of their own.

    The files lie in a new folder and hold all columns, with their original values. Where users are held out, a further
    file holds what is given of them.

    CONFIG is a YAML file, whose data is meant; DATASET a registered data set with its settings and root; PATH a file of
    interactions with settings of the data set File.

    \b
    Example:
        recrun data split Synthetic split=k_fold test_fold=2 --to folds/2 --format parquet
    """
    from recrun.data.describe.find_data import open_data
    from recrun.data.export import write_parts

    document = write_parts(open_data(what, settings), to, format)
    with work_done(f"wrote {to}"):
        _report(document, as_json, to)


@command.command("convert")
@click.argument("what", metavar="CONFIG|DATASET|PATH", shell_complete=completes("data"))
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]", shell_complete=completes("settings"))
@click.option("--to", required=True, metavar="FILE", type=click.Path(), help="File to be made.")
@click.option("--format", type=_FORMATS, help="Format that is written  [default: as the ending of FILE says]")
@json_option
@debug_option
def convert_command(what: str, settings: tuple[str, ...], to: str, format: str | None, as_json: bool) -> None:
    """Write all interactions to one new file.

    They are written as the filters leave them, with all columns and their original values. The ending of FILE chooses
    the format: .csv, .parquet or .inter; for lightgcn, and csv in a .txt file, say --format.

    Arguments as for `data split`.

    \b
    Example:
        recrun data convert ratings.csv rating_threshold=4 --to liked.inter
    """
    from recrun.data.describe.find_data import open_data
    from recrun.data.export import format_for, write_whole

    format = format_for(to, format)
    document = write_whole(open_data(what, settings), to, format)
    with work_done(f"wrote {to}"):
        _report(document, as_json)


def _report(document: dict[str, Any], as_json: bool, folder: str | None = None) -> None:
    from recrun.data.describe.propose import argument

    if as_json:
        print_json(document)
        return
    for part, file in document["files"].items():
        echo(f"wrote {file} ({document['rows'][part]:,} rows)")
    if document["left_out"]:
        echo(f"warning: the format cannot hold {', '.join(document['left_out'])}; left out", err=True)
    settings = " ".join(argument(key, value) for key, value in document["settings"].items())
    if folder is not None and "given" in document["files"]:
        echo("given holds what held-out users are scored by; dataset=File does not read these parts as one data set")
    elif folder is not None and "test" in document["files"]:
        names = [argument(f"{part}_path", file.rpartition("/")[2]) for part, file in document["files"].items()]
        echo(f"read them with: dataset=File {argument('root', folder)} {' '.join([*names, settings])}".rstrip())
    elif folder is None and settings:
        above, _, name = document["files"]["all"].rpartition("/")
        echo(f"read it with: dataset=File {argument('root', above or '.')} {argument('path', name)} {settings}")
