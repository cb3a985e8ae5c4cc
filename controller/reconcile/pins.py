"""Pins: at which commit or digest each source outside of the commit is in force.

A pin is sticky. A server that answers moves it, and that is a change like one in a spec; a server that does not
answer, or has lost what was asked for, leaves it where it is, and the status says so: unknown is not absent. Only what
was never seen is a problem of its spec. Pins are kept in the journal; losing it costs a question. Must not decide what
an image is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import assert_never

import structlog

from controller.model.errors import ControllerError
from controller.repository.auth import RemoteAuth
from controller.repository.committree import CommitTree
from controller.repository.sources import SourceRepository
from controller.repository.url import RemoteUrl
from controller.specs.outside import Answer, GitSource, PinnedDigest, PinnedTree, RegistrySource, Source, Unresolved
from controller.specs.references import Reference, reference_of

log = structlog.get_logger(__name__)

REGISTRY_S = 300.0
"""Least time between two questions to a registry for one name, in one process."""
SILENCE_S = 60.0
"""Least time between two questions to what did not answer and has no pin yet; with one it is ``REGISTRY_S``."""
_WORKERS = 8
PINS = "pins"
"""Name of the fact in the journal."""

AskRegistry = Callable[[Reference], str]
AskEngine = Callable[[Reference], tuple[str, frozenset[str]] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A commit or a digest. With ``engine``, the id of an image there: no registry answers, and this is the same."""

    value: str
    engine: str = ""


@dataclass(frozen=True, slots=True)
class _Failed:
    at: float
    message: str


