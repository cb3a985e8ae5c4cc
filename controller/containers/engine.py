"""The Docker Engine: which of our images it has, builds with a log, archives, removal.

Ownership is the label ``controller.identity``: images without it are never looked at. An image is whole when it also
has the name that a build gives at its very end: the layers of a build that failed may carry the label as well. The
builder is the classic one of the Engine API, the only one that its SDK speaks. Podman's socket speaks the same API;
where its answers differ, what is relied on is what both have.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from controller.containers.buildfaults import fault_of
from controller.containers.building import Follower
from controller.containers.oci import write_archive
from controller.model.digests import short
from controller.model.errors import ControllerError, TransientError
from controller.model.images import Build, Image, RegistryImage
from controller.model.observed import EngineObservation
from controller.model.stored import EngineImage
from controller.specs.references import HUB, Reference

if TYPE_CHECKING:
    from docker import APIClient

IDENTITY_LABEL = "controller.identity"
_ANSWER_S = 20
_BUILD_SILENCE_S = 3600


class Engine:
    """A Docker Engine as ``DOCKER_HOST`` and its companions name it; connected to on first use."""

    def observe(self) -> EngineObservation:
        """Return the identities that are there; Unknown, with the reason, when the engine does not answer."""
        try:
            with connected(_ANSWER_S) as client:
                images = client.images(filters={"label": IDENTITY_LABEL})
        except ControllerError as error:
            return EngineObservation(images=None, error_reason=error.reason, error=error.message)
        return EngineObservation(images=frozenset(image.identity for image in map(_read, images) if image.names))

    def images(self) -> tuple[EngineImage, ...]:
        """Return every image of the controller's, of all instances, oldest first.

        Raises:
            TransientError: the engine does not answer.
        """
        with connected(_ANSWER_S) as client:
            found = client.images(filters={"label": IDENTITY_LABEL})
            used = {str(container["ImageID"]) for container in client.containers(all=True)}
        return tuple(sorted((_read(image, used) for image in found), key=lambda image: (image.created, image.id)))

    def remove(self, image: EngineImage) -> None:
        """Take away the names that builds gave an image, and with the last of them the image.

        Raises:
            TransientError: the engine does not answer, or a container uses the image (``ImageInUse``).
        """
        from docker.errors import NotFound

        with connected(_ANSWER_S) as client:
            for name in image.names or (image.id,):
                try:
                    # By its own name only, and never by force: another name, or a container, keeps it.
                    client.remove_image(name)
                except NotFound:
                    continue

    def build(self, image: Image, build: Build, context: IO[bytes], *, instance: str, follower: Follower) -> None:
        """Build an image from a tar of its context; ``follower`` is told of everything that the engine says.

        Raises:
            TransientError: the build failed (``BuildFailed``, with the step and the last lines) or the engine went
                away (``EngineUnavailable``).
            StalledError: the Dockerfile has to be changed first (``DockerfileInvalid``, ``BuildKitNeeded``).
        """
        from docker.errors import APIError

        with connected(_BUILD_SILENCE_S) as client:
            stream = client.build(
                fileobj=context,
                custom_context=True,
                dockerfile=build.dockerfile,
                buildargs=dict(build.args),
                target=build.target or "",
                nocache=bool(image.rebuild),
                tag=_name_of(image),
                labels={
                    "created_by": "controller",
                    IDENTITY_LABEL: image.identity,
                    "controller.name": image.name,
                    "controller.instance": instance,
                    "controller.commit": image.source.commit,
                },
                rm=True,
                forcerm=True,
                decode=True,
            )
            try:
                follower.follow(stream)
            except APIError as error:
                # What cannot be parsed is refused before the first step.
                said = str(error.explanation or error)
                if fault_of(said, follower.dockerfile) is not None:
                    raise follower.failed(said) from error
                raise
            # A stream that was cut between two chunks looks like one that ended.
            if _id_of(client, image.identity) is None:
                message = (
                    f"image {image.name}: the engine stopped before the build had an end. See the engine's own log"
                )
                raise TransientError("EngineUnavailable", message)

    def archive(self, image: Image, target: IO[bytes]) -> None:
        """Write the image as an OCI archive to ``target``, a file that can be sought in.

        Raises:
            TransientError: the engine went away or no longer has the image; not all of it was saved
                (``ArchiveIncomplete``), or the controller's disk is full (``DiskFull``).
        """
        with connected(_BUILD_SILENCE_S) as client:
            try:
                write_archive(client.get_image(_name_of(image), chunk_size=1 << 20), target)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise TransientError(
                    "DiskFull",
                    f"the controller's own disk, or its quota, is full ({error.strerror}): image {image.name} "
                    "cannot be saved; make room where state_dir is, or set that elsewhere",
                ) from error

    def named(self, reference: Reference) -> tuple[str, frozenset[str]] | None:
        """Return the id of the image that the engine has by a name, and the digests that registries have it under.

        None when it has none. A name with a digest is not asked for here: it needs no answer.

        Raises:
            TransientError: the engine did not answer.
        """
        name = reference.path.removeprefix("library/") if reference.host == HUB else reference.name
        with connected(_ANSWER_S) as client:
            found = client.images(name=f"{name}:{reference.tag}")
            if not found:
                return None
            names = found[0].get("RepoDigests") or []
            digests = frozenset(digest for each, _, digest in (text.partition("@") for text in names) if each == name)
            return str(found[0]["Id"]), digests

    def push(self, image: Image, *, say: Callable[[str], None]) -> str:
        """Push an image to its registry, its identity as the tag; return the digest that it has there.

        Credentials are those of ``docker login``.

        Raises:
            TransientError: the registry does not let us (``RegistryUnauthorized``) or something went wrong.
        """
        assert image.registry is not None
        with connected(_BUILD_SILENCE_S) as client:
            client.tag(f"controller/{image.name}:{short(image.identity)}", image.registry, short(image.identity))
            digest = ""
            for chunk in client.push(image.registry, tag=short(image.identity), stream=True, decode=True):
                if "error" in chunk:
                    raise push_refused(image, str(chunk["error"]))
                if chunk.get("status") in ("Preparing", "Layer already exists", "Pushed"):
                    say(f"{chunk['status'].lower()}: layer {chunk.get('id', '')}")
                digest = (chunk.get("aux") or {}).get("Digest", digest)
        if not digest:
            raise TransientError("PushFailed", f"image {image.name}: {image.registry} named no digest after the push")
        return digest

    def tag(self, image: Image) -> None:
        """Give an image that the engine has by identity the name that ``archive`` asks for."""
        if isinstance(image.origin, RegistryImage):
            return
        with connected(_ANSWER_S) as client:
            found = _id_of(client, image.identity)
            if found is None:
                raise TransientError("ImageGone", f"image {image.name} is no longer on the Docker Engine")
            client.tag(found, f"controller/{image.name}", short(image.identity))


def _name_of(image: Image) -> str:
    """What the engine calls an image: by its id one that it has from elsewhere, by our name one that it built."""
    if isinstance(image.origin, RegistryImage):
        return image.origin.digest
    return f"controller/{image.name}:{short(image.identity)}"


@contextmanager
def connected(timeout_s: int) -> Iterator[APIClient]:
    """Yield a connected client; whatever the SDK raises inside becomes one of our errors.

    The SDK takes longer to import than a pass without it takes, so it is imported here.
    """
    from http.client import HTTPException

    import docker
    import requests
    import urllib3
    from docker.errors import APIError, DockerException

    try:
        client = docker.from_env(timeout=timeout_s).api
        try:
            yield client
        finally:
            client.close()
    except APIError as error:
        detail = str(error.explanation or error).strip()
        if error.status_code == 409:
            raise TransientError("ImageInUse", f"the Docker Engine keeps an image: {detail}") from error
        raise TransientError("EngineRefused", f"the Docker Engine refused: {detail}") from error
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        named = os.environ.get("DOCKER_HOST")
        raise TransientError(
            "EngineUnavailable",
            f"no Docker Engine answers{f' at {named}' if named else ''} ({_cause(error)}). "
            "Start it, or set DOCKER_HOST to one that runs",
        ) from error


def _id_of(client: APIClient, identity: str) -> str | None:
    """Return an image's id by its identity."""
    found = map(_read, client.images(filters={"label": f"{IDENTITY_LABEL}={identity}"}))
    return next((image.id for image in found if image.names), None)


