"""Commands in containers of the Docker Engine: how an image is tried out before a job relies on it.

Belongs here: what the engine is told of such a container, its time limit, its end, and that it is always taken away.
Does not belong here: what is run, and what its outcome means.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from controller.containers.engine import connected
from controller.model.errors import ControllerError, StalledError, TransientError, WaitingError
from controller.model.images import RegistryImage
from controller.model.resources import DEFAULT_SHELL

if TYPE_CHECKING:
    from docker import APIClient

TRIAL_LABEL = "controller.trial"
DEADLINE_LABEL = "controller.deadline"
"""When it has ended for certain if its controller lives: seconds since the epoch."""
INSTANCE_LABEL = "controller.instance"
REPOSITORY, DATA, HOME = "/trial/repository", "/trial/data", "/trial/home"
"""Where clone, data and a home directory are inside a container: the same for every test."""
_ANSWER_S = 60
_LOOK_S = 1.0
_MARGIN_S = 120
_PULL_SILENCE_S = 600
_MEMORY_SHARE = 0.8
"""Of the engine's memory: a test that wants all of it ends, and not the machine's other work."""
_SHARED_MEMORY = 1 << 30
"""/dev/shm, which data loaders use: the engine's own 64 MiB are too few, and a cluster's nodes have much more."""
_MOST_PROCESSES = 8192
_NOT_FOUND = 127
_NO_SUCH_PROGRAM = re.compile(r"executable file .*not found|exec: .*no such file or directory", re.IGNORECASE)
"""What runc and crun say of a program that an image does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A directory of this machine inside a container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """A shell command and the container that it runs in. ``trial`` and ``instance`` are its labels."""

    image: str
    command: str
    workdir: str
    mounts: tuple[Mounted, ...]
    user: str
    """``uid:gid`` of whoever is to own the files that it writes."""
    trial: str
    instance: str
    env: Mapping[str, str] = field(default_factory=dict)
    gpus: bool = False
    time_s: int = 1800
    shell: tuple[str, ...] = DEFAULT_SHELL
    """Words of the shell that runs the command: the same as that of a job on a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How such a command ended."""

    exit_code: int
    timed_out: bool = False
    out_of_memory: bool = False


class Containers:
    """Containers of the Docker Engine that ``DOCKER_HOST`` and its companions name."""

    def run(self, run: ContainerRun, output: Callable[[bytes], None], *, stop: Event | None = None) -> Ended:
        """Run a command to its end; what it prints goes to ``output`` piece by piece. No container is left behind.

        Raises:
            WaitingError: ``stop`` was set, and the command was ended for it (``Stopping``).
            StalledError: GpuUnavailable; EngineNotLocal: the engine does not see this machine's directories;
                ShellMissing: the image does not have the shell.
            TransientError: the engine refused or went away.
        """
        with connected(run.time_s + _MARGIN_S) as client, _made(client, run) as container:
            with _explained(run):
                client.start(container)
            with _watch(self, run, stop or Event()) as watch:
                for piece in client.logs(container, stream=True, follow=True):
                    output(piece)
                client.wait(container)
            if watch.stopped.is_set():
                raise WaitingError("Stopping", "it was ended with the controller, and begins anew", retry_after_s=0)
            state = client.inspect_container(container)["State"]
            if int(state["ExitCode"]) == _NOT_FOUND:
                _require_shell(client, run)
            return Ended(
                exit_code=int(state["ExitCode"]),
                timed_out=watch.overdue.is_set(),
                out_of_memory=bool(state.get("OOMKilled")),
            )

    def fetch(self, origin: RegistryImage) -> str:
        """See that the engine has an image that it does not build; return the name to run it by.

        Raises:
            TransientError: ImageGone, PullFailed; the engine refused or went away.
        """
        from docker.errors import ImageNotFound

        name = origin.reference.partition("@")[0]
        pinned = origin.digest if origin.on_engine or not origin.digest else f"{name}@{origin.digest}"
        with connected(_PULL_SILENCE_S) as client:
            try:
                client.inspect_image(pinned or origin.reference)  # type: ignore[no-untyped-call]
            except ImageNotFound as error:
                if origin.on_engine:
                    message = f"the Docker Engine no longer has the image {origin.digest} ({origin.reference})"
                    raise TransientError("ImageGone", message) from error
                for chunk in client.pull(pinned or origin.reference, stream=True, decode=True):
                    if "error" in chunk:
                        message = f"{pinned or origin.reference} could not be pulled: {chunk['error']}"
                        raise TransientError("PullFailed", message) from error
        return pinned or origin.reference

    def remove(self, trial: str, instance: str, *, kill_only: bool = False) -> int:
        """Take away what containers of a trial there are; return how many. With ``kill_only`` they are only ended.

        Raises:
            TransientError: the engine refused or went away.
        """
        with connected(_ANSWER_S) as client:
            labels = [f"{TRIAL_LABEL}={trial}", f"{INSTANCE_LABEL}={instance}"]
            found = client.containers(all=True, filters={"label": labels})
            for container in found:
                # Another one may be faster, or the container ends by itself meanwhile: gone is all that is wanted.
                with suppress(*_refusals()):
                    if kill_only:
                        client.kill(container["Id"])
                    else:
                        client.remove_container(container["Id"], force=True, v=True)
            return len(found)

    def remove_overdue(self, instance: str, now: float) -> int:
        """Take away an instance's containers whose time is long over; return how many others of it there are.

        Raises:
            TransientError: the engine refused or went away.
        """
        left = 0
        with connected(_ANSWER_S) as client:
            for container in client.containers(all=True, filters={"label": [f"{INSTANCE_LABEL}={instance}"]}):
                deadline = container.get("Labels", {}).get(DEADLINE_LABEL, "")
                if not deadline.isdigit() or now < int(deadline):
                    left += TRIAL_LABEL in container.get("Labels", {})
                    continue
                with suppress(*_refusals()):
                    client.remove_container(container["Id"], force=True, v=True)
        return left


