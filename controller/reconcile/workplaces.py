"""Where an image's test runs: a clone, a home directory and data on this machine, held against others.

What is under way has a directory below ``trials`` in the state directory and a lock beside it. A directory whose lock
is free was left by a process that was killed: its container and its files are taken away by the next pass.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import assert_never

import structlog
from filelock import FileLock, Timeout

from controller.containers.trials import DATA, HOME, REPOSITORY, ContainerRun, Ended, Mounted
from controller.model.digests import digest_of, short
from controller.model.errors import ControllerError, StalledError, WaitingError
from controller.model.images import Build, Image, ImageTest, RegistryImage, SifFile
from controller.model.plans import trial_key
from controller.model.resources import DEFAULT_SHELL
from controller.reconcile.hands import Hands
from controller.repository.clones import clone
from controller.specs.placeholders import DATA_DIRECTORY, with_values

log = structlog.get_logger(__name__)

_ASK_AGAIN_S = 20.0
_NONE_UNKNOWN = "no unknown trials"
"""Fact in the journal: the engine was asked for containers of tests from before the journal, and has none."""
Output = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The directories of this machine that a test's container sees. Its name is the container's label."""

    directory: Path
    data: Path | None = None

    @property
    def label(self) -> str:
        """What its containers are known by: other controllers of the same instance have workplaces of this name too."""
        return label_of(self.directory)

    @property
    def repository(self) -> Path:
        """The clone."""
        return self.directory / "repository"

    @property
    def home(self) -> Path:
        """A home directory of its own."""
        return self.directory / "home"

    @property
    def mounts(self) -> tuple[Mounted, ...]:
        """Where they are in the container. The data are shared with other tests, and so are not to be changed."""
        own = (Mounted(source=self.repository, target=REPOSITORY), Mounted(source=self.home, target=HOME))
        return own if self.data is None else (*own, Mounted(source=self.data, target=DATA, read_only=True))


@contextmanager
def workplace(hands: Hands, name: str, whose: str) -> Iterator[Workplace]:
    """Hold the workplace of a name against others, empty and with no container of it left; afterwards it is gone.

    Raises:
        WaitingError: somebody else holds it (``TestRunning``).
        TransientError: the engine does not answer.
    """
    place = Workplace(directory=hands.state_dir / "trials" / f"test-{name}")
    with _lock(place.directory, whose):
        hands.containers.remove(place.label, hands.instance)
        discard(place.directory)
        for each in (place.repository, place.home):
            each.mkdir(parents=True)
        try:
            yield place
        finally:
            discard(place.directory)


def label_of(directory: Path) -> str:
    """Return the label of a workplace's containers: its name, and where it is."""
    return f"{directory.name}-{short(digest_of(str(directory.resolve())))}"


def name_of(image: Image, test: ImageTest) -> str:
    """Return the name of the workplace of an image's test."""
    return f"{image.identity}-{short(test.digest)}"


def prepare(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: Output, stop: Event | None = None
) -> tuple[str, Workplace, Ended]:
    """Clone, and see that the data are there; return the commit, the place with its data, and how that ended."""
    commit = ""
    if test.repo_url:
        hands.say(trial_key(image, test), f"cloning {test.repo_url}")
        commit = clone(test.repo_url, test.ref, place.repository)
        output(f"# {test.repo_url} at {commit}\n".encode())
    if not test.dataset_command:
        return commit, place, Ended(exit_code=0)
    data, ended = _data(hands, image, test, place, output, stop)
    return commit, replace(place, data=data), ended


def container_of(hands: Hands, image: Image, test: ImageTest, place: Workplace, command: str) -> ContainerRun:
    """Return the container that a command of a test runs in; an image that is not built is fetched for it."""
    values = {**test.placeholders, DATA_DIRECTORY: DATA} if test.dataset_command else test.placeholders
    return ContainerRun(
        image=_on_engine(hands, image),
        command=with_values(command, values),
        workdir=REPOSITORY,
        mounts=place.mounts,
        user=f"{os.getuid()}:{os.getgid()}",
        trial=place.label,
        instance=hands.instance,
        env=test.env,
        gpus=test.gpus,
        time_s=test.time_s,
        shell=test.shell or DEFAULT_SHELL,
    )


def _on_engine(hands: Hands, image: Image) -> str:
    """Return the name by which the engine has an image."""
    match image.origin:
        case Build():
            hands.engine.tag(image)
            return f"controller/{image.name}:{short(image.identity)}"
        case RegistryImage():
            hands.say(f"pull:{image.identity}", f"looking for {image.origin.reference}")
            return hands.containers.fetch(image.origin)
        case SifFile():
            message = f"image {image.name} is a SIF that is there already; a test runs on the Docker Engine"
            raise StalledError("NotTestable", message)
        case _:
            assert_never(image.origin)


def sweep(hands: Hands) -> None:
    """Take away what tests of processes that were killed have left."""
    for place in (hands.state_dir / "trials").glob("test-*/"):
        try:
            with _lock(place, place.name):
                hands.containers.remove(label_of(place), hands.instance)
                discard(place)
        except WaitingError:
            continue
        except ControllerError as error:
            log.warning("trial_not_swept", trial=place.name, reason=error.reason, message=error.message)


def sweep_unknown(hands: Hands) -> None:
    """After the state directory was lost: take away tests' containers that nobody knows of, when their time is over."""
    if hands.journal.fact(_NONE_UNKNOWN) is not None:
        return
    try:
        left = hands.containers.remove_overdue(hands.instance, hands.clock())
    except ControllerError as error:
        # Where no engine answers there is no test either, and asking in each pass would cost each pass.
        left = 0 if error.reason == "EngineUnavailable" else 1
    if not left:
        hands.journal.save_fact(_NONE_UNKNOWN, "1")


def discard(directory: Path) -> None:
    """Remove a directory with all in it, write-protected directories as well."""
    for root, directories, _ in os.walk(directory):
        for name in directories:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _data(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: Output, stop: Event | None
) -> tuple[Path | None, Ended]:
    """Return the directory of the data, made once for each text of the command, and how making it ended."""
    run = container_of(hands, image, test, place, test.dataset_command)
    says = [run.command]
    if REPOSITORY in run.command:
        # A script of the repository: the same words mean something else in another one.
        says += [test.repo_url, test.ref]
    if test.shell:
        says += test.shell
    done = hands.state_dir / "datasets" / digest_of(says)
    part = done.with_name(f"{done.name}.part")
    with _lock(done, f"image {image.name}"):
        if done.is_dir():
            output(f"# data of an earlier run: {done}\n".encode())
            return done, Ended(exit_code=0)
        hands.say(trial_key(image, test), "fetching the data")
        output(f"# {test.dataset_command}\n".encode())
        discard(part)
        part.mkdir()
        mounts = (*place.mounts, Mounted(source=part, target=DATA))
        ended = hands.containers.run(replace(run, workdir=DATA, mounts=mounts), output, stop=stop)
        if ended.exit_code or ended.timed_out:
            discard(part)
            return None, replace(ended, exit_code=ended.exit_code or 1)
        part.rename(done)
        return done, ended


@contextmanager
def _lock(place: Path, whose: str) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(place.with_name(f"{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"{whose}: its test, or the fetching of its data, is under way in another process"
        raise WaitingError("TestRunning", message, retry_after_s=_ASK_AGAIN_S) from error
    try:
        yield
    finally:
        lock.release()
