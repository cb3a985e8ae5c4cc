"""Marks and files on a cluster: who may take what away, and that of two who race one sees the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.clusters.cluster import SubmitEnd
from controller.clusters.local import LocalTransport
from controller.clusters.storage import Cleared
from controller.model.digests import digest_of
from controller.model.errors import TransientError
from controller.model.stored import Store
from tests.contract.schedulers.places import Place
from tests.unit.planning import values

OTHER = "other"


class Shelf:
    """A work directory of this machine with SIF files and marks in it."""

    def __init__(self, root: Path) -> None:
        cluster = values.cluster("here", scheduler="local", workdir=str(root), connection=None)
        self.root = root
        self.place = Place(
            scheduler="local",
            root=str(root),
            instance=f"t{secrets.token_hex(4)}",
            transport=LocalTransport(),
            cluster=cluster,
        )
        (root / "images").mkdir(parents=True)
        (root / ".controller").touch()

    def sif(self, word: str) -> str:
        """Make a file that stands for a SIF; return its identity."""
        identity = digest_of(word)
        (self.root / "images" / f"{identity}.sif").write_text(word)
        (self.root / "images" / f"{identity}.sha256").write_text("0\n")
        return identity

    def mark(self, identity: str, text: str = "box 1", instance: str = "") -> Path:
        """Write an instance's mark, ours when none is named."""
        path = self.root / (instance or self.place.instance) / "uses" / identity
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
        return path

    def there(self) -> set[str]:
        """Return the identities of the files that are in place, each with its hash beside it."""
        names = {path.name for path in (self.root / "images").iterdir() if not path.name.startswith(".lock.")}
        found = {name.removesuffix(".sif") for name in names if name.endswith(".sif") and not name.startswith(".")}
        assert {f"{each}.sha256" for each in found} == {name for name in names if name.endswith(".sha256")}
        return found

    def look(self, *batches: str) -> Store:
        return self.place.client().storage.look(batches)

    def clear(self, *images: tuple[str, str], prefix: str = "") -> list[Cleared]:
        """Give images up; ``prefix`` is shell text that every script finds before it."""
        return list(self.place.client(prefix).storage.clear(images).values())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "work")
    yield shelf
    shelf.place.clear()


def test_everything_is_listed(shelf: Shelf) -> None:
    """Files, marks of all instances, what is half-made, and the images of submissions that are asked about."""
    one = shelf.sif("one")
    shelf.mark(one)
    shelf.mark(one, "crate 2", OTHER)
    (shelf.root / "images" / ".upload.abc").write_bytes(b"x" * 5000)
    batch = shelf.place.batch(values.task())
    shelf.place.send(batch)
    seen = shelf.look(batch.batch, "f" * 64)
    [sif] = seen.sifs
    assert (sif.identity, sif.size) == (one, 3)
    assert {(mark.instance, mark.image) for mark in seen.marks} == {(shelf.place.instance, "box"), (OTHER, "crate")}
    assert [(each.name, each.size >= 5000) for each in seen.leftovers] == [(".upload.abc", True)]
    assert dict(seen.batches) == {batch.batch: ""}


def test_a_directory_that_is_not_mounted_is_not_empty(shelf: Shelf) -> None:
    """No images directory although runs were made here: that is not known to hold nothing."""
    (shelf.root / "images").rmdir()
    assert shelf.look().sifs == ()
    (shelf.root / ".controller").unlink()
    (shelf.root / shelf.place.instance / "runs").mkdir(parents=True)
    with pytest.raises(TransientError, match="sifs could not be listed"):
        shelf.look()


