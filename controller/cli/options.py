"""Options that several verbs share, and their names in the environment (``CONTROLLER_REPO`` and so on)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was given on the command line or in the environment; None where nothing was."""

    repo: str | None
    branch: str | None
    path: str | None
    config: Path | None
    state_dir: Path | None
    ssh_config: Path | None = None


def repository_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--repo --branch --path --config --state-dir --ssh-config``, handed to the verb as one ``given``."""

    @wraps(verb)
    def wrapped(
        *args: Any,
        repo: str | None,
        branch: str | None,
        path: str | None,
        config: Path | None,
        state_dir: Path | None,
        ssh_config: Path | None,
        **others: Any,
    ) -> Any:
        given = Given(repo=repo, branch=branch, path=path, config=config, state_dir=state_dir, ssh_config=ssh_config)
        return verb(*args, given=given, **others)

    for option in reversed(
        [
            click.option(
                "--repo",
                envvar="CONTROLLER_REPO",
                metavar="URL",
                help="Repository of the specs: path, ssh:// or https://.",
            ),
            click.option("--branch", envvar="CONTROLLER_BRANCH", metavar="B", help="Branch of the specs."),
            click.option("--path", envvar="CONTROLLER_PATH", metavar="P", help="Directory in it that holds the specs."),
            click.option(
                "--config",
                envvar="CONTROLLER_CONFIG",
                metavar="F",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Configuration file.",
            ),
            click.option(
                "--state-dir",
                envvar="CONTROLLER_STATE_DIR",
                metavar="D",
                type=click.Path(file_okay=False, path_type=Path),
                help="Where the journal and the mirror are kept.",
            ),
            click.option(
                "--ssh-config",
                envvar="CONTROLLER_SSH_CONFIG",
                metavar="F",
                type=click.Path(dir_okay=False, path_type=Path),
                help="OpenSSH configuration for connections to clusters.",
            ),
        ]
    ):
        wrapped = option(wrapped)
    return wrapped


def output_option(*formats: str) -> Callable[..., Any]:
    """Add ``-o``; the first format is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help="Form of the output."
    )
