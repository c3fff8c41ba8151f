"""`recrun import`: turn configs of other programs into configs of recrun."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from recrun.cli._options import Folder, completes, debug_option, echo, json_option, print_json, print_notes
from recrun.cli._output_file import refuse_place, write
from recrun.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recrun.importing.draft import Line
    from recrun.importing.run_import import Import, Imported

_PROGRAMS = ("recbole", "freerec", "elliot", "warprec")


@click.command("import")
@click.argument("program", type=click.Choice(_PROGRAMS))
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG ...", shell_complete=completes("configs"))
@click.option(
    "--to", "target", metavar="FILE|DIR", help="Write it here; several models need a folder.  [default: stdout]"
)
@click.option("--data", metavar="DIR", type=Folder(), help="Folder of the data, whose files have to be there.")
@click.option("--model", metavar="NAME", help="The model that is meant, as it is called there.")
@click.option("--dataset", metavar="NAME", help="The data set that is meant, as it is called there.")
@click.option("--strict", is_flag=True, help="Write nothing, and exit with 2, if a key has no counterpart.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@json_option
@debug_option
def command(
    program: str,
    configs: tuple[str, ...],
    target: str | None,
    data: str | None,
    model: str | None,
    dataset: str | None,
    strict: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Import configs of RecBole, FreeRec, Elliot or WarpRec.

    Turns a config of another program into one of recrun, and says of each key which settings it became, or why it
    became none. What is written passes `recrun validate`.

    RecBole and FreeRec take several files, of which a later one overrides an earlier one. A config of Elliot or WarpRec
    becomes one for each of its models, and its lists of values a command of `recrun sweep`, which is printed.

    \b
    Example:
        recrun import recbole bpr.yaml --model BPR --dataset ml-100k --to mine.yaml
    """
    from recrun.importing.options import Options
    from recrun.importing.run_import import import_configs

    result = import_configs(program, configs, Options(data, model, dataset))
    if strict and result.n_not_mapped:
        _report(result, [None] * len(result.configs), err=True)
        echo(f"error: {result.n_not_mapped} keys have no counterpart; nothing was written", err=True, fg="red")
        sys.exit(2)
    paths = _write(result.configs, target, force, as_json)
    if as_json:
        refused = [line.document() for line in result.refused]
        documents = [config.document(path) for config, path in zip(result.configs, paths, strict=True)]
        print_json({"program": result.program, "configs": documents, "refused": refused})
        return
    _report(result, paths, err=target is None)
    if target is None:
        echo(result.configs[0].text, nl=False)


def _write(configs: Sequence[Imported], target: str | None, force: bool, as_json: bool) -> list[str | None]:
    """Write each config, and return where; nowhere without a target.

    Raises:
        click.UsageError: there is no place for them.
    """
    names = ", ".join(config.model for config in configs)
    if target is None:
        if len(configs) > 1 and not as_json:
            raise click.UsageError(f"it has {len(configs)} models ({names}); write --to DIR/, or --model NAME for one")
        return [None] * len(configs)
    is_folder = target.endswith(("/", os.sep)) or os.path.isdir(target)
    if not is_folder and len(configs) > 1:
        raise click.UsageError(
            f"--to {target}: it has {len(configs)} models ({names}); write --to {target}/ for a folder"
        )
    if is_folder:
        try:
            os.makedirs(target, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--to {target}: cannot be made: {error.strerror}") from None
    paths = [os.path.join(target, f"{config.stem}.yaml") if is_folder else target for config in configs]
    for path in paths:
        refuse_place(path)
        if os.path.exists(path) and not force:
            raise click.UsageError(f"--to {path}: exists already; --force overwrites it")
    for path, config in zip(paths, configs, strict=True):
        write(path, config.text)
    return list(paths)


def _report(result: Import, paths: Sequence[str | None], *, err: bool) -> None:
    for line in result.refused:
        echo(on_one_line(f"{_where(line)}: {line.why}"), err=err)
    for config, path in zip(result.configs, paths, strict=True):
        document = config.document(path)
        echo(on_one_line(f"{config.model} is {document['settings']['model']} here"), err=err)
        _section("mapped", config.draft.mapped, err=err)
        _section("not mapped", config.draft.not_mapped, err=err)
        _section("without effect on results", config.draft.no_effect, err=err)
        if document["differences"]:
            echo("differs in any case", err=err)
            for text in document["differences"]:
                echo(on_one_line(f"  {text}"), err=err)
        print_notes(map(on_one_line, config.notes))
        if path is not None:
            echo(on_one_line(f"wrote {path}"), err=err)
        if document["sweep"] is not None:
            echo(on_one_line(f"try its values: {document['sweep']}"), err=err)


def _section(title: str, lines: Sequence[Line], *, err: bool) -> None:
    if lines:
        echo(title, err=err)
    for line in lines:
        echo(on_one_line(f"  {_text(line)}"), err=err)


def _text(line: Line) -> str:
    from recrun.config.yaml_writer import dump_value

    document = line.document()
    here = ", ".join(f"{key}: {dump_value(value)}" for key, value in document["settings"].items())
    value: Any = document["value"]
    text = f"{_where(line)}: {_shortened(dump_value(value))}" if value is not None else _where(line)
    text += f" -> {here}" if here else ""
    return f"{text} ({document['why']})" if document["why"] and here else f"{text}: {document['why']}".rstrip(": ")


def _where(line: Line) -> str:
    place = line.entry.place
    if place is None:
        return f"by default: {line.entry.name}"
    return f"{os.path.basename(place.file)}:{place.line}: {line.entry.name}" if place.line is not None else place.file


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
