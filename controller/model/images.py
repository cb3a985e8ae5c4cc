"""Images: what they are made from, and what they have to pass before a job may use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model.files import FileSet, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Built by a Docker Engine from a context; the entries' paths are relative to the context."""

    context: FileSet
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None


Origin = Build
"""What an image is made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image, known by its identity wherever it is."""

    name: str
    source: Source
    identity: str
    """SHA-256 of what the origin says, and of ``rebuild`` (see docs/decisions/0002)."""
    origin: Origin
