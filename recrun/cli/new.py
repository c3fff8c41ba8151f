"""`recrun new`: write starter files."""

from __future__ import annotations

import click

from recrun.cli._options import debug_option, echo, json_option, print_json, work_done


@click.group("new")
def command() -> None:
    """Write starter files for a new component.

    \b
    Example:
        recrun new model my_mf
    """


def _write(kind: str, name: str, as_json: bool) -> None:
    from recrun.workflows.new_files import next_commands, write_new

    files = [str(file) for file in write_new(kind, name)]
    following = next_commands(kind, name)
    with work_done(f"wrote {', '.join(files)}"):
        if as_json:
            print_json({"files": files, "next": following})
            return
        for file in files:
            echo(f"wrote {file}")
        for line in following:
            echo(f"next: {line}")


@command.command("model")
@click.argument("name")
@json_option
@debug_option
def model_command(name: str, as_json: bool) -> None:
    """Write a small working model with its config and test.

    Writes NAME.py, NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

    \b
    Example:
        recrun new model my_mf
    """
    _write("model", name, as_json)


@command.command("loss")
@click.argument("name")
@json_option
@debug_option
def loss_command(name: str, as_json: bool) -> None:
    """Write a small working loss with its config and test.

    Writes NAME.py, NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

    \b
    Example:
        recrun new loss my_loss
    """
    _write("loss", name, as_json)


@command.command("metric")
@click.argument("name")
@json_option
@debug_option
def metric_command(name: str, as_json: bool) -> None:
    """Write a small working metric with its config and test.

    Writes NAME.py, NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

    \b
    Example:
        recrun new metric my_metric
    """
    _write("metric", name, as_json)


@command.command("dataset")
@click.argument("name")
@json_option
@debug_option
def dataset_command(name: str, as_json: bool) -> None:
    """Write a small working data set with its file, config and test.

    Writes NAME.py, NAME.txt, NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

    \b
    Example:
        recrun new dataset my_data
    """
    _write("dataset", name, as_json)


@command.command("sampler")
@click.argument("name")
@json_option
@debug_option
def sampler_command(name: str, as_json: bool) -> None:
    """Write a small working sampler with its config and test.

    Writes NAME.py, NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

    \b
    Example:
        recrun new sampler my_sampler
    """
    _write("sampler", name, as_json)
