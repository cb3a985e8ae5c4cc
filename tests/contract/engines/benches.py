"""An engine to try things on: contexts made of text, and the longer way round by the Docker SDK."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.containers.building import Follower
from controller.containers.engine import IDENTITY_LABEL, Engine
from controller.model.digests import digest_of
from controller.model.files import FileSet, Source
from controller.model.images import Build, Image
from controller.model.stored import EngineImage
from controller.reconcile.archives import write_tar
from tests.unit.specs.trees import MemoryTree

BASE = "controller-tests/small:1"
PROGRAMS = "sh true false cat head tr tee base64 sed test sleep"
RECIPE = f"""
FROM debian:trixie-slim AS all
RUN mkdir -p /small/bin /small/dev /small/etc /small/proc /small/sys /small/tmp /small/var/tmp \\
 && for name in {PROGRAMS}; do cp -L /usr/bin/$name /small/bin/; done \\
 && cp --parents -L $(ldd /small/bin/* | grep -o '/[^ :]*[^: ]' | grep -v /small | sort -u) /small/
FROM scratch
COPY --from=all /small/ /
"""
"""A shell and a handful of programs, so that no engine has to copy a distribution for each layer."""


@dataclass
class Bench:
    """One engine. What a build said is in ``log``, its steps in ``said``."""

    kind: str
    engine: Engine
    instance: str
    log: io.StringIO = field(default_factory=io.StringIO)
    said: list[str] = field(default_factory=list)
    on_step: Callable[[str], None] = lambda step: None

    def image(self, name: str = "box", *, rebuild: str = "") -> Image:
        """Return an image; its identity is this test's own."""
        origin = Build(context=FileSet(tree="", entries=(), commit="c" * 40))
        return Image(
            name=name,
            source=Source(path="a.yaml", line=1, commit="c" * 40),
            identity=digest_of([self.instance, name, rebuild]),
            origin=origin,
            rebuild=rebuild,
        )

    def build(self, image: Image, dockerfile: str, files: Mapping[str, str] | None = None, **fields: Any) -> str:
        """Build an image of a Dockerfile and files; return the log of this build."""
        self.log, self.said = io.StringIO(), []
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        context.seek(0)
        build = Build(context=FileSet(tree="", entries=(), commit="c" * 40), **fields)

        def say(step: str) -> None:
            self.said.append(step)
            self.on_step(step)

        follower = Follower(name=image.name, dockerfile=dockerfile, log=self.log, say=say)
        self.engine.build(image, build, context, instance=self.instance, follower=follower)
        return self.log.getvalue()

    def build_as_sent(self, image: Image, files: Mapping[str, bytes | str]) -> str:
        """Build from a commit's files in the archive that the controller makes of them; return the log."""
        self.log = io.StringIO()
        tree, context = MemoryTree(files), io.BytesIO()
        write_tar(context, [("", tree, tree.entries())])
        context.seek(0)
        build = Build(context=FileSet(tree="", entries=(), commit="c" * 40))
        follower = Follower(name=image.name, dockerfile="", log=self.log, say=lambda step: None)
        self.engine.build(image, build, context, instance=self.instance, follower=follower)
        return self.log.getvalue()

    def mine(self) -> list[EngineImage]:
        """Return the images of this test's instance."""
        return [image for image in self.engine.images() if image.instance == self.instance]

    def one(self, image: Image) -> EngineImage:
        """Return an image as the engine has it."""
        [found] = [each for each in self.engine.images() if each.identity == image.identity]
        return found

    @contextmanager
    def sdk(self) -> Iterator[Any]:
        """Yield a client of the Docker SDK."""
        import docker

        client = docker.from_env(timeout=60)
        try:
            yield client.api
        finally:
            client.close()

    def clear(self) -> None:
        """Take away what the test has built; layers are kept for the next."""
        with self.sdk() as client, suppress(Exception):
            for _ in range(3):
                for image in client.images(filters={"label": IDENTITY_LABEL}):
                    if image["Labels"].get("controller.instance") == self.instance:
                        client.remove_image(image["Id"], force=True, noprune=True)


class Cable:
    """A socket that leads to an engine's until it is cut, as it is when the daemon dies."""

    def __init__(self, path: Path) -> None:
        self._far = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        self._held: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.host = f"unix://{path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and take no more."""
        for held in [self._listener, *self._held]:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._far)
                self._held += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
