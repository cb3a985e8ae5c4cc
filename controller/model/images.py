"""Images: what they are made from, and what they have to pass before a job may use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.model.digests import digest_of
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
class ImageTest:
    """What is tried out in an image; no part of the image's identity.

    Placeholders are still in the commands; ``placeholders`` maps NAME, for ``<YOUR_NAME>``, to its value.
    """

    run_command: str
    repo_url: str = ""
    """Repository that the command runs in; "" is an empty directory."""
    ref: str = ""
    """Branch, tag or commit of it; "" is what its HEAD names."""
    dataset_command: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    gpus: bool = False
    time_s: int = 1800
    required: bool = False
    """Whether jobs wait until it has passed."""
    shell: tuple[str, ...] = ()
    """Words of the shell that runs the two commands; () is the default one of jobs."""

    @property
    def digest(self) -> str:
        """What its outcome depends on, besides the image: another digest is another test."""
        # The default says nothing, so that a test that has passed is not run again.
        shell = {"shell": list(self.shell)} if self.shell else {}
        return digest_of(
            {
                **shell,
                "run_command": self.run_command,
                "repo_url": self.repo_url,
                "ref": self.ref,
                "dataset_command": self.dataset_command,
                "placeholders": dict(self.placeholders),
                "env": dict(self.env),
                "gpus": self.gpus,
                "time_s": self.time_s,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image, known by its identity wherever it is."""

    name: str
    source: Source
    identity: str
    """SHA-256 of what the origin says, and of ``rebuild`` (see docs/decisions/0002)."""
    origin: Origin
    test: ImageTest | None = None
    rebuild: str = ""
    """Any text; a new one is a new identity, built without the engine's cache."""
    registry: str | None = None
    """``host[:port]/path`` that a built image is pushed to, for clusters to pull it from there."""
    notice: str = ""
    """What a person should know of its source, such as that it could not be asked lately."""
    labels: Mapping[str, str] = field(default_factory=dict)

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
