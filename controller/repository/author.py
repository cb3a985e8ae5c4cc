"""Who the commits of a person's commands are by: whoever Git says that they are.

Read as ``git commit`` does (git-commit, "Commit Information"): the environment, then the configuration of the checkout
that the command was called in, then the person's own. Does not belong here: the controller's own commits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

from controller.model.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Author:
    """Name and address."""

    name: str
    email: str


def author_of(directory: Path, environment: Mapping[str, str]) -> Author:
    """Return who works in a directory.

    Raises:
        ConfigurationError: Git does not know (``AuthorUnknown``).
    """
    levels = _levels(directory)
    name = environment.get("GIT_AUTHOR_NAME") or _first(levels, "user.name")
    email = environment.get("GIT_AUTHOR_EMAIL") or _first(levels, "user.email")
    if not name or not email:
        missing = " and ".join(key for key, value in (("user.name", name), ("user.email", email)) if not value)
        raise ConfigurationError(
            "AuthorUnknown",
            f"Git does not know who you are ({missing} not set), so no commit can be written in your name:"
            ' git config --global user.name "Your Name"; git config --global user.email you@example.org',
        )
    return Author(" ".join(name.split()), email.strip())


def _levels(directory: Path) -> list[pygit2.Config]:
    found = pygit2.discover_repository(str(directory))
    if found is not None:
        return [pygit2.Repository(found).config]
    readers: tuple[Callable[[], pygit2.Config], ...] = (
        pygit2.Config.get_global_config,
        pygit2.Config.get_xdg_config,
        pygit2.Config.get_system_config,
    )
    levels = []
    for read in readers:
        try:
            levels.append(read())
        except OSError:
            continue
    return levels


def _first(levels: list[pygit2.Config], key: str) -> str:
    return next((str(level[key]) for level in levels if key in level), "")
