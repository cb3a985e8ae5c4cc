"""An image brought to a cluster, by the way that its plan names."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, assert_never, cast

from filelock import FileLock, Timeout

from controller.clusters.images import Material, Upload
from controller.containers.conversion import convert_here, require_program
from controller.containers.registry import is_loopback
from controller.model.errors import ControllerError, WaitingError
from controller.model.failpoints import failpoint
from controller.model.images import Image, RegistryImage
from controller.model.plans import Carrier, Place, PublishImage
from controller.reconcile.hands import Hands, Outcomes
from controller.specs.references import reference_of

_ARCHIVE = "image.tar"
_SIF = "image.sif"


def publish(hands: Hands, action: PublishImage, scheduler_version: str = "") -> Outcomes:
    """Take an image from where it is to the cluster, as a SIF; or give that to a job there.

    Raises:
        TransientError, WaitingError: see ``ClusterImages``; what is half done is taken up by the next try. Or another
            process with the same state directory is at it (``UnderwayElsewhere``).
    """
    with _held(_own_directory(hands.state_dir, action)):
        return _publish(hands, action, scheduler_version)


def _publish(hands: Hands, action: PublishImage, scheduler_version: str) -> Outcomes:
    images = hands.client_of(action.cluster.name).images
    identity = action.image.identity
    if action.over:
        hands.say(action.key, f"an earlier conversion is over: {action.over_why}")
        images.clear_conversion(identity, over=action.over, why=action.over_why)
    directory = _own_directory(hands.state_dir, action)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        failpoint("publish.before")
        material = replace(_material(hands, action, directory), name=action.image.name)
        if action.route.place is Place.JOB:
            now = hands.clock()
            hands.journal.add_submits(action.cluster.name, [now], now=now)
            end = images.submit_conversion(identity, material, scheduler_version=scheduler_version)
            hands.say(action.key, f"given to a job: {end}")
        else:
            hands.say(action.key, "checking the SIF" if material.is_sif else "converting to SIF")
            images.convert(identity, material)
    except ControllerError:
        # A SIF that is made stays for the next try; an archive is the same whenever it is saved.
        (directory / _ARCHIVE).unlink(missing_ok=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)
    failpoint("publish.after")
    return {action.key: None}


def clear_leftovers(state_dir: Path, wanted: Iterable[Image]) -> None:
    """Take away what was saved for images that nobody asks for any more."""
    keep = {image.identity for image in wanted}
    for place in (state_dir / "publishing").glob("*"):
        if place.is_dir() and place.name.rpartition("-")[2] not in keep:
            with suppress(WaitingError), _held(place):
                shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Hold a directory against other processes: `controller reconcile` may run beside the service's long actions."""
    locks = directory.parent.parent / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{directory.parent.name}-{directory.name}")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        message = "another process of this controller is bringing the image to the cluster; wait for it"
        raise WaitingError("UnderwayElsewhere", message) from error
    try:
        yield
    finally:
        lock.release()


def _own_directory(state_dir: Path, action: PublishImage) -> Path:
    return state_dir / "publishing" / f"{action.cluster.name}-{action.image.identity}"


def _material(hands: Hands, action: PublishImage, directory: Path) -> Material:
    """Bring what the SIF is made from to where that happens."""
    image, route = action.image, action.route
    if route.place is Place.CONTROLLER and (directory / _SIF).exists():
        return Material(upload=_upload(hands, action, directory / _SIF), is_sif=True)
    if route.place is Place.CONTROLLER:
        require_program()
    match route.carrier:
        case Carrier.ARCHIVE:
            hands.say(action.key, "saving the image")
            hands.engine.tag(image)
            archive = directory / _ARCHIVE
            with archive.open("wb") as file:
                hands.engine.archive(image, file)
            if route.place is Place.CONTROLLER:
                return _converted(hands, action, f"oci-archive:{archive}", directory)
            return Material(upload=_upload(hands, action, archive))
        case Carrier.PUSHED:
            assert image.registry is not None
            hands.say(action.key, f"pushing to {image.registry}")
            hands.engine.tag(image)
            digest = hands.engine.push(image, say=lambda line: hands.say(action.key, line))
            reference = f"{image.registry}@{digest}"
        case Carrier.PULLED:
            assert isinstance(image.origin, RegistryImage)
            named = reference_of(image.origin.reference)
            reference = f"{named.host}/{named.path}@{image.origin.digest}"
        case _:
            assert_never(route.carrier)
    insecure = is_loopback(reference.partition("/")[0])
    if route.place is Place.CONTROLLER:
        return _converted(hands, action, f"docker://{reference}", directory, insecure=insecure)
    return Material(reference=reference, insecure=insecure)


def _converted(hands: Hands, action: PublishImage, source: str, directory: Path, *, insecure: bool = False) -> Material:
    hands.say(action.key, "converting to SIF here")
    convert_here(source, directory / _SIF, scratch=directory, insecure=insecure)
    (directory / _ARCHIVE).unlink(missing_ok=True)
    return Material(upload=_upload(hands, action, directory / _SIF), is_sif=True)


def _upload(hands: Hands, action: PublishImage, path: Path) -> str:
    """Upload a file; return its SHA-256."""
    size = path.stat().st_size
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        upload = Upload(file=cast(IO[bytes], file), size=size, sha256=sha256)
        images = hands.client_of(action.cluster.name).images
        images.upload(upload, progress=_percents(size, lambda line: hands.say(action.key, line)))
    failpoint("publish.uploaded")
    return sha256


def _percents(size: int, say: Callable[[str], None]) -> Callable[[int], None]:
    """Say every tenth of an upload."""
    shown = -1

    def progress(there: int) -> None:
        nonlocal shown
        percent = 100 * there // size if size else 100
        if percent // 10 > shown // 10 or shown < 0:
            shown = percent
            say(f"uploading: {percent} % of {size / 1e6:.0f} MB")

    return progress
