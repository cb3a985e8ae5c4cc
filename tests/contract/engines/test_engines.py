"""What every engine does: builds that succeed and fail, archives, names, what is there, and what may be taken away."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.containers.engine import Engine
from controller.model.errors import StalledError, TransientError
from tests.conftest import Sandbox
from tests.contract.engines.benches import BASE, Bench, Cable

SMALL = f"FROM {BASE}\nRUN echo word >/word\n"


def test_an_image_that_was_built_is_there_with_its_labels(bench: Bench) -> None:
    """Identity, name, instance, commit and who made it are labels; the log has every step."""
    image = bench.image()
    before = bench.engine.observe().images
    assert before is not None
    assert image.identity not in before
    log = bench.build(image, SMALL)
    assert image.identity in (bench.engine.observe().images or ())
    [found] = bench.mine()
    assert (found.identity, found.name, found.commit) == (image.identity, "box", "c" * 40)
    assert len(found.names) == 1
    assert found.foreign_names == ()
    assert found.size > 1_000_000
    assert found.created > 1_600_000_000
    assert not found.in_container
    with bench.sdk() as client:
        assert client.inspect_image(found.id)["Config"]["Labels"]["created_by"] == "controller"
    assert any("RUN echo word" in step for step in bench.said)
    assert "RUN echo word" in log


def test_names_of_a_context_arrive_byte_for_byte(bench: Bench) -> None:
    """Latin-1, a newline, quotes, 255 bytes: the image holds them as the commit does."""
    names = [b"\xe9", "\u00e9".encode(), b"two\nlines", b"'\"$(x)", b"-rf", b"x" * 255]
    listing = "for file in /c/*; do printf '%s\\0' \"$file\"; done | base64 -w 0"
    dockerfile = f"FROM {BASE}\nCOPY c /c\nRUN echo {bench.instance}; {listing}\n"
    files: dict[str, bytes | str] = {f"c/{name.decode('utf-8', 'surrogateescape')}": name for name in names}
    log = bench.build_as_sent(bench.image(), {"Dockerfile": dockerfile, **files})
    expected = b"".join(b"/c/" + name + b"\0" for name in sorted(names))
    assert base64.b64encode(expected).decode() in log


def test_arguments_and_target_reach_the_build(bench: Bench) -> None:
    text = f"FROM {BASE} AS first\nARG WORD\nRUN echo arg-$WORD-arg {bench.instance}\nFROM first AS second\nRUN false\n"
    log = bench.build(bench.image(), text, args={"WORD": "given"}, target="first")
    assert f"\narg-given-arg {bench.instance}" in log


def test_a_failing_step_is_named_with_its_line_and_last_words(bench: Bench) -> None:
    """The step, where it stands in the Dockerfile, the exit code, and what was printed last; and no image is there.

    Podman leaves the layers that did succeed, with all labels of the image.
    """
    image = bench.image()
    text = f'FROM {BASE}\n\n# nothing\nRUN true\nRUN for n in 1 2 3; do echo "line-$n"; done; \\\n    exit 7\n'
    with pytest.raises(TransientError) as caught:
        bench.build(image, text)
    error = caught.value
    assert error.reason == "BuildFailed"
    assert "image box: Step 3/" in error.message
    assert "(Dockerfile line 5)" in error.message
    assert "7" in error.message
    assert "line-1\nline-2\nline-3" in error.message
    assert error.message.splitlines()[0].split("failed: ")[1][:200].strip() in bench.log.getvalue()
    assert image.identity not in (bench.engine.observe().images or ())
    with pytest.raises(TransientError, match="no longer"):
        bench.engine.tag(image)


INVALID = {
    "unknown instruction": "RNU true",
    "unknown flag": "RUN --nonsense true",
    "unknown flag of COPY": "COPY --nonsense word /a",
    "ENV without a value": "ENV A",
    "half a substitution": "ENV A=${x",
    "no JSON": "SHELL sh",
    "bad name of an image": "FROM Upper:case",
    "an empty name": "FROM $NOTHING",
    "outside of the context": "COPY ../a /a",
    "not in the context": "COPY nothing /a",
}
"""What never builds, with every engine, since it is wrong."""
BUILDKIT = {
    "cache": ("RUN --mount=type=cache,target=/c true", "In line 2, RUN --mount needs BuildKit"),
    "network": ("RUN --network=none true", "In line 2, RUN --network needs BuildKit"),
    "heredoc": ("RUN <<E\necho hi\nE", "In line 2, a heredoc (<<E) needs BuildKit"),
    "heredoc of COPY": ("COPY <<-'EOF' /a\nhi\nEOF", "In line 2, a heredoc (<<EOF) needs BuildKit"),
    "link": ("COPY --link word /a", "In line 2, COPY --link needs BuildKit"),
    "chmod": ("COPY --chmod=755 word /a", "In line 2, COPY --chmod needs BuildKit"),
}
"""What Docker's builder behind the API does not have, and many a Dockerfile does."""