def test_a_file_goes_with_the_last_mark(shelf: Shelf) -> None:
    one, two, three = shelf.sif("one"), shelf.sif("two"), shelf.sif("three")
    ours = [shelf.mark(one), shelf.mark(two)]
    theirs = shelf.mark(two, instance=OTHER)
    cleared = shelf.clear((one, "box 1"), (two, "box 1"), (three, ""))
    assert [(each.identity, each.why) for each in cleared] == [
        (one, ""),
        (two, f"used by instance {OTHER}"),
        (three, ""),
    ]
    assert shelf.there() == {two}
    assert [path.exists() for path in ours] == [False, False]
    assert theirs.exists()
    assert shelf.look().leftovers == ()


def test_a_mark_that_was_written_since_keeps_the_file(shelf: Shelf) -> None:
    """Another controller of the same instance has begun to use it: its mark has another text, or is the first."""
    one, two = shelf.sif("one"), shelf.sif("two")
    marks = [shelf.mark(one, "box 2"), shelf.mark(two, "box 1")]
    cleared = shelf.clear((one, "box 1"), (two, ""))
    assert all("come into use again" in each.why for each in cleared)
    assert shelf.there() == {one, two}
    assert all(mark.exists() for mark in marks)


@pytest.mark.parametrize("instance", [OTHER, ""])
def test_a_mark_that_comes_with_the_file_set_aside_puts_it_back(shelf: Shelf, instance: str) -> None:
    """Whoever submits marks first and looks afterwards; what was taken from under it is back."""
    one = shelf.sif("one")
    shelf.mark(one)
    theirs = shelf.root / (instance or shelf.place.instance) / "uses" / one
    theirs.parent.mkdir(parents=True, exist_ok=True)
    late = f'mv() {{ command mv "$@"; case $1 in */{one}.sif) echo box late >{theirs};; esac; }}'
    [cleared] = shelf.clear((one, "box 1"), prefix=late)
    assert "come into use again" in cleared.why
    assert shelf.there() == {one}
    assert theirs.read_text() == "box late\n"


def test_a_file_that_is_being_made_is_left_alone(shelf: Shelf) -> None:
    """The lock is the one that a conversion takes."""
    one = shelf.sif("one")
    shelf.mark(one)
    lock = shelf.root / "images" / f".lock.{one}"
    [cleared] = shelf.clear((one, "box 1"), prefix=f"exec 8>{lock}; flock 8")
    assert "conversion" in cleared.why
    assert shelf.there() == {one}


def test_what_a_killed_one_set_aside_comes_back_for_who_needs_it(shelf: Shelf) -> None:
    """With a mark it is put back, also with the mark itself set aside; without any it goes."""
    for number, word in enumerate(("wanted", "given up", "nobody's")):
        identity = shelf.sif(word)
        images = shelf.root / "images"
        (images / f"{identity}.sif").rename(images / f".pruned.{identity}.0.sif")
        if number == 0:
            shelf.mark(identity, instance=OTHER)
        if number == 1:
            mark = shelf.mark(identity)
            mark.rename(mark.with_name(f".given-up.{identity}.0"))
    assert shelf.clear() == []
    assert shelf.there() == {digest_of("wanted"), digest_of("given up")}
    assert {mark.identity for mark in shelf.look().marks} == shelf.there()
    assert shelf.look().leftovers == ()


def test_a_submission_whose_image_is_gone_is_not_made(shelf: Shelf) -> None:
    """It marks, looks, and says so; with the file there it goes through, and its manifest names the image."""
    box = values.image("box")
    task = values.task()
    batch = replace(shelf.place.batch(task), image=box)
    end = shelf.place.send(batch)
    assert end.end is SubmitEnd.FAILED
    assert end.error is not None
    assert end.error.reason == "ImageGone"
    assert not (shelf.root / shelf.place.instance / "submissions" / batch.batch).exists()
    (shelf.root / "images" / f"{box.identity}.sif").write_text("x")
    assert shelf.place.send(batch).end is SubmitEnd.SUBMITTED
    seen = shelf.look(batch.batch)
    assert dict(seen.batches) == {batch.batch: box.identity}
    assert [(mark.identity, mark.image) for mark in seen.marks] == [(box.identity, "box")]
