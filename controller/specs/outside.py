"""What a commit names that lies outside of it: other repositories at a ref, images in registries.

The spec stage collects what its specs name and hands all of it over in one call; whoever is called knows at which
commit or digest each stands. Must not ask anybody itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.specs.references import reference_of
from controller.specs.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class GitSource:
    """Another Git repository: its address as written, and a branch, a tag or a commit id; "" is its HEAD."""

    url: str
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RegistrySource:
    """An image by a name that may move: ``host/name:tag``, in full."""

    reference: str


Source = GitSource | RegistrySource


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedTree:
    """A repository's files at the commit that is in force. ``notice``: what a person should know of it."""

    tree: Tree
    notice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedDigest:
    """The digest that is in force for a name."""

    digest: str
    on_engine: bool = False
    """It is the id of an image that the Docker Engine has, as no registry answers."""
    known_as: str = ""
    """With ``on_engine``: the digest that a registry had once given the same image."""
    notice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """Nothing is in force, because it could not be asked for or is not there."""

    message: str
    remedy: str = ""


Answer = PinnedTree | PinnedDigest | Unresolved
Resolve = Callable[[Iterable[Source]], Mapping[Source, Answer]]
"""From what is named to what is in force; a source that is left out was not looked at."""


def offline(sources: Iterable[Source]) -> Mapping[Source, Answer]:
    """Look at nothing: for checks before there is a commit."""
    return {}


def source_in(data: Mapping[str, Any]) -> Source | None:
    """Return what a valid Image document names outside of its commit; None when it needs nobody's answer."""
    if "repo" in (build := data.get("build", {})):
        return GitSource(url=build["repo"], ref=build.get("ref", ""))
    if "from" in data and (reference := reference_of(data["from"])).digest is None:
        return RegistrySource(reference=str(reference))
    return None