class _Watch:
    """Ends a container that takes too long, or with its controller, from a thread of its own."""

    def __init__(self, containers: Containers, run: ContainerRun, stop: Event) -> None:
        self.overdue, self.stopped = Event(), Event()
        self._containers = containers
        self._run = run
        self._stop = stop
        self._ended = Event()

    def watch(self) -> None:
        """Wait for the first of the three: the end, the time limit, the controller's end."""
        deadline = time.monotonic() + self._run.time_s
        while not self._ended.wait(min(_LOOK_S, max(0.0, deadline - time.monotonic()))):
            late = time.monotonic() >= deadline
            if late or self._stop.is_set():
                (self.overdue if late else self.stopped).set()
                # An engine that is away is asked again: what would end it otherwise may be days off.
                with suppress(ControllerError):
                    self._containers.remove(self._run.trial, self._run.instance, kill_only=True)
                    return
                self._ended.wait(_LOOK_S)

    def end(self) -> None:
        """Let the thread go."""
        self._ended.set()


@contextmanager
def _watch(containers: Containers, run: ContainerRun, stop: Event) -> Iterator[_Watch]:
    watch = _Watch(containers, run, stop)
    Thread(target=watch.watch, name=run.trial, daemon=True).start()
    try:
        yield watch
    finally:
        watch.end()


def _require_shell(client: APIClient, run: ContainerRun) -> None:
    """Make sure that an image has the shell: the init process of a container ends with 127 where it has not.

    So does many a command of its own, which is why the engine itself is asked, by a container without that process.

    Raises:
        StalledError: it has not (``ShellMissing``).
    """
    asked = replace(run, command=":", shell=run.shell[:1])
    with _made(client, asked, init=False) as container, _explained(run):
        client.start(container)