class Pins:
    """The pins of one controller. ``begin`` a pass, ``resolve`` as often as needed, then ``save``."""

    def __init__(
        self,
        directory: Path,
        *,
        specs: RemoteUrl,
        auth: RemoteAuth,
        clock: Callable[[], float],
        ask_registry: AskRegistry,
        ask_engine: AskEngine,
    ) -> None:
        """``directory`` is for the mirrors; ``specs`` and ``auth`` are the specs' own repository and its log-in."""
        self._directory = directory
        self._specs = specs
        self._auth = auth
        self._clock = clock
        self._ask_registry = ask_registry
        self._ask_engine = ask_engine
        self._pins: dict[str, Pin] = {}
        self._wanted: set[str] = set()
        self._asked: dict[str, float] = {}
        self._failed: dict[str, _Failed] = {}
        self._asked_now: set[str] = set()

    def begin(self, remembered: str | None) -> None:
        """Begin a pass with what ``saved`` gave at the end of an earlier one."""
        self._pins = {key: Pin(**value) for key, value in json.loads(remembered or "{}").items()}
        self._wanted.clear()
        self._asked_now.clear()

    def saved(self) -> str:
        """Return the pins that this pass asked for, as text to remember."""
        kept = {key: asdict(pin) for key, pin in sorted(self._pins.items()) if key in self._wanted}
        return json.dumps(kept)

    def resolve(self, sources: Iterable[Source]) -> Mapping[Source, Answer]:
        """Return what is in force for each source; every server is asked at most once in a pass."""
        wanted = sorted(set(sources), key=key_of)
        self._wanted |= {key_of(source) for source in wanted}
        by_url: dict[str, list[GitSource]] = defaultdict(list)
        tags: list[RegistrySource] = []
        for source in wanted:
            match source:
                case GitSource():
                    by_url[source.url].append(source)
                case RegistrySource():
                    tags.append(source)
                case _:
                    assert_never(source)
        answers: dict[Source, Answer] = {}
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            repositories = [pool.submit(self._repository, url, each) for url, each in by_url.items()]
            images = {source: pool.submit(self._image, source) for source in tags}
            for repository in repositories:
                answers |= repository.result()
            answers |= {source: image.result() for source, image in images.items()}
        return answers

    def tree(self, url: str, commit: str) -> CommitTree:
        """Return the files of a commit that is or was in force.

        Raises:
            ControllerError: it is not here any more.
        """
        return self._source_repository(url).tree(commit)

    def _source_repository(self, url: str) -> SourceRepository:
        return SourceRepository(self._directory, url, specs=self._specs, auth=self._auth)

    def _repository(self, url: str, sources: list[GitSource]) -> Mapping[Source, Answer]:
        try:
            repository = self._source_repository(url)
        except ControllerError as error:
            return dict.fromkeys(sources, Unresolved(message=error.message))
        errors: dict[str, str] = {}
        failed = self._may_not_ask(url, sources)
        if failed is not None:
            errors = dict.fromkeys((source.ref for source in sources), failed)
        elif url not in self._asked_now:
            self._asked_now.add(url)
            errors = self._ask(url, repository, sources)
        return {source: self._tree_in_force(repository, source, errors.get(source.ref, "")) for source in sources}

    def _ask(self, url: str, repository: SourceRepository, sources: list[GitSource]) -> dict[str, str]:
        """Move the pins to what a repository says now; return what went wrong, by ref."""
        errors: dict[str, str] = {}
        try:
            found = repository.resolve(source.ref for source in sources)
        except ControllerError as error:
            self._failed[url] = _Failed(self._clock(), error.message)
            log.warning("source_unavailable", url=repository.url.shown, reason=error.reason, message=error.message)
            return dict.fromkeys((source.ref for source in sources), error.message)
        self._failed.pop(url, None)
        for source in sources:
            now = found[source.ref]
            if isinstance(now, str):
                self._move(source, Pin(value=now))
            else:
                errors[source.ref] = now.message
        return errors

    def _tree_in_force(self, repository: SourceRepository, source: GitSource, error: str) -> Answer:
        pin = self._pins.get(key_of(source))
        if pin is None or not repository.holds(pin.value):
            lost = f" (its commit {pin.value} is no longer here)" if pin else ""
            return Unresolved(
                message=(error or f"{repository.url.shown}: it was asked in this pass already") + lost,
                remedy="what builds on it waits until the repository can be read; nothing else does",
            )
        notice = f"{error}; commit {pin.value[:12]} stays in force" if error else ""
        return PinnedTree(tree=repository.tree(pin.value), notice=notice)

    def _image(self, source: RegistrySource) -> Answer:
        key, reference = key_of(source), reference_of(source.reference)
        failed = self._failed.get(key)
        recent = self._clock() - self._asked.get(key, float("-inf")) < REGISTRY_S and key in self._pins
        error = failed.message if failed and self._may_not_ask(key, [source]) else ""
        if not error and not recent:
            try:
                self._move(source, self._pin_of(source, reference, self._ask_registry(reference)))
                self._asked[key] = self._clock()
                self._failed.pop(key, None)
            except ControllerError as caught:
                error = self._without_registry(source, reference, caught)
        pin = self._pins.get(key)
        if pin is None:
            remedy = "write name@sha256:..., or docker pull it where the controller's Docker Engine runs"
            return Unresolved(message=error, remedy=remedy)
        if pin.engine:
            known_as = pin.value if pin.value != pin.engine else ""
            notice = f"{error}; the Docker Engine's image of that name is in force" if error else ""
            return PinnedDigest(digest=pin.engine, on_engine=True, known_as=known_as, notice=notice)
        notice = f"{error}; {pin.value[:19]} stays in force" if error else ""
        return PinnedDigest(digest=pin.value, notice=notice)

    def _pin_of(self, source: RegistrySource, reference: Reference, digest: str) -> Pin:
        """A registry that begins to answer may tell of an image that was pushed since: it is the same one."""
        pin = self._pins.get(key_of(source))
        if pin is not None and pin.engine == pin.value:
            try:
                there = self._ask_engine(reference)
            except ControllerError:
                there = None
            if there is not None and there[0] == pin.engine and digest in there[1]:
                return pin
        return Pin(value=digest)

    def _without_registry(self, source: RegistrySource, reference: Reference, error: ControllerError) -> str:
        """No answer: an earlier pin stays; else what the engine has by that name is in force."""
        key = key_of(source)
        self._failed[key] = _Failed(self._clock(), error.message)
        log.warning("source_unavailable", url=source.reference, reason=error.reason, message=error.message)
        pin = self._pins.get(key)
        if pin is not None and not pin.engine:
            return error.message
        try:
            there = self._ask_engine(reference)
        except ControllerError as engine:
            return f"{error.message}, and {engine.message}"
        if there is None:
            return f"{error.message}, nor has the Docker Engine one of that name"
        image, digests = there
        if pin is None or pin.engine != image:
            # A digest that a registry gave is the same everywhere, and so is an identity made of it; an id is not.
            self._move(source, Pin(value=min(digests) if digests else image, engine=image))
        return error.message

    def _may_not_ask(self, key: str, sources: Iterable[Source]) -> str | None:
        """Return the last failure while it is too early to ask again: a dead server must not slow every pass down."""
        failed = self._failed.get(key)
        if failed is None:
            return None
        pinned = all(key_of(source) in self._pins for source in sources)
        return failed.message if self._clock() - failed.at < (REGISTRY_S if pinned else SILENCE_S) else None

    def _move(self, source: Source, pin: Pin) -> None:
        key = key_of(source)
        before = self._pins.get(key)
        if before != pin:
            self._pins[key] = pin
            log.info("source_pinned", source=key, value=pin.value, before=before.value if before else None)


def key_of(source: Source) -> str:
    """Return under what a source's pin is remembered."""
    match source:
        case GitSource():
            return f"git:{source.url}#{source.ref}"
        case RegistrySource():
            return f"registry:{source.reference}"
        case _:
            assert_never(source)
