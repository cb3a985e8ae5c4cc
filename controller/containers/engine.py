"""The Docker Engine: which of our images it has, builds with a log, archives.

Ownership is the label ``controller.identity``: images without it are never looked at. The builder is the classic one
of the Engine API, the only one that its SDK speaks.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from controller.model.digests import short
from controller.model.errors import ControllerError, StalledError, TransientError
from controller.model.images import Build, Image, RegistryImage
from controller.model.observed import EngineObservation
from controller.specs.references import HUB, Reference

if TYPE_CHECKING:
    from docker import APIClient

IDENTITY_LABEL = "controller.identity"
_ANSWER_S = 20
_BUILD_SILENCE_S = 3600
_TAIL = 15


class Engine:
    """A Docker Engine as ``DOCKER_HOST`` and its companions name it; connected to on first use."""

    def observe(self) -> EngineObservation:
        """Return the identities that are there; Unknown, with the reason, when the engine does not answer."""
        try:
            with _client(_ANSWER_S) as client:
                images = client.images(filters={"label": IDENTITY_LABEL})
        except ControllerError as error:
            return EngineObservation(images=None, error_reason=error.reason, error=error.message)
        return EngineObservation(images=frozenset(str(image["Labels"][IDENTITY_LABEL]) for image in images))

    def build(
        self, image: Image, build: Build, context: IO[bytes], *, instance: str, log: IO[str], say: Callable[[str], None]
    ) -> None:
        """Build an image from a tar of its context.

        Every line goes to ``log``; ``say`` gets the steps' headlines.

        Raises:
            TransientError: the build failed (``BuildFailed``, with the step and the last lines) or the engine went
                away (``EngineUnavailable``).
            StalledError: the Dockerfile cannot be parsed (``DockerfileInvalid``).
        """
        with _client(_BUILD_SILENCE_S) as client:
            stream = client.build(
                fileobj=context,
                custom_context=True,
                dockerfile=build.dockerfile,
                buildargs=dict(build.args),
                target=build.target or "",
                tag=f"controller/{image.name}:{short(image.identity)}",
                labels={
                    IDENTITY_LABEL: image.identity,
                    "controller.name": image.name,
                    "controller.instance": instance,
                    "controller.commit": image.source.commit,
                },
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(image, stream, log, say)

    def archive(self, image: Image, target: IO[bytes]) -> int:
        """Write the image as a Docker archive to ``target``; return its size in bytes.

        Raises:
            TransientError: the engine went away or no longer has the image.
        """
        size = 0
        with _client(_BUILD_SILENCE_S) as client:
            for chunk in client.get_image(_name_of(image), chunk_size=1 << 20):
                target.write(chunk)
                size += len(chunk)
        return size

    def named(self, reference: Reference) -> tuple[str, frozenset[str]] | None:
        """Return the id of the image that the engine has by a name, and the digests that registries have it under.

        None when it has none. A name with a digest is not asked for here: it needs no answer.

        Raises:
            TransientError: the engine did not answer.
        """
        name = reference.path.removeprefix("library/") if reference.host == HUB else reference.name
        with _client(_ANSWER_S) as client:
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
        with _client(_BUILD_SILENCE_S) as client:
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
        with _client(_ANSWER_S) as client:
            found = client.images(filters={"label": f"{IDENTITY_LABEL}={image.identity}"})
            if not found:
                raise TransientError("ImageGone", f"image {image.name} is no longer on the Docker Engine")
            client.tag(found[0]["Id"], f"controller/{image.name}", short(image.identity))


def _name_of(image: Image) -> str:
    """What the engine calls an image: by its id one that it has from elsewhere, by our name one that it built."""
    if isinstance(image.origin, RegistryImage):
        return image.origin.digest
    return f"controller/{image.name}:{short(image.identity)}"


@contextmanager
def _client(timeout_s: int) -> Iterator[APIClient]:
    """Yield a connected client; whatever the SDK raises inside becomes one of our errors.

    The SDK takes longer to import than a pass without it takes, so it is imported here.
    """
    import docker
    import requests
    from docker.errors import APIError, DockerException

    try:
        client = docker.from_env(timeout=timeout_s).api
        try:
            yield client
        finally:
            client.close()
    except APIError as error:
        detail = str(error.explanation or error).strip()
        if "dockerfile parse error" in detail.lower():
            raise StalledError("DockerfileInvalid", detail) from error
        raise TransientError("EngineRefused", f"the Docker Engine refused: {detail}") from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise TransientError(
            "EngineUnavailable",
            f"no Docker Engine answers ({_cause(error)}). Start it, or set DOCKER_HOST to one that runs",
        ) from error


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


def _follow(image: Image, stream: Iterator[dict[str, Any]], log: IO[str], say: Callable[[str], None]) -> None:
    """Read a build's stream to its end. A failed step is only an ``error`` chunk in it."""
    step = ""
    tail: deque[str] = deque(maxlen=_TAIL)
    for chunk in stream:
        if "error" in chunk:
            log.write(f"{chunk['error']}\n")
            lines = "\n".join(tail)
            raise TransientError(
                "BuildFailed", f"image {image.name}: {step or 'the build'} failed: {chunk['error']}\n{lines}"
            )
        text = chunk.get("stream") or ""
        if not text and "status" in chunk and "progress" not in chunk:
            text = f"{chunk['status']}\n"
        if not text and "aux" in chunk:
            text = f"{json.dumps(chunk['aux'])}\n"
        log.write(text)
        log.flush()
        for line in text.splitlines():
            if line.strip():
                tail.append(line)
            if line.startswith("Step "):
                step = line.strip()
                say(step)