@pytest.mark.parametrize("what", INVALID)
def test_a_dockerfile_that_never_builds_needs_a_person(bench: Bench, what: str) -> None:
    with pytest.raises(StalledError) as caught:
        bench.build(bench.image(), f"FROM {BASE}\n{INVALID[what]}\n", {"word": "w"})
    assert caught.value.reason == "DockerfileInvalid"
    assert caught.value.message.startswith("image box: ")
    assert "Correct the Dockerfile" in caught.value.message


@pytest.mark.parametrize("what", BUILDKIT)
def test_what_only_buildkit_has_is_built_or_says_so(bench: Bench, what: str) -> None:
    """An engine whose builder does not have it says what needs it and how to go on; Podman's have more and more."""
    text, said = BUILDKIT[what]
    error = None
    try:
        bench.build(bench.image(), f"FROM {BASE}\n{text}\n", {"word": "w"})
    except StalledError as raised:
        error = raised
    if error is None:
        assert bench.kind == "podman"
        return
    assert (error.reason, said in error.message) == ("BuildKitNeeded", True), error.message
    assert "use Podman 5 or later" in error.message


def test_what_may_pass_by_itself_is_tried_again(bench: Bench) -> None:
    """No network, a registry that is away, a program that fails; a line for BuildKit's front end harms nothing."""
    for text in ("RUN echo unknown instruction; false", "FROM 127.0.0.1:1/none:x", "ADD http://127.0.0.1:1/x /x"):
        with pytest.raises(TransientError) as caught:
            bench.build(bench.image(), f"FROM {BASE}\n{text}\n")
        assert caught.value.reason == "BuildFailed"
    bench.build(bench.image(), f"# syntax=docker/dockerfile:1\nFROM {BASE}\nRUN true\n")


def test_a_base_that_is_nowhere_is_a_failed_build(bench: Bench) -> None:
    with pytest.raises(TransientError) as caught:
        bench.build(bench.image(), "FROM localhost:1/no/such/image:1\n")
    assert caught.value.reason in ("BuildFailed", "EngineRefused")
    assert "localhost:1/no/such/image" in caught.value.message


def test_layers_are_used_again_unless_a_rebuild_is_asked_for(bench: Bench) -> None:
    """The same text is not run a second time; with ``rebuild`` it is."""
    text = f"FROM {BASE}\nRUN head -c 6 /dev/urandom | base64 | sed 's/^/drawn-/' | tee /drawn # {bench.instance}\n"

    def drawn(log: str) -> str:
        return next((line for line in log.splitlines() if line.startswith("drawn-")), "")

    assert drawn(bench.build(bench.image("first"), text))
    assert not drawn(bench.build(bench.image("second"), text))
    assert drawn(bench.build(bench.image("third", rebuild="2026-11"), text))


def test_an_archive_is_an_oci_archive_and_always_the_same(bench: Bench) -> None:
    """One image, its layers compressed, the last of them what the last step wrote; saved again it is the same bytes."""
    image = bench.image()
    bench.build(image, SMALL)
    first, again = io.BytesIO(), io.BytesIO()
    bench.engine.archive(image, first)
    bench.engine.archive(image, again)
    assert first.getvalue() == again.getvalue()
    first.seek(0)
    with tarfile.open(fileobj=first) as tar:
        [described] = json.loads(tar.extractfile("index.json").read())["manifests"]  # type: ignore[union-attr]
        manifest = json.loads(blob(tar, described))
        labels = json.loads(blob(tar, manifest["config"]))["config"]["Labels"]
        assert labels["controller.identity"] == image.identity
        assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(tar, manifest["layers"][-1])))) as layer:
            assert layer.extractfile("word").read() == b"word\n"  # type: ignore[union-attr]


