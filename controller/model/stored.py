"""What is kept of images on engines and clusters: each copy, how large and old it is, and who has a use for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """One image on a Docker Engine, by its labels."""

    id: str
    identity: str
    name: str
    instance: str
    commit: str
    size: int
    created: float
    """Seconds since the epoch."""
    names: tuple[str, ...] = ()
    """Names that the controller gave it, ``controller/<name>:<identity12>`` and the like in a registry."""
    foreign_names: tuple[str, ...] = ()
    """Every other name: somebody else has a use for it."""
    in_container: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sif:
    """One SIF file on a cluster."""

    identity: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something half-made in the directory of the images: an upload, a conversion that was killed."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An instance's word that it uses an image: ``<workdir>/<instance>/uses/<identity>``.

    ``text`` is "<name> <nonce>": every time that it is said again it is another one.
    """

    instance: str
    identity: str
    text: str

    @property
    def image(self) -> str:
        """Name of the image in the specs of that instance, "" when it is not known."""
        return self.text.partition(" ")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The images of one cluster. ``batches`` maps submissions that were asked about to the identity of their image.

    In ``batches`` "" is a submission without an image; one that is not there could not be read: its image is Unknown.
    """

    cluster: str
    root: str
    sifs: tuple[Sif, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    marks: tuple[Mark, ...] = ()
    batches: Mapping[str, str] = field(default_factory=dict)
