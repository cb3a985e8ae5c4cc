"""Images: what they are made from, and what they have to pass before a job may use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model.files import FileSet, Source

Value = str | int | bool | tuple[str, ...]
"""What a template's value may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Built by a Docker Engine from a context; the entries' paths are relative to the context."""

    context: FileSet
    """With ``values``: the files of the template that the context is rendered from."""
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    template: str = ""
    """Name of the template, or its directory; "" when the context is sent as it stands."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """Every value of the template, defaults filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImage:
    """An image that exists: in a registry, or on the Docker Engine."""

    reference: str
    """As ``docker pull`` takes it, without a scheme: ``host/name:tag`` or ``host/name@sha256:...``."""
    digest: str
    """``sha256:`` and 64 hex digits that the reference stands for: a manifest's, unless ``on_engine``."""
    on_engine: bool = False
    """No registry answers for it: ``digest`` is the id of an image that the Docker Engine has by that name."""
    known_as: str = ""
    """With ``on_engine``: the digest that a registry had once given the same image, "" if none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SifFile:
    """A SIF file that is on the cluster already."""

    path: str
    """As written: may begin with ``~`` and hold ``$NAME``, which mean what they mean on the cluster."""
    sha256: str | None = None
    """64 hex digits that the file has to have; None: whatever is there."""


Origin = Build | RegistryImage | SifFile
"""What an image is made from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image, known by its identity wherever it is."""

    name: str
    source: Source
    identity: str
    """SHA-256 of what the origin says, and of ``rebuild`` (see docs/decisions/0002)."""
    origin: Origin
    registry: str | None = None
    """``host[:port]/path`` that a built image is pushed to, for clusters to pull it from there."""
    notice: str = ""
    """What a person should know of its source, such as that it could not be asked lately."""

    @property
    def resolved(self) -> bool:
        """Whether ``identity`` says anything: False when its source lies outside of the commit and was not looked at.

        Never so in a pass.
        """
        match self.origin:
            case Build(context=context):
                return not context.repository or bool(context.entries)
            case RegistryImage(digest=digest):
                return bool(digest)
            case _:
                return True
