"""``controller schema``: the spec format as JSON Schema, for the YAML language servers of editors."""

from __future__ import annotations

import json

import click

from controller.cli.output import say
from controller.specs.json_schema import json_schema
from controller.specs.schemas import CONFIG, KINDS


@click.command(name="schema")
@click.argument("kind", required=False, type=click.Choice([*KINDS, CONFIG], case_sensitive=False))
@click.option("-o", "--output", type=click.Choice(["json"]), expose_value=False, help="JSON is all there is.")
def command(kind: str | None) -> None:
    """Print the JSON Schema of KIND, or of any spec.

    Config is the controller's own configuration file.
    """
    say(json.dumps(json_schema(kind), indent=2))
