"""`recrun new`: write starter files."""

from __future__ import annotations

import click

from recrun.cli._options import debug_option, echo, json_option, print_json, work_done


@click.group("new")
def command() -> None:
    """Write starter files for a new model.

    \b
    Example:
        recrun new model my_mf
    """


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
    from recrun.workflows.new_model import new_model

    files = [str(file) for file in new_model(name)]
    with work_done(f"wrote {', '.join(files)}"):
        if as_json:
            print_json({"files": files})
            return
        for file in files:
            echo(f"wrote {file}")
        title = "".join(part.capitalize() for part in name.split("_"))
        echo(f"next: recrun train ./{name}.yaml, recrun check ./{name}.py:{title}, pytest test_{name}.py")
