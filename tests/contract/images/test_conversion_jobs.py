"""A conversion by job belongs to one controller at a time, and what it failed of is told once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from controller.clusters.cluster import ClusterClient, Look
from controller.clusters.images import ClusterImages, ConversionEnd, Material
from controller.clusters.local import LocalTransport
from controller.model.errors import TransientError
from controller.model.files import Source
from controller.model.observed import Conversion
from controller.model.resources import Cluster
from controller.schedulers import scheduler_named
from tests.e2e.harness import wait_for

IDENTITY = "ab" * 32
BROKEN = """#!/bin/sh
if [ "$1 $2" = "build --help" ]; then exit; fi
echo "no such layer" >&2
exit 3
"""


def client(workdir: Path, instance: str) -> ClusterClient:
    """This machine, whose Apptainer always fails."""
    programs = workdir.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "apptainer").write_text(BROKEN)
    (programs / "apptainer").chmod(0o755)
    cluster = Cluster(
        name="here",
        source=Source(path="a", line=1, commit="c"),
        scheduler="local",
        workdir=str(workdir),
        setup=f"PATH={programs}:$PATH",
        convert_on="job",
    )
    return ClusterClient(cluster, LocalTransport(), scheduler_named("local"), instance=instance)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """An upload that is there."""
    images = tmp_path / "work" / "images"
    images.mkdir(parents=True)
    (images / f".upload.{'c' * 64}").write_bytes(b"archive")
    return Material(upload="c" * 64)


def conversion(of: ClusterClient) -> Conversion | None:
    """What one look says of it."""
    seen = of.observe(Look())
    assert seen.conversions is not None, seen.faults
    return seen.conversions.get(IDENTITY)


def test_of_several_one_submits(tmp_path: Path, material: Material) -> None:
    clients = [client(tmp_path / "work", f"inst-{number}") for number in range(3)]
    ends: list[ConversionEnd] = []

    def submit(images: ClusterImages) -> None:
        ends.append(images.submit_conversion(IDENTITY, material))

    threads = [threading.Thread(target=submit, args=(each.images,)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ends) == [ConversionEnd.BUSY, ConversionEnd.BUSY, ConversionEnd.SUBMITTED]

    # Every controller sees whose it is and how it ended; whoever takes that up clears it away.
    failed = wait_for("it fails", lambda: (found := conversion(clients[0])) and found.failure and found)
    assert failed.failure.startswith("ConversionFailed the conversion to SIF failed: no such layer")
    assert failed.instance in {"inst-0", "inst-1", "inst-2"}
    with pytest.raises(TransientError) as caught:
        clients[2].images.clear_conversion(IDENTITY, over=str(failed.job_id), why=failed.failure)
    assert caught.value.reason == "ConversionFailed"
    assert "no such layer" in caught.value.message
    assert conversion(clients[1]) is None


def test_what_is_under_way_is_not_cleared_away(tmp_path: Path, material: Material) -> None:
    """A controller that has seen another job than the one that is at it by now takes nothing away."""
    mine = client(tmp_path / "work", "inst")
    making = tmp_path / "work" / "images" / f".making.{IDENTITY}"
    making.mkdir()
    (making / "job_id").write_text("12\n")
    mine.images.clear_conversion(IDENTITY, over="11", why="TIMEOUT")
    assert making.exists()
    assert mine.images.submit_conversion(IDENTITY, material) is ConversionEnd.BUSY
    with pytest.raises(TransientError) as caught:
        mine.images.clear_conversion(IDENTITY, over="12", why="TIMEOUT")
    assert caught.value.reason == "ConversionLost"
    assert "TIMEOUT" in caught.value.message
    assert not making.exists()


def test_a_submit_that_became_no_job_is_made_up_for(tmp_path: Path, material: Material) -> None:
    mine = client(tmp_path / "work", "inst")
    making = tmp_path / "work" / "images" / f".making.{IDENTITY}"
    making.mkdir()
    mine.images.clear_conversion(IDENTITY, over="-", why="it was never submitted")
    assert not making.exists()
    assert mine.images.submit_conversion(IDENTITY, material) is ConversionEnd.SUBMITTED
    wait_for("it fails", lambda: (found := conversion(mine)) and found.failure)