def _read(image: dict[str, Any], used: Set[str] = frozenset()) -> EngineImage:
    labels = image["Labels"]
    identity = str(labels[IDENTITY_LABEL])
    names = [str(name) for name in image.get("RepoTags") or () if name != "<none>:<none>"]
    # The controller's names, whatever registry Podman or a push has put before them: nobody else tags by identity.
    ours = [name for name in names if name.endswith(f":{short(identity)}")]
    return EngineImage(
        id=str(image["Id"]),
        identity=identity,
        name=str(labels.get("controller.name", "")),
        instance=str(labels.get("controller.instance", "")),
        commit=str(labels.get("controller.commit", "")),
        size=int(image["Size"]),
        created=float(image["Created"]),
        names=tuple(ours),
        foreign_names=tuple(sorted(set(names) - set(ours))),
        in_container=str(image["Id"]) in used,
    )


def _cause(error: BaseException) -> str:
    text = str(error)
    if "FileNotFoundError" in text or "No such file" in text:
        return "there is no socket"
    if "Permission denied" in text or "PermissionError" in text:
        return "permission denied: is this user in the group docker?"
    if "refused" in text:
        return "connection refused"
    return text.splitlines()[0][:200] if text else type(error).__name__


def push_refused(image: Image, said: str) -> TransientError:
    """Return what a registry's refusal means, from the engine's words."""
    words = said.lower()
    if any(sign in words for sign in ("unauthorized", "no basic auth", "denied", "authentication required")):
        return TransientError(
            "RegistryUnauthorized",
            f"image {image.name}: {image.registry} refuses the push: {said}. "
            f"Log in on the controller's machine: docker login {str(image.registry).partition('/')[0]}",
        )
    if any(sign in words for sign in ("connection refused", "no such host", "timeout", "server gave http response")):
        return TransientError("RegistryUnreachable", f"image {image.name}: {image.registry} cannot be reached: {said}")
    return TransientError("PushFailed", f"image {image.name}: the push to {image.registry} failed: {said}")
