"""An engine to try things on: contexts made of text, and the longer way round by the Docker SDK."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from controller.containers.building import Follower
from controller.containers.engine import IDENTITY_LABEL, Engine
from controller.model.digests import digest_of
from controller.model.files import FileSet, Source
from controller.model.images import Build, Image
from controller.model.stored import EngineImage

BASE = "controller-tests/small:1"
PROGRAMS = "sh true false cat head tr tee base64 sed test"
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
        follower = Follower(name=image.name, dockerfile=dockerfile, log=self.log, say=self.said.append)
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
