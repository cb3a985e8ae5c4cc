"""Containers that an image is tried out in, on the real engine: what it is told of them, how they end, what stays."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.containers.trials import DATA, HOME, REPOSITORY, ContainerRun, Containers, Ended, Mounted
from controller.model.errors import ControllerError, StalledError, TransientError, WaitingError
from tests.e2e.harness import wait_for

pytestmark = pytest.mark.docker
BASE = "debian:trixie-slim"
SH = ("sh", "-e")


@pytest.fixture
def run(engine: None, tmp_path: Path) -> Iterator[ContainerRun]:
    """A container that prints a word; whatever its label is on is gone afterwards."""
    for name in ("repository", "home"):
        (tmp_path / name).mkdir()
    mounts = (
        Mounted(source=tmp_path / "repository", target=REPOSITORY),
        Mounted(source=tmp_path / "home", target=HOME),
    )
    made = ContainerRun(
        image=BASE,
        command="echo hello",
        workdir=REPOSITORY,
        mounts=mounts,
        user=f"{os.getuid()}:{os.getgid()}",
        trial=f"test-{uuid.uuid4().hex}",
        instance="contract",
        time_s=60,
    )
    yield made
    Containers().remove(made.trial, made.instance)


def left(run: ContainerRun) -> list[str]:
    """Return the ids of the containers that carry a run's label."""
    argv = ["docker", "ps", "--all", "--quiet", "--filter", f"label=controller.trial={run.trial}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout.split()


def ends(run: ContainerRun) -> tuple[Ended, str]:
    """Run; return how it ended and what it printed. Nothing of it may be left."""
    said: list[bytes] = []
    ended = Containers().run(run, said.append)
    assert left(run) == []
    return ended, b"".join(said).decode()


def test_it_prints_and_ends_with_the_commands_exit_code(run: ContainerRun) -> None:
    """Both streams arrive, a failing line ends the command, and the container is gone."""
    command = 'echo "$GREETING $HOME $USER $(pwd)"; echo oops >&2; false; echo never'
    ended, said = ends(replace(run, command=command, env={"GREETING": "hello"}))
    assert ended == Ended(exit_code=1)
    assert sorted(said.splitlines()) == ["hello /trial/home controller /trial/repository", "oops"]


def test_files_belong_to_whoever_asked(run: ContainerRun, tmp_path: Path) -> None:
    """What is written is the calling user's, in the clone and in the home directory; the data cannot be changed."""
    data = tmp_path / "data"
    data.mkdir()
    for place in (tmp_path / "repository", tmp_path / "home"):
        os.chown(place, 4321, 4322)
    command = f"echo x > out.txt; mkdir ~/.cache; ! touch {DATA}/new"
    mounts = (*run.mounts, Mounted(source=data, target=DATA, read_only=True))
    ended, said = ends(replace(run, command=command, user="4321:4322", mounts=mounts))
    assert ended.exit_code == 0, said
    written = (tmp_path / "repository" / "out.txt").stat()
    assert (written.st_uid, written.st_gid) == (4321, 4322)
    assert (tmp_path / "home" / ".cache").stat().st_uid == 4321
    assert "Read-only file system" in said


@pytest.fixture
def without_bash(engine: None) -> Iterator[str]:
    """An image that has sh and no bash."""
    name = f"controller-test/no-bash-{uuid.uuid4().hex}"
    recipe = f"FROM {BASE}\nRUN rm /bin/bash\n"
    subprocess.run(["docker", "build", "-q", "-t", name, "-"], input=recipe, text=True, timeout=120, check=True)
    yield name
    subprocess.run(["docker", "rmi", name], timeout=60, check=True)


def test_a_failing_pipeline_is_a_failure(run: ContainerRun) -> None:
    """As a job's is on a cluster, by the same shell; another one can be named."""
    cut_off = "false | cat; echo taken for whole"
    assert ends(replace(run, command=cut_off)) == (Ended(exit_code=1), "")
    assert ends(replace(run, command=cut_off, shell=SH)) == (Ended(exit_code=0), "taken for whole\n")
    assert ends(replace(run, command="[[ a == a ]] && exit 127")) == (Ended(exit_code=127), "")


@pytest.mark.parametrize("program", ["bash", "/opt/none/bash"])
def test_an_image_without_the_shell_says_so(run: ContainerRun, without_bash: str, program: str) -> None:
    """And how to go on; a command that is not found, or ends with the same code, is still the command's own end."""
    tried, words = replace(run, image=without_bash), (program, "-e")
    with pytest.raises(StalledError, match=f"the image has no {program}, .* such as shell: sh -e") as refused:
        ends(replace(tried, shell=words))
    assert refused.value.reason == "ShellMissing"
    assert left(run) == []
    ended, said = ends(replace(tried, shell=SH, command="bash -c true"))
    assert (ended, "bash: not found" in said) == (Ended(exit_code=127), True)


def test_what_takes_too_long_is_ended(run: ContainerRun) -> None:
    """The time limit kills even what does not want to go, and says so."""
    ended, said = ends(replace(run, command="trap '' TERM; echo begun; while :; do sleep 60; done", time_s=2))
    assert ended.timed_out
    assert said == "begun\n"


def test_what_takes_too_much_memory_is_ended(run: ContainerRun) -> None:
    """A test may not take the machine with it: the engine is told how much there is for it."""
    told = inspect(run)
    total = int(subprocess.run(["docker", "info", "-f", "{{.MemTotal}}"], capture_output=True, text=True).stdout)
    assert 0 < told["HostConfig"]["Memory"] < total
    assert told["HostConfig"]["PidsLimit"] > 0
    assert told["HostConfig"]["Init"] is True


def test_gpus_are_asked_for(run: ContainerRun) -> None:
    """``gpus`` becomes a request for all of the engine's GPUs; an engine without the runtime for it says what to do."""
    from controller.containers.engine import connected
    from controller.containers.trials import options

    with connected(60) as client:
        made = client.create_container(**options(client, replace(run, gpus=True)))
        told = client.inspect_container(made)["HostConfig"]["DeviceRequests"]
        plain = client.create_container(**options(client, run))
        assert not client.inspect_container(plain)["HostConfig"]["DeviceRequests"]
    assert [(each["Count"], each["Capabilities"]) for each in told] == [(-1, [["gpu"]])]
    assert Containers().remove(run.trial, run.instance) == 2
    if "nvidia" not in subprocess.run(["docker", "info"], capture_output=True, text=True).stdout:
        with pytest.raises(StalledError, match="nvidia-container-toolkit") as refused:
            ends(replace(run, gpus=True))
        assert refused.value.reason == "GpuUnavailable"
        assert left(run) == []


def test_a_directory_that_the_engine_does_not_see(run: ContainerRun, tmp_path: Path) -> None:
    """An engine on another machine has no such directory: that is said, and not an empty one made."""
    with pytest.raises(StalledError, match="own machine") as refused:
        ends(replace(run, mounts=(Mounted(source=tmp_path / "nowhere", target="/x"),)))
    assert refused.value.reason == "EngineNotLocal"
    with pytest.raises(TransientError) as gone:
        ends(replace(run, image="controller/nothing:there"))
    assert gone.value.reason == "ImageGone"


def test_a_controller_that_ends_does_not_wait_for_it(run: ContainerRun) -> None:
    """Asked to stop, it ends the container; that says nothing of the image."""
    stop = threading.Event()
    with pytest.raises(WaitingError) as ended:
        Containers().run(replace(run, command="echo begun; sleep 600"), lambda piece: stop.set(), stop=stop)
    assert ended.value.reason == "Stopping"
    assert left(run) == []


def test_an_interrupted_test_takes_its_container_along(run: ContainerRun) -> None:
    """Ctrl+C while it runs: the container is gone when the exception arrives."""

    def interrupt(piece: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Containers().run(replace(run, command="echo begun; sleep 600"), interrupt)
    assert left(run) == []


def test_what_a_killed_process_left_is_taken_away(run: ContainerRun) -> None:
    """By its label, and nobody else's; twice does no harm."""
    thread = begun(run)
    assert Containers().remove(run.trial, "somebody-else") == 0
    assert Containers().remove(run.trial, run.instance) == 1
    wait_for("it is gone", lambda: not left(run))
    assert Containers().remove(run.trial, run.instance) == 0
    thread.join(60)


def test_what_nobody_remembers_is_taken_away_when_its_time_is_over(run: ContainerRun) -> None:
    """After a lost state directory: not before its controller, if it lives somewhere, would have ended it itself."""
    mine = replace(run, instance=f"contract-{uuid.uuid4().hex}")
    thread = begun(mine)
    assert Containers().remove_overdue(mine.instance, time.time()) == 1
    assert len(left(mine)) == 1
    assert Containers().remove_overdue("somebody-else", time.time() + 86400) == 0
    assert len(left(mine)) == 1
    assert Containers().remove_overdue(mine.instance, time.time() + 86400) == 0
    wait_for("it is gone", lambda: not left(mine))
    thread.join(60)


def begun(run: ContainerRun) -> threading.Thread:
    """Start a container that goes on until it is taken away."""
    printed = threading.Event()

    def go() -> None:
        # Taken away under its feet: how that ends is nobody's business here.
        with suppress(ControllerError):
            Containers().run(replace(run, command="echo begun; sleep 600"), lambda piece: printed.set())

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    assert printed.wait(60)
    return thread


def inspect(run: ContainerRun) -> Any:
    """Return what the engine tells of the container while it runs."""
    from docker import from_env

    thread = begun(run)
    client = from_env().api
    told = client.inspect_container(left(run)[0])
    client.close()
    Containers().remove(run.trial, run.instance)
    thread.join(60)
    return told