def blob(tar: tarfile.TarFile, described: dict[str, Any]) -> bytes:
    """Return what a descriptor of an OCI layout stands for."""
    file = tar.extractfile(f"blobs/{described['digest'].replace(':', '/')}")
    assert file is not None
    data = file.read()
    assert hashlib.sha256(data).hexdigest() == described["digest"].partition(":")[2]
    assert len(data) == described["size"]
    return data


def test_an_engine_that_dies_while_it_saves_leaves_no_archive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The connection is cut in the middle of a layer: that is said, and never taken for the end of the image."""
    image = bench.image()
    bench.build(image, f"FROM {BASE}\nRUN head -c 50000000 /dev/urandom >/noise\n")
    with tempfile.TemporaryDirectory(prefix="cable-") as place:
        cable = Cable(Path(place) / "s")
        target = Cutting(tmp_path / "image.tar", cable)
        with monkeypatch.context() as changed:
            changed.setenv("DOCKER_HOST", cable.host)
            with pytest.raises(TransientError) as caught:
                bench.engine.archive(image, target)
    assert target.tell() < 50_000_000
    assert caught.value.reason in ("EngineUnavailable", "ArchiveIncomplete")


class Cutting(io.FileIO):
    """A file that cuts a cable when some of it is written."""

    def __init__(self, path: Path, cable: Cable) -> None:
        super().__init__(path, "w+")
        self._cable = cable

    def write(self, data: Any) -> int:
        if self.tell() > 10_000_000:
            self._cable.cut()
        return super().write(data)


def test_a_full_disk_is_no_silent_engine(bench: Bench) -> None:
    """Linux's own full disk stands for the controller's; the engine is not blamed."""
    image = bench.image()
    bench.build(image, SMALL)
    with Path("/dev/full").open("r+b", buffering=0) as full, pytest.raises(TransientError) as caught:
        bench.engine.archive(image, full)
    assert caught.value.reason == "DiskFull"
    assert "controller's own disk" in caught.value.message


def test_an_image_known_by_identity_gets_the_name_that_archives_ask_for(bench: Bench) -> None:
    """Built under one name, asked for by another: the same image."""
    image = bench.image()
    bench.build(image, SMALL)
    other = bench.image("other")
    with pytest.raises(TransientError) as caught:
        bench.engine.tag(other)
    assert caught.value.reason == "ImageGone"
    renamed = replace(image, name="renamed")
    bench.engine.tag(renamed)
    bench.engine.archive(renamed, io.BytesIO())
    found = bench.one(image)
    assert len(found.names) == 2
    assert found.foreign_names == ()


def test_an_archive_of_what_is_gone_says_so(bench: Bench) -> None:
    with pytest.raises(TransientError):
        bench.engine.archive(bench.image(), io.BytesIO())


def test_removed_is_gone(bench: Bench) -> None:
    """All names that builds gave it go, and with them the image; a second time does no harm."""
    image = bench.image()
    bench.build(image, SMALL)
    found = bench.one(image)
    bench.engine.remove(found)
    assert image.identity not in (bench.engine.observe().images or ())
    bench.engine.remove(found)


def test_a_name_of_somebody_elses_keeps_the_image(bench: Bench) -> None:
    """Only our own name goes: under the other one the image is as it was."""
    image = bench.image()
    bench.build(image, SMALL)
    mine = f"{bench.instance}/keep"
    with bench.sdk() as client:
        client.tag(bench.one(image).id, mine, "v1")
        found = bench.one(image)
        assert [name.rpartition("/")[2] for name in found.foreign_names] == ["keep:v1"]
        bench.engine.remove(found)
        assert client.inspect_image(f"{mine}:v1")["Id"].removeprefix("sha256:") == found.id.removeprefix("sha256:")
        assert bench.one(image).names == ()


def test_an_image_in_a_container_is_kept(bench: Bench) -> None:
    image = bench.image()
    bench.build(image, SMALL)
    with bench.sdk() as client:
        container = client.create_container(bench.one(image).id, ["true"])["Id"]
        try:
            found = bench.one(image)
            assert found.in_container
            with pytest.raises(TransientError) as caught:
                bench.engine.remove(found)
            assert caught.value.reason == "ImageInUse"
            assert image.identity in (bench.engine.observe().images or ())
        finally:
            client.remove_container(container, force=True)


def test_output_of_any_kind_survives(bench: Bench) -> None:
    """No newline, NULs, colours, a progress bar that overwrites itself, bytes that are no text."""
    text = (
        f"FROM {BASE}\n"
        f"RUN : {bench.instance}; "
        "printf 'a\\0b\\n\\033[31mred\\033[0m\\n10%%\\r50%%\\r100%%\\n\\377\\376\\n'; printf 'no newline'\n"
        "RUN echo next\n"
    )
    log = bench.build(bench.image(), text)
    assert "\nab\nred\n100%\n" in log
    assert "no newline" in log
    assert "\0" not in log
    assert "\033" not in log


@pytest.mark.long
def test_a_hundred_megabytes_of_output_without_a_newline_survive(bench: Bench) -> None:
    log = bench.build(bench.image(), f"FROM {BASE}\nRUN head -c 100000000 /dev/zero | tr '\\0' x\n")
    assert log.count("x") >= 100_000_000


def test_an_engine_that_dies_in_a_build_is_no_failed_build(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The connection is cut in the middle of a step: nothing is known to be wrong with the image."""
    real = os.environ.get("DOCKER_HOST")
    with tempfile.TemporaryDirectory(prefix="cable-") as place:
        cable = Cable(Path(place) / "s")
        monkeypatch.setenv("DOCKER_HOST", cable.host)
        bench.on_step = lambda step: cable.cut() if "sleep" in step else None
        with pytest.raises(TransientError) as caught:
            bench.build(bench.image(), f"FROM {BASE}\nRUN sleep 20 # {bench.instance}\n")
    if real is None:
        monkeypatch.delenv("DOCKER_HOST")
    else:
        monkeypatch.setenv("DOCKER_HOST", real)
    assert caught.value.reason == "EngineUnavailable"


