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


def _add(kind: str, example: str, *, what: str = "", parts: str = "config and test", data: str = "") -> None:
    """Add the command that writes the files of one kind."""

    @command.command(
        kind,
        help=f"""Write a small working {what or kind} with its {parts}.

        Writes NAME.py, {data}NAME.yaml and test_NAME.py into the working folder. Existing files are never overwritten.

        \b
        Example:
            recrun new {kind} {example}
        """,
    )
    @click.argument("name")
    @json_option
    @debug_option
    def write(name: str, as_json: bool) -> None:
        _write(kind, name, as_json)


_add("model", "my_mf")
_add("loss", "my_loss")
_add("metric", "my_metric")
_add("dataset", "my_data", what="data set", parts="file, config and test", data="NAME.txt, ")
_add("sampler", "my_sampler")
