"""Recipes: what a digest covers. A change here would run everything again, everywhere.

A digest is the hash of what is handed to ``covered``. The names in ``ALWAYS`` are in it whatever they hold, as they
were in the first version. Every other one is in ``DEFAULTS`` and contributes nothing while it has its default: so a
field that is added later changes no digest of a spec that does not use it.

A recipe that has to change gets the next version and goes to the front of ``RECIPES``; the one before stays, and what
ran under it counts (``Task.earlier``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALWAYS: Mapping[str, frozenset[str]] = {
    "task": frozenset({"command", "env", "image", "files", "rerun"}),
    "sweep": frozenset({"axes", "env", "image", "files", "needs"}),
    "build": frozenset({"context", "dockerfile", "args", "target"}),
    "from": frozenset({"from"}),
    "sif": frozenset({"sif", "sha256"}),
}
"""Kind of a digest -> what is in it at its default as well. Nothing may be added here."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "task": {"needs": {}, "binds": [], "shell": None},
    "sweep": {"binds": [], "shell": None},
    "build": {"values": None, "rebuild": None},
    "from": {"rebuild": None},
    "sif": {"rebuild": None},
}
"""Kind of a digest -> what is in it where it is not this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to make digests. ``version`` is part of each of them.

    ``images`` is the version in the identities of images: a new recipe for tasks need not build any image again.
    """

    version: int
    images: int = 1

    def covered(self, kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the digest of a kind is the hash of; ``said`` holds every name of that kind.

        Raises:
            KeyError: a name is neither in ``ALWAYS`` nor in ``DEFAULTS``, or one of them is missing.
        """
        if said.keys() != ALWAYS[kind] | DEFAULTS[kind].keys():
            raise KeyError(f"a digest of a {kind} covers {sorted(ALWAYS[kind] | DEFAULTS[kind].keys())}")
        defaults = DEFAULTS[kind]
        used = {name: value for name, value in said.items() if name not in defaults or value != defaults[name]}
        return {"version": self.version if kind in ("task", "sweep") else self.images, **used}


RECIPES = (Recipe(version=1),)
"""The present recipe, then those that earlier versions of the controller used, newest first."""
