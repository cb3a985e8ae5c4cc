"""A group that knows its verbs by name: help and start-up import none of them, a verb is imported when it is used.

A verb is a module beside its group that holds a ``command``. Must not know any of the verbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class Verbs(click.Group):
    """The verbs of a table, name to one line of help, each in the module of its name in ``package``."""

    def __init__(self, *args: Any, package: str, table: Mapping[str, str], **others: Any) -> None:
        super().__init__(*args, **others)
        self._package = package
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb; None when there is none of that name."""
        if cmd_name not in self._table:
            return None
        command: click.Command = import_module(f"{self._package}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that the first argument names.

        Raises:
            click.UsageError: there is none of that name; the message has the nearest.
        """
        if args and args[0] not in self._table and not args[0].startswith("-"):
            from controller.specs.nearest import did_you_mean

            hint = did_you_mean(args[0], self._table)
            raise click.UsageError(f'there is no command "{args[0]}"{hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        if self._table:
            with formatter.section("Commands"):
                formatter.write_dl(list(self._table.items()))
