"""What has a use for a copy of an image, and that nothing may go while anything is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.model.images import Build, Image, RegistryImage, SifFile
from controller.model.stored import EngineImage, Mark, Sif, Store
from controller.planning.upkeep import Stock, Uses, commit_words, given_up, stock_of
from tests.unit.planning.values import INSTANCE, image

OTHER = "other"


def on_engine(of: Image, **changes: Any) -> EngineImage:
    fields: dict[str, Any] = {
        "id": f"sha256:{of.identity}",
        "identity": of.identity,
        "name": of.name,
        "instance": INSTANCE,
        "commit": "c" * 40,
        "size": 10,
        "created": 1.0,
        "names": (f"controller/{of.name}:{of.identity[:12]}",),
    }
    return EngineImage(**(fields | changes))


def store(*sifs: Image, marks: tuple[Mark, ...] = (), **changes: Any) -> Store:
    found = tuple(Sif(identity=each.identity, size=20, modified=float(at)) for at, each in enumerate(sifs))
    fields: dict[str, Any] = {"cluster": "hpc", "root": "/root", "sifs": found, "marks": marks}
    return Store(**(fields | changes))


def mark(of: Image, instance: str = INSTANCE) -> Mark:
    return Mark(instance=instance, identity=of.identity, text=f"{of.name} 0123")


def stock(uses: Uses, *stores: Store, engine: tuple[EngineImage, ...] = (), **changes: Any) -> Stock:
    fields: dict[str, Any] = {"unseen": {}, "instance": INSTANCE}
    return stock_of(uses, engine, stores, **(fields | changes))


def unused(found: Stock) -> list[tuple[str, str]]:
    return [(copy.place, copy.identity) for copy in found.unused]


def test_what_a_commit_asks_for_stays_and_the_rest_goes() -> None:
    kept, old = image("torch", "new"), image("torch", "old")
    uses = Uses()
    uses.add_commit("the newest commit", [kept])
    found = stock(uses, store(kept, old), engine=(on_engine(kept), on_engine(old)))
    assert unused(found) == [("engine", old.identity), ("hpc", old.identity)]
    assert {copy.used_by for copy in found.copies if copy.identity == kept.identity} == {("the newest commit",)}


def test_a_run_keeps_its_image_and_one_that_does_not_say_keeps_all() -> None:
    torch = image()
    uses = Uses()
    uses.add_run("train/1", torch.identity)
    uses.add_run("plain/1", "")
    assert unused(stock(uses, store(torch))) == []
    none_known = Uses()
    none_known.add_run("train/1", None)
    found = stock(none_known, store(torch))
    assert (unused(found), len(found.copies)) == ([], 1)
    assert "train/1" in found.unknown[0]


def test_a_place_that_was_not_seen_keeps_everything_everywhere() -> None:
    """A run over there may be in an image that is here."""
    torch = image()
    assert unused(stock(Uses(), store(torch), unseen={"other": "Unreachable"})) == []
    assert unused(stock(Uses(), store(torch))) == [("hpc", torch.identity)]


def test_only_what_is_nobody_elses_goes_from_the_engine() -> None:
    torch = image()
    for changes in ({"instance": OTHER}, {"in_container": True}, {"foreign_names": ("keep:v1",)}):
        assert unused(stock(Uses(), engine=(on_engine(torch, **changes),))) == []
    assert unused(stock(Uses(), engine=(on_engine(torch),))) == [("engine", torch.identity)]


def test_another_instances_mark_keeps_the_file_and_ours_is_given_up() -> None:
    torch = image()
    shared = store(torch, marks=(mark(torch), mark(torch, OTHER)))
    found = stock(Uses(), shared)
    assert found.copies[0].used_by == (f"instance {OTHER}",)
    assert unused(found) == []
    assert given_up(Uses(), shared, INSTANCE) == [(torch.identity, "torch 0123")]
    uses = Uses()
    uses.add_commit("the newest commit", [torch])
    assert given_up(uses, shared, INSTANCE) == []


def test_an_image_from_elsewhere_keeps_all_of_its_name() -> None:
    """Which commit a branch, or image a tag, stood for then is not in the commit: no copy of the name goes."""
    old = image("torch", "as it was then")
    build = image().origin
    assert isinstance(build, Build)
    elsewhere = replace(build.context, repository="https://example.org/x.git")
    moving: list[Any] = [
        replace(build, context=elsewhere),
        replace(build, template="python"),
        RegistryImage(reference="example.org/torch:latest", digest="sha256:1"),
    ]
    for origin in moving:
        uses = Uses()
        uses.add_commit("commit 1 (3 back)", [replace(image("torch", "now"), origin=origin)])
        found = stock(uses, store(old, marks=(mark(old),)), engine=(on_engine(old),))
        assert unused(found) == []
        assert given_up(uses, store(old, marks=(mark(old),)), INSTANCE) == []
    pinned = RegistryImage(reference="example.org/torch@sha256:1", digest="sha256:1")
    for origin in (pinned, SifFile(path="/data/x.sif")):
        uses = Uses()
        uses.add_commit("commit 1 (3 back)", [replace(image("torch", "now"), origin=origin)])
        assert unused(stock(uses, engine=(on_engine(old),))) == [("engine", old.identity)]


def test_two_clusters_in_one_work_directory_hold_one_file() -> None:
    torch = image()
    found = stock(Uses(), store(torch), store(torch, cluster="hpc-gpu"))
    assert len(found.copies) == 1


def test_a_commit_is_called_by_how_far_back_it_is() -> None:
    assert commit_words("abcdef0123456789", 0) == "the newest commit"
    assert commit_words("abcdef0123456789", 3) == "commit abcdef012345 (3 back)"
