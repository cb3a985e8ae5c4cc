"""What is uploaded for an image: whole or not at all, from where it was interrupted, and by one at a time."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import threading
from pathlib import Path

import pytest

from controller.clusters.cluster import ClusterClient
from controller.clusters.images import ClusterImages, Upload
from controller.clusters.local import LocalTransport
from controller.model.errors import AmbiguousError, TransientError, WaitingError
from controller.model.files import Source
from controller.model.resources import Cluster
from controller.schedulers import scheduler_named

DATA = os.urandom(3_000_000)
IN_THE_PIPE = 1_000_000
"""What may be on its way before the other side has said how much it has."""
SHA256 = hashlib.sha256(DATA).hexdigest()


class Interrupted(io.BytesIO):
    """A file that can be read so far only."""

    def __init__(self, data: bytes, readable: int) -> None:
        super().__init__(data)
        self.readable_bytes = readable
        self.taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.readable_bytes:
            raise OSError("the disk is gone")
        chunk = super().read(size)
        self.taken += len(chunk)
        return chunk


@pytest.fixture
def images(tmp_path: Path) -> ClusterImages:
    """The images of this machine as a cluster."""
    cluster = Cluster(
        name="here", source=Source(path="a", line=1, commit="c"), scheduler="local", workdir=str(tmp_path / "work")
    )
    return ClusterClient(cluster, LocalTransport(), scheduler_named("local"), instance="inst").images


def upload_of(data: bytes, file: io.BytesIO | None = None) -> Upload:
    return Upload(file=file or io.BytesIO(data), size=len(data), sha256=hashlib.sha256(data).hexdigest())


def arrived(tmp_path: Path) -> bytes:
    (path,) = (tmp_path / "work" / "images").glob(".upload.*")
    return path.read_bytes()


def test_all_of_it_arrives(images: ClusterImages, tmp_path: Path) -> None:
    said: list[int] = []
    images.upload(upload_of(DATA), progress=said.append)
    assert arrived(tmp_path) == DATA
    assert said[-1] == len(DATA)
    assert (tmp_path / "work" / ".controller").exists()


def test_it_goes_on_where_it_was_interrupted(images: ClusterImages, tmp_path: Path) -> None:
    """What had arrived is not sent again."""
    with pytest.raises(AmbiguousError):
        images.upload(upload_of(DATA, Interrupted(DATA, 1_500_000)))
    there = len(arrived(tmp_path))
    assert 0 < there < len(DATA)
    file = Interrupted(DATA, len(DATA) + 1)
    images.upload(upload_of(DATA, file))
    assert arrived(tmp_path) == DATA
    assert file.taken < len(DATA) - there + IN_THE_PIPE


def test_what_is_there_is_not_sent_again(images: ClusterImages) -> None:
    images.upload(upload_of(DATA))
    file = Interrupted(DATA, len(DATA) + 1)
    images.upload(upload_of(DATA, file))
    assert file.taken < IN_THE_PIPE


@pytest.mark.parametrize("there", [len(DATA), 1000])
def test_what_is_damaged_is_never_used(images: ClusterImages, tmp_path: Path, there: int) -> None:
    """Other bytes under its name: told of, thrown away, and the next try starts clean."""
    place = tmp_path / "work" / "images" / f".upload.{SHA256}"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x" * there)
    with pytest.raises(TransientError) as caught:
        images.upload(upload_of(DATA))
    assert caught.value.reason == "UploadFailed"
    assert "damaged" in caught.value.message
    assert not place.exists()
    images.upload(upload_of(DATA))
    assert place.read_bytes() == DATA


def test_one_at_a_time(images: ClusterImages, tmp_path: Path) -> None:
    """While one uploads, the other waits: it is not an error, and nothing is mixed."""
    place = tmp_path / "work" / "images" / f".upload.{SHA256}"
    place.parent.mkdir(parents=True)
    place.touch()
    holder = subprocess.Popen(["flock", str(place), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WaitingError) as caught:
            images.upload(upload_of(DATA))
        assert caught.value.reason == "UploadBusy"
    finally:
        holder.communicate()
    images.upload(upload_of(DATA))
    assert place.read_bytes() == DATA


def test_two_at_once_leave_one_whole(images: ClusterImages, tmp_path: Path) -> None:
    """Whoever is second waits or finds it there."""
    errors: list[BaseException] = []

    def upload() -> None:
        try:
            images.upload(upload_of(DATA))
        except (WaitingError, TransientError) as error:
            errors.append(error)

    threads = [threading.Thread(target=upload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    images.upload(upload_of(DATA))
    assert arrived(tmp_path) == DATA
    assert len(errors) < 3
