"""An image's test carried out: clone, data, command in the image; its outcome in the journal, its output in a log.

What is under way has a directory below ``trials`` in the state directory and a lock beside it. A directory whose lock
is free was left by a process that was killed: its container and its files are taken away by the next pass.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from controller.containers.trials import DATA, HOME, REPOSITORY, ContainerRun, Ended, Mounted
from controller.model.digests import digest_of, short
from controller.model.errors import ControllerError, StalledError, TransientError, WaitingError
from controller.model.images import Image, ImageTest
from controller.model.plans import TestImage, Trial, trial_key
from controller.model.resources import Desired
from controller.reconcile.hands import Hands, Outcomes
from controller.repository.clones import clone
from controller.specs.placeholders import DATA_DIRECTORY, with_values
from controller.store.journal import Journal

log = structlog.get_logger(__name__)

_MOST_LOGGED = 64 << 20
_TAIL_LINES = 15
_TAIL_BYTES = 4096
_ASK_AGAIN_S = 20.0
Output = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What a test runs in: the directories of this machine that its container sees."""

    directory: Path
    data: Path | None = None

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


def test_image(hands: Hands, action: TestImage) -> Outcomes:
    """Run an image's test; one that fails is an error, for good once it has failed often enough."""
    trial = try_image(hands, action.image, action.test)
    if trial.passed:
        return {action.key: None}
    raise (StalledError if trial.settled else TransientError)(trial.reason, trial.message)


def try_image(
    hands: Hands, image: Image, test: ImageTest, *, output: Output = lambda piece: None, keep: bool = False
) -> Trial:
    """Run an image's test, whatever is remembered of it, and remember its outcome. The engine must have the image.

    With ``keep`` the work directory stays: see ``workplace_of``.

    Raises:
        WaitingError: the same test is under way (``TestRunning``).
        StalledError: GpuUnavailable, EngineNotLocal.
        TransientError: CloneFailed, EngineUnavailable, EngineRefused.
    """
    place = workplace_of(hands.state_dir, image, test)
    with underway(hands, image, test):
        path = trial_log(hands.state_dir, image, test)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("wb") as file:
                trial = _attempt(hands, image, test, place, _Log(file.write, output, path))
        finally:
            if not keep:
                discard(place.directory)
        key = trial_key(image, test)
        hands.journal.save_fact(key, json.dumps(asdict(trial)))
        if trial.passed:
            hands.journal.clear_failures([key])
        return trial


@contextmanager
def underway(hands: Hands, image: Image, test: ImageTest) -> Iterator[None]:
    """Hold a test against others, with an empty work directory and no container left of it.

    Raises:
        WaitingError: it is under way (``TestRunning``).
    """
    place = workplace_of(hands.state_dir, image, test).directory
    with _lock(place, image.name):
        hands.containers.remove(place.name, hands.instance)
        discard(place)
        for each in (place / "repository", place / "home"):
            each.mkdir(parents=True)
        yield


def prepare(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: Output
) -> tuple[str, Workplace, Ended]:
    """Clone, and see that the data are there; return the commit, the place with its data, and how that ended."""
    commit = ""
    if test.repo_url:
        hands.say(trial_key(image, test), f"cloning {test.repo_url}")
        commit = clone(test.repo_url, test.ref, place.repository)
        output(f"# {test.repo_url} at {commit}\n".encode())
    if not test.dataset_command:
        return commit, place, Ended(exit_code=0)
    data, ended = _dataset(hands, image, test, place, output)
    return commit, Workplace(directory=place.directory, data=data), ended


def container_of(hands: Hands, image: Image, test: ImageTest, place: Workplace, command: str) -> ContainerRun:
    """Return the container that a command of a test runs in."""
    values = {**test.placeholders, DATA_DIRECTORY: DATA} if test.dataset_command else test.placeholders
    return ContainerRun(
        image=f"controller/{image.name}:{short(image.identity)}",
        command=with_values(command, values),
        workdir=REPOSITORY,
        mounts=place.mounts,
        user=f"{os.getuid()}:{os.getgid()}",
        trial=place.directory.name,
        instance=hands.instance,
        env=test.env,
        gpus=test.gpus,
        time_s=test.time_s,
    )


def trials_of(desired: Desired, journal: Journal) -> Mapping[str, Trial]:
    """Return what is remembered of the tests that a commit has, by key."""
    tests = {trial_key(image, image.test) for image in desired.images.values() if image.test is not None}
    facts = {key: journal.fact(key) for key in tests}
    return {key: Trial(**json.loads(text)) for key, text in facts.items() if text is not None}


