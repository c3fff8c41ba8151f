"""`recrun show`: what a model, loss, data set ... is, and which settings it takes."""

from __future__ import annotations

from typing import Any

import click

from recrun.cli.options import debug_option, json_option, print_json
from recrun.resolve import describe_anything
from recrun.signature import REQUIRED, Component, type_name


@click.command("show")
@click.argument("name")
@json_option
@debug_option
def command(name: str, as_json: bool) -> None:
    """Show a registered thing: its description, source, and settings with types and defaults.

    NAME is a registered name, or ./file.py:Name for a model of your own.

    \b
    Example:
        recrun show bprmf
    """
    documents = [_document(component) for component in describe_anything(name)]
    if as_json:
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    from recrun.report.console import stdout_console
    from recrun.report.tables import table

    for document in documents:
        click.echo(f"{document['kind']} {document['name']}  ({document['target']})")
        click.echo(document["summary"])
        if document["source"]:
            click.echo(f"Source: {document['source']}")
        rows = [list(parameter.values()) for parameter in document["parameters"]]
        if rows:
            stdout_console().print(table(None, ["setting", "type", "default", "help"], rows))
        else:
            click.echo("It takes no settings of its own.")


def _document(component: Component) -> dict[str, Any]:
    return {
        "kind": component.kind,
        "name": component.name,
        "target": component.target,
        "summary": component.summary,
        "source": component.source,
        "parameters": [
            {
                "name": parameter.name,
                "type": type_name(parameter.annotation),
                "default": "required" if parameter.default is REQUIRED else parameter.default,
                "help": parameter.help,
            }
            for parameter in component.parameters
        ],
    }
