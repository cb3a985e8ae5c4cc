"""At which commit or digest other sources are in force, whatever their servers say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.model.errors import TransientError
from controller.reconcile.pins import REGISTRY_S, SILENCE_S, Pins
from controller.repository.auth import RemoteAuth
from controller.repository.url import parse_url
from controller.specs.outside import Answer, GitSource, PinnedDigest, PinnedTree, RegistrySource, Source, Unresolved
from controller.specs.references import Reference
from tests.contract.remotes.conftest import Origin, make_origin

TOOL = RegistrySource(reference="r.example/lab/tool:v1")
A, B, ID = ("sha256:" + letter * 64 for letter in "abc")


@dataclass
class World:
    """A registry and an engine that say what they are told to, a clock, and what was asked."""

    now: float = 1000.0
    registry: str | None = A
    engine: tuple[str, frozenset[str]] | None = None
    asked: list[str] = field(default_factory=list)

    def ask_registry(self, reference: Reference) -> str:
        self.asked.append(str(reference))
        if self.registry is None:
            raise TransientError("RegistryUnavailable", "r.example does not answer")
        return self.registry

    def ask_engine(self, reference: Reference) -> tuple[str, frozenset[str]] | None:
        return self.engine


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def pins(world: World, tmp_path: Path) -> Pins:
    return pins_of(world, tmp_path)


def pins_of(world: World, directory: Path) -> Pins:
    return Pins(
        directory / "sources",
        specs=parse_url(str(directory)),
        auth=RemoteAuth(),
        clock=lambda: world.now,
        ask_registry=world.ask_registry,
        ask_engine=world.ask_engine,
    )


def one(pins: Pins, source: Source, remembered: str | None = None) -> Answer:
    pins.begin(remembered if remembered is not None else pins.saved())
    return pins.resolve([source])[source]


def test_a_registry_is_asked_every_five_minutes_at_most(world: World, pins: Pins) -> None:
    assert one(pins, TOOL) == PinnedDigest(digest=A)
    world.registry = B
    world.now += REGISTRY_S - 1
    assert one(pins, TOOL) == PinnedDigest(digest=A)
    assert world.asked == [TOOL.reference]
    world.now += 1
    assert one(pins, TOOL) == PinnedDigest(digest=B)


def test_a_registry_that_does_not_answer_keeps_the_pin(world: World, pins: Pins, tmp_path: Path) -> None:
    """Also over a restart; and it is said."""
    one(pins, TOOL)
    remembered = pins.saved()
    world.registry = None
    answer = one(pins_of(world, tmp_path), TOOL, remembered)
    assert answer == PinnedDigest(digest=A, notice=f"r.example does not answer; {A[:19]} stays in force")


def test_never_resolved_is_a_problem_with_a_remedy(world: World, pins: Pins) -> None:
    world.registry = None
    answer = one(pins, TOOL)
    assert isinstance(answer, Unresolved)
    assert answer.message == "r.example does not answer, nor has the Docker Engine one of that name"
    assert "@sha256:" in answer.remedy
    world.now += SILENCE_S - 1
    assert isinstance(one(pins, TOOL), Unresolved)
    assert len(world.asked) == 1, "a dead registry must not slow every pass down"
    world.registry, world.now = A, world.now + 1
    assert one(pins, TOOL) == PinnedDigest(digest=A)


def test_what_only_the_engine_has_is_its_id(world: World, pins: Pins, tmp_path: Path) -> None:
    world.registry, world.engine = None, (ID, frozenset())
    silent = "r.example does not answer; the Docker Engine's image of that name is in force"
    assert one(pins, TOOL) == PinnedDigest(digest=ID, on_engine=True, notice=silent)
    world.registry, world.engine = A, (ID, frozenset({A}))
    assert one(pins_of(world, tmp_path), TOOL, pins.saved()) == PinnedDigest(digest=ID, on_engine=True)
    world.registry = B
    assert one(pins_of(world, tmp_path), TOOL, pins.saved()) == PinnedDigest(digest=B)


def test_what_the_engine_has_pulled_is_known_by_the_registry_s_digest(world: World, pins: Pins) -> None:
    """It comes from the engine, and nothing changes when the registry answers again."""
    world.registry, world.engine = None, (ID, frozenset({A}))
    for _ in range(2):
        answer = one(pins, TOOL)
        assert isinstance(answer, PinnedDigest)
        assert (answer.digest, answer.on_engine, answer.known_as) == (ID, True, A)
    world.registry, world.now = A, world.now + REGISTRY_S
    assert one(pins, TOOL) == PinnedDigest(digest=A)


def test_pins_that_nobody_asks_for_are_forgotten(world: World, pins: Pins) -> None:
    one(pins, TOOL)
    assert A in pins.saved()
    pins.begin(pins.saved())
    assert A not in pins.saved()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return make_origin(tmp_path)


def test_a_repository_that_is_gone_keeps_its_pin(pins: Pins, origin: Origin, world: World, tmp_path: Path) -> None:
    source = GitSource(url=str(origin.bare), ref="main")
    first = one(pins, source)
    assert isinstance(first, PinnedTree)
    assert (first.tree.commit, first.notice) == (origin.tip("main"), "")
    remembered = pins.saved()
    commit = origin.commit({"x": "1"})
    moved = one(pins, source)
    assert isinstance(moved, PinnedTree)
    assert moved.tree.commit == commit
    shutil.rmtree(origin.bare)
    kept = one(pins_of(world, tmp_path), source, remembered)
    assert isinstance(kept, PinnedTree)
    assert kept.tree.commit == first.tree.commit
    assert f"commit {first.tree.commit[:12]} stays in force" in kept.notice
    assert len(kept.tree.entries()) == 2


def test_a_branch_that_is_gone_keeps_its_pin(pins: Pins, origin: Origin) -> None:
    commit = origin.commit({"x": "1"}, branch="topic")
    source = GitSource(url=str(origin.bare), ref="topic")
    one(pins, source)
    shutil.rmtree(origin.bare / "refs" / "heads" / "topic", ignore_errors=True)
    (origin.bare / "refs" / "heads" / "topic").unlink(missing_ok=True)
    kept = one(pins, source)
    assert isinstance(kept, PinnedTree)
    assert kept.tree.commit == commit
    assert "there is no branch or tag topic" in kept.notice


def test_one_exchange_a_pass_serves_every_ref(pins: Pins, origin: Origin, uses: Callable[[], int]) -> None:
    main = GitSource(url=str(origin.bare), ref="main")
    head = GitSource(url=str(origin.bare))
    pins.begin(None)
    before = uses()
    answers = pins.resolve([main, head])
    assert all(isinstance(answer, PinnedTree) for answer in answers.values())
    pins.resolve([main])
    assert uses() - before == 1


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count connections to other repositories."""
    from controller.repository import sources

    count = 0
    connect = sources.connect

    def counted(*args: object, **named: object) -> object:
        nonlocal count
        count += 1
        return connect(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sources, "connect", counted)
    return lambda: count


def test_a_repository_that_never_answered_is_a_problem(pins: Pins, tmp_path: Path) -> None:
    answer = one(pins, GitSource(url=str(tmp_path / "nothing.git")))
    assert isinstance(answer, Unresolved)
    assert "there is no Git repository" in answer.message
    assert answer.remedy