def options(client: APIClient, run: ContainerRun, *, init: bool = True) -> dict[str, Any]:
    """Return what the engine is told of a container, as ``create_container`` of its SDK takes it."""
    from docker.types import DeviceRequest, Mount

    engine = client.info()
    memory = int(engine["MemTotal"] * _MEMORY_SHARE)
    # A rootless engine runs as the calling user: its root is that user, and any other id is somebody else on the host.
    rootless = any("rootless" in option for option in engine.get("SecurityOptions") or ())
    mounts = [Mount(m.target, str(m.source), type="bind", read_only=m.read_only) for m in run.mounts]
    return {
        "image": run.image,
        # Not by way of the image's own entry point: on the cluster a job's command does not go there either.
        "entrypoint": [*run.shell, "-c"],
        "command": [run.command],
        "user": "0:0" if rootless else run.user,
        "working_dir": run.workdir,
        # The account has no name in the image; programs that ask for one look here first.
        "environment": {"HOME": HOME, "USER": "controller", "LOGNAME": "controller", **run.env},
        "labels": {
            TRIAL_LABEL: run.trial,
            INSTANCE_LABEL: run.instance,
            DEADLINE_LABEL: str(int(time.time()) + run.time_s + _MARGIN_S),
        },
        "host_config": client.create_host_config(
            mounts=mounts,
            init=init,
            mem_limit=memory,
            shm_size=min(_SHARED_MEMORY, memory),
            pids_limit=_MOST_PROCESSES,
            security_opt=["no-new-privileges"],
            device_requests=[DeviceRequest(count=-1, capabilities=[["gpu"]])] if run.gpus else None,
        ),
    }


@contextmanager
def _made(client: APIClient, run: ContainerRun, *, init: bool = True) -> Iterator[str]:
    """Yield the id of a container that is made now and taken away in any case."""
    with _explained(run):
        container = str(client.create_container(**options(client, run, init=init))["Id"])
    try:
        yield container
    finally:
        # By a connection of its own: this one may be what has just failed. A pass later takes away what is left.
        with suppress(ControllerError), connected(_ANSWER_S) as again:
            again.remove_container(container, force=True, v=True)


@contextmanager
def _explained(run: ContainerRun) -> Iterator[None]:
    """Tell those refusals apart that a person can do something about."""
    try:
        yield
    except _refusals() as error:
        said = str(error.explanation or error)  # type: ignore[attr-defined]
        if run.gpus and "device driver" in said:
            raise StalledError(
                "GpuUnavailable",
                f"the Docker Engine has no NVIDIA runtime ({said}). Install nvidia-container-toolkit on its machine,"
                " or take gpus out of the test",
            ) from error
        if "bind source path does not exist" in said:
            raise StalledError(
                "EngineNotLocal",
                f"the Docker Engine does not see this machine's directories ({said}). A test needs an engine on the"
                " controller's own machine",
            ) from error
        if _NO_SUCH_PROGRAM.search(said):
            raise StalledError(
                "ShellMissing",
                f"the image has no {run.shell[0]}, by which the commands of its test are run. Add it to the image, or"
                " name a shell that it has in the test, such as shell: sh -e",
            ) from error
        if "no such image" in said.lower():
            raise TransientError("ImageGone", f"the Docker Engine no longer has the image: {said}") from error
        raise


def _refusals() -> tuple[type[Exception], ...]:
    from docker.errors import APIError

    return (APIError,)


def shell_argv(run: ContainerRun) -> list[str]:
    """Return the command line that opens a shell where a run's command would run: ``docker``, which has a terminal.

    An empty user, work directory or image entry point is the image's own. The container goes when the shell ends.
    """
    argv = ["docker", "run", "--rm", "--interactive", "--tty", "--init"]
    argv += ["--label", f"{TRIAL_LABEL}={run.trial}", "--label", f"{INSTANCE_LABEL}={run.instance}"]
    for mounted in run.mounts:
        fields = ["type=bind", f"source={mounted.source}", f"target={mounted.target}"]
        fields += ["readonly"] if mounted.read_only else []
        # The option is read as a line of CSV: docker-run(1), --mount.
        quoted = ('"' + field.replace('"', '""') + '"' if "," in field or '"' in field else field for field in fields)
        argv += ["--mount", ",".join(quoted)]
    for name, value in {**({"HOME": HOME} if run.mounts else {}), **run.env}.items():
        argv += ["--env", f"{name}={value}"]
    argv += ["--user", run.user] if run.user else []
    argv += ["--workdir", run.workdir] if run.workdir else []
    argv += ["--gpus", "all"] if run.gpus else []
    return [
        *argv,
        "--entrypoint",
        "/bin/sh",
        run.image,
        "-c",
        "if command -v bash >/dev/null; then exec bash; fi; exec sh",
    ]
