"""What is kept of images, what has a use for each copy, and so what may go.

A copy may go only when everything that could have a use for it was seen. Must not look anywhere itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.model.digests import short
from controller.model.images import Build, Image, RegistryImage, SifFile
from controller.model.stored import EngineImage, Leftover, Store

ENGINE = "engine"
_HALF_MADE = "left by a build (docker image prune)"
"""Where images are that are on no cluster."""


@dataclass(slots=True)
class Uses:
    """What has a use for images, by identity and by name, each as words for a person; and what could not be seen.

    By name are those whose identity depends on what lay outside of their commit at the time: nobody knows any more
    which copies of that name an old commit meant, so it means all of them.
    """

    identities: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def add_commit(self, what: str, images: Iterable[Image]) -> None:
        """Add what a commit asks for."""
        for image in images:
            if not isinstance(image.origin, SifFile):
                self._add(self.identities, image.identity, what)
            if not _is_fixed(image):
                self._add(self.names, image.name, what)

    def add_run(self, run: str, identity: str | None) -> None:
        """Add an active run; with None it is not known which image it is in."""
        if identity is None:
            self.unknown.append(f"run {run} is active, and which image it is in could not be read")
        elif identity:
            self._add(self.identities, identity, f"run {run}")

    def of(self, identity: str, names: Iterable[str]) -> tuple[str, ...]:
        """Return what has a use for a copy."""
        found = list(self.identities.get(identity, ()))
        for name in names:
            found += (word for word in self.names.get(name, ()) if word not in found)
        return tuple(found)

    @staticmethod
    def _add(table: dict[str, list[str]], key: str, what: str) -> None:
        words = table.setdefault(key, [])
        if what not in words:
            words.append(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One image in one place. ``used_by`` empty: nothing has a use for it."""

    place: str
    identity: str
    name: str
    size: int
    made: float
    used_by: tuple[str, ...] = ()
    engine_image: EngineImage | None = None
    mark: str = ""
    """This instance's mark on a SIF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Every copy that was found, what is half-made, places that could not be seen, and what is not known of uses."""

    copies: tuple[Copy, ...] = ()
    leftovers: Mapping[str, tuple[Leftover, ...]] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)
    """Place -> why it could not be seen."""
    unknown: tuple[str, ...] = ()
    """What else could not be seen that may have a use for a copy."""

    @property
    def unused(self) -> tuple[Copy, ...]:
        """Copies that nothing uses; none at all while anything is not known that could."""
        if self.unseen or self.unknown:
            return ()
        return tuple(copy for copy in self.copies if not copy.used_by)


def stock_of(
    uses: Uses,
    engine: Sequence[EngineImage],
    stores: Sequence[Store],
    *,
    unseen: Mapping[str, str],
    instance: str,
) -> Stock:
    """Return all that is kept, each copy with what has a use for it."""
    copies = [_on_engine(uses, image, instance) for image in engine]
    # Two clusters may be two ways into one work directory.
    known: set[tuple[str, str, float]] = set()
    for store in stores:
        for copy in _on_cluster(uses, store, instance):
            if (key := (store.root, copy.identity, copy.made)) not in known:
                known.add(key)
                copies.append(copy)
    return Stock(
        copies=tuple(copies),
        leftovers={store.cluster: store.leftovers for store in stores if store.leftovers},
        unseen=dict(unseen),
        unknown=tuple(uses.unknown),
    )


def _on_engine(uses: Uses, image: EngineImage, instance: str) -> Copy:
    words = list(uses.of(image.identity, [image.name]))
    if image.instance != instance:
        words.append(f"instance {image.instance}" if image.instance else _HALF_MADE)
    if image.in_container:
        words.append("a container")
    words += [f"the name {name}" for name in image.foreign_names]
    return Copy(
        place=ENGINE,
        identity=image.identity,
        name=image.name,
        size=image.size,
        made=image.created,
        used_by=tuple(words),
        engine_image=image,
    )


def _on_cluster(uses: Uses, store: Store, instance: str) -> list[Copy]:
    copies = []
    for sif in store.sifs:
        marks = [mark for mark in store.marks if mark.identity == sif.identity]
        own = next((mark for mark in marks if mark.instance == instance), None)
        words = list(uses.of(sif.identity, [own.image] if own else []))
        words += [f"instance {mark.instance}" for mark in marks if mark is not own]
        names = [mark.image for mark in (own, *marks) if mark is not None and mark.image]
        copies.append(
            Copy(
                place=store.cluster,
                identity=sif.identity,
                name=names[0] if names else "",
                size=sif.size,
                made=sif.modified,
                used_by=tuple(words),
                mark=own.text if own else "",
            )
        )
    return copies


def given_up(uses: Uses, store: Store, instance: str) -> list[tuple[str, str]]:
    """Return identity and mark of every image on a cluster that this instance marked and no longer uses.

    Files that others use are among them: the mark goes, the file stays.
    """
    own = [mark for mark in store.marks if mark.instance == instance]
    return [(mark.identity, mark.text) for mark in own if not uses.of(mark.identity, [mark.image])]


def commit_words(commit: str, back: int) -> str:
    """Return how a commit is called that is so many behind the newest."""
    return "the newest commit" if back == 0 else f"commit {short(commit)} ({back} back)"


def _is_fixed(image: Image) -> bool:
    """Whether an image's identity follows from its commit alone."""
    match image.origin:
        case Build():
            # A built-in template is as the controller's version has it.
            from_elsewhere = image.origin.context.repository or image.origin.template
            return not from_elsewhere
        case RegistryImage():
            return "@" in image.origin.reference
        case SifFile():
            return True
