"""`recrun show`: describe a component and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from recrun.cli._options import (
    completes,
    debug_option,
    echo,
    json_option,
    print_json,
)

if TYPE_CHECKING:
    from recrun.registry.component import Component


@click.command("show")
@click.argument("name", shell_complete=completes("components"))
@json_option
@debug_option
def command(name: str, as_json: bool) -> None:
    """Describe a model, loss or data set, and its settings.

    Shows the description, the source in the literature, and each setting with its type and default. NAME is a
    registered name, or ./file.py:Name for a model, loss or data set of your own.

    \b
    Example:
        recrun show bprmf
    """
    from recrun.config.resolve import describe_anything

    components = describe_anything(name)
    if as_json:
        print_json([_document(component) for component in components])
        return
    for component in components:
        _print(component)


def _print(component: Component) -> None:
    from recrun.report.terminal.console import stdout_console
    from recrun.report.terminal.tables import Prose, parameter_table

    output = stdout_console()
    echo(f"{component.kind} {component.name}  ({component.target})")
    output.print(Prose(component.summary))
    if component.source:
        output.print(Prose(f"Source: {component.source}"))
    if component.kind == "model":
        from recrun.config.family import can_score_new_users

        able = "scores" if can_score_new_users(component) else "does not score"
        echo(f"It {able} new users, whom training never saw, from their items.")
    if component.parameters:
        output.print(parameter_table(component))
    else:
        echo("It has no settings of its own.")
    if component.kind == "dataset" and (configs := _configs(component)):
        output.print(Prose(f"Configs with settings chosen for it: {', '.join(configs)}"))


def _configs(component: Component) -> list[str]:
    from recrun.config.expected import configs_tuned_for

    return configs_tuned_for(component.name)


def _document(component: Component) -> dict[str, Any]:
    from recrun.config.check_value import json_schema, type_name
    from recrun.config.family import can_score_new_users
    from recrun.registry.component import REQUIRED

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
                "schema": json_schema(parameter.annotation),
                "required": parameter.default is REQUIRED,
                "default": None if parameter.default is REQUIRED else parameter.default,
                "help": parameter.help,
            }
            for parameter in component.parameters
        ],
        **({"new_users": can_score_new_users(component)} if component.kind == "model" else {}),
        **({"configs": _configs(component)} if component.kind == "dataset" else {}),
    }