def sweep(hands: Hands) -> None:
    """Take away what tests of processes that were killed have left."""
    for place in (hands.state_dir / "trials").glob("test-*/"):
        try:
            with _lock(place, place.name):
                hands.containers.remove(place.name, hands.instance)
                discard(place)
        except WaitingError:
            continue
        except ControllerError as error:
            log.warning("trial_not_swept", trial=place.name, reason=error.reason, message=error.message)


def trial_log(state_dir: Path, image: Image, test: ImageTest) -> Path:
    """Return where the output of a test's last run is."""
    return state_dir / "trials" / f"{image.name}-{short(image.identity)}-{short(test.digest)}.log"


def workplace_of(state_dir: Path, image: Image, test: ImageTest) -> Workplace:
    """Return where a test runs; its data are found by ``prepare``."""
    return Workplace(directory=state_dir / "trials" / trial_key(image, test).replace(":", "-"))


def discard(directory: Path) -> None:
    """Remove a directory with all in it, write-protected directories as well."""
    for root, directories, _ in os.walk(directory):
        for name in directories:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def _attempt(hands: Hands, image: Image, test: ImageTest, place: Workplace, output: _Log) -> Trial:
    hands.engine.tag(image)
    commit, place, ended = prepare(hands, image, test, place, output)
    what = "dataset_command" if ended.exit_code else "run_command"
    if not ended.exit_code:
        hands.say(trial_key(image, test), "running the test")
        output(f"# {test.run_command}\n".encode())
        ended = hands.containers.run(container_of(hands, image, test, place, test.run_command), output)
    if ended.exit_code == 0 and not ended.timed_out:
        return Trial(passed=True, count=0, commit=commit, log=str(output.path))
    before = trials_of(Desired(commit="", images={image.name: image}), hands.journal).get(trial_key(image, test))
    reason = "TestTimeout" if ended.timed_out else "TestFailed"
    how = f"ended with exit code {ended.exit_code}"
    if ended.out_of_memory:
        how = "ran out of memory"
    if ended.timed_out:
        how = f"took longer than {test.time_s} s and was ended"
    return Trial(
        passed=False,
        reason=reason,
        message=f"image {image.name}: {what} of its test {how} (output: {output.path}):\n{output.tail}",
        count=before.count + 1 if before is not None and not before.passed else 1,
        commit=commit,
        log=str(output.path),
    )


def _dataset(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: Output
) -> tuple[Path | None, Ended]:
    """Return the directory of the data, made once for each text of the command, and how making it ended."""
    run = container_of(hands, image, test, place, test.dataset_command)
    says: list[object] = [run.command]
    if REPOSITORY in run.command or "REPOSITORY" in run.command:
        # A script of the repository: the same words mean something else in another one.
        says += [test.repo_url, test.ref]
    done = hands.state_dir / "datasets" / digest_of(says)
    part = done.with_name(f"{done.name}.part")
    done.parent.mkdir(parents=True, exist_ok=True)
    with _lock(done, image.name):
        if done.is_dir():
            output(f"# data of an earlier run: {done}\n".encode())
            return done, Ended(exit_code=0)
        hands.say(trial_key(image, test), "fetching the data")
        output(f"# {test.dataset_command}\n".encode())
        discard(part)
        part.mkdir()
        mounts = (*place.mounts, Mounted(source=part, target=DATA))
        ended = hands.containers.run(replace(run, workdir=DATA, mounts=mounts), output)
        if ended.exit_code or ended.timed_out:
            discard(part)
            return None, Ended(exit_code=ended.exit_code or 1, timed_out=ended.timed_out)
        part.rename(done)
        return done, ended


@contextmanager
def _lock(place: Path, name: str) -> Iterator[None]:
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f"{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"image {name}: its test, or the fetching of its data, is under way elsewhere"
        raise WaitingError("TestRunning", message, retry_after_s=_ASK_AGAIN_S) from error
    try:
        yield
    finally:
        lock.release()


class _Log:
    """A test's output on its way: to a file that has a limit, to whoever listens, and its last lines for a message."""

    def __init__(self, write: Callable[[bytes], object], output: Output, path: Path) -> None:
        self.path = path
        self._write = write
        self._output = output
        self._left = _MOST_LOGGED
        self._last: deque[bytes] = deque(maxlen=64)

    def __call__(self, piece: bytes) -> None:
        self._output(piece)
        self._last.append(piece[-_TAIL_BYTES:])
        if self._left > 0:
            self._write(piece[: self._left])
            self._left -= len(piece)
            if self._left <= 0:
                self._write(b"\n# cut off here: the output is too long\n")

    @property
    def tail(self) -> str:
        """The last lines, as text."""
        text = b"".join(self._last)[-_TAIL_BYTES:].decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
