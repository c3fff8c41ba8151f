"""`recrun schema`: print the JSON Schema of a config, for editors."""

from __future__ import annotations

import click

from recrun.cli._options import completes, debug_option, print_json


@click.command("schema")
@click.argument("config", required=False, shell_complete=completes("configs"))
@debug_option
def command(config: str | None) -> None:
    """Print the JSON Schema (2020-12) of a config, for editors.

    It holds all keys, or with CONFIG those that apply to it. Editors with YAML support use it to complete and check
    a config, for example one with the first line `# yaml-language-server: $schema=recrun.schema.json`.

    \b
    Example:
        recrun schema configs/bprmf.yaml > recrun.schema.json
    """
    from recrun.config.json_schema import config_schema

    print_json(config_schema(config))