@pytest.mark.sandbox
def test_apptainer_makes_a_sif_of_the_archive(bench: Bench, sandbox: Sandbox, tmp_path: Path) -> None:
    """The archive of either engine converts, and what the build wrote is in the image."""
    image = bench.image()
    bench.build(image, SMALL)
    archive = tmp_path / "image.tar"
    with archive.open("wb") as target:
        bench.engine.archive(image, target)
    place = f"{sandbox.scratch}/{bench.instance}"
    script = (
        f"set -e; mkdir {place}; cd {place}; cat >image.tar; export APPTAINER_CACHEDIR=$PWD APPTAINER_TMPDIR=$PWD;"
        " apptainer --quiet build image.sif oci-archive:image.tar >&2; apptainer exec image.sif cat /word"
    )
    with archive.open("rb") as source:
        argv = ["ssh", "-F", str(sandbox.ssh_config), "sandbox", script]
        done = subprocess.run(argv, stdin=source, capture_output=True, text=True, timeout=120)
    sandbox.ssh(f"rm -rf {place}")
    assert done.stdout == "word\n", done.stderr


@contextmanager
def nowhere(monkeypatch: pytest.MonkeyPatch, host: str) -> Iterator[Engine]:
    monkeypatch.setenv("DOCKER_HOST", host)
    yield Engine()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nonexistent/docker.sock", "there is no socket"),
        ("tcp://127.0.0.1:1", "connection refused"),
        ("nonsense://x", "nonsense"),
    ],
)
def test_an_engine_that_is_not_there_is_unknown_and_says_where(
    monkeypatch: pytest.MonkeyPatch, host: str, why: str
) -> None:
    with nowhere(monkeypatch, host) as engine:
        seen = engine.observe()
    assert (seen.images, seen.error_reason) == (None, "EngineUnavailable")
    assert f"no Docker Engine answers at {host}" in seen.error
    assert why in seen.error
    assert "set DOCKER_HOST" in seen.error
