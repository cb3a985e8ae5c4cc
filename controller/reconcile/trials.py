"""An image's test carried out: clone, data, command in the image; its outcome in the journal, its output in a log."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from threading import Event

from controller.containers.building import readable
from controller.model.digests import short
from controller.model.errors import StalledError, TransientError
from controller.model.failpoints import failpoint
from controller.model.images import Image, ImageTest
from controller.model.plans import TestImage, Trial, trial_key
from controller.model.resources import Desired
from controller.reconcile.hands import Hands, Outcomes
from controller.reconcile.workplaces import Output, Workplace, container_of, discard, name_of, prepare, workplace
from controller.store.journal import Journal

_MOST_LOGGED = 64 << 20
_TAIL_LINES = 15
_TAIL_BYTES = 4096


def test_image(hands: Hands, action: TestImage, stop: Event) -> Outcomes:
    """Run an image's test; one that fails is an error, for good once it has failed often enough."""
    failpoint("test.before")
    trial = try_image(hands, action.image, action.test, stop=stop)
    if trial.passed:
        return {action.key: None}
    raise (StalledError if trial.settled else TransientError)(trial.reason, trial.message)


def try_image(
    hands: Hands,
    image: Image,
    test: ImageTest,
    *,
    output: Output = lambda piece: None,
    keep: Path | None = None,
    stop: Event | None = None,
) -> Trial:
    """Run an image's test, whatever is remembered of it. The engine must have the image, if it builds it.

    With ``keep``, what it has left in its workplace is moved there.

    Raises:
        WaitingError: the same test is under way (``TestRunning``); ``stop`` was set (``Stopping``).
        StalledError: GpuUnavailable, EngineNotLocal.
        TransientError: CloneFailed, EngineUnavailable, EngineRefused.
    """
    with workplace(hands, name_of(image, test), f"image {image.name}") as place:
        try:
            trial, _ = attempt(hands, image, test, place, output, stop)
        finally:
            if keep is not None:
                discard(keep)
                place.directory.rename(keep)
        return trial


def attempt(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: Output, stop: Event | None = None
) -> tuple[Trial, Workplace]:
    """Run a test in a workplace that is held, and remember its outcome; return that, and the place with its data."""
    path = trial_log(hands.state_dir, image, test)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # For the owner's eyes only: a test prints what it likes.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        trial, place = _run(hands, image, test, place, _Log(file.write, output, path), stop)
    failpoint("test.ended")
    key = trial_key(image, test)
    hands.journal.save_fact(key, json.dumps(asdict(trial)))
    failpoint("test.recorded")
    if trial.passed:
        hands.journal.clear_failures([key])
    return trial, place


def trials_of(desired: Desired, journal: Journal) -> Mapping[str, Trial]:
    """Return what is remembered of the tests that a commit has, by key."""
    tests = {trial_key(image, image.test) for image in desired.images.values() if image.test is not None}
    facts = {key: journal.fact(key) for key in tests}
    read = {key: _read(text) for key, text in facts.items() if text is not None}
    return {key: trial for key, trial in read.items() if trial is not None}


def trial_log(state_dir: Path, image: Image, test: ImageTest) -> Path:
    """Return where the output of a test's last run is."""
    return state_dir / "trials" / f"{image.name}-{short(image.identity)}-{short(test.digest)}.log"


def _run(
    hands: Hands, image: Image, test: ImageTest, place: Workplace, output: _Log, stop: Event | None
) -> tuple[Trial, Workplace]:
    commit, place, ended = prepare(hands, image, test, place, output, stop)
    what = "dataset_command" if ended.exit_code else "run_command"
    if not ended.exit_code:
        hands.say(trial_key(image, test), "running the test")
        output(f"# {test.run_command}\n".encode())
        ended = hands.containers.run(container_of(hands, image, test, place, test.run_command), output, stop=stop)
    if ended.exit_code == 0 and not ended.timed_out:
        return Trial(passed=True, count=0, commit=commit, log=str(output.path)), place
    how = f"ended with exit code {ended.exit_code}"
    if ended.out_of_memory:
        how = "ran out of memory"
    if ended.timed_out:
        how = f"took longer than {test.time_s} s and was ended"
    before = _read(hands.journal.fact(trial_key(image, test)) or "")
    trial = Trial(
        passed=False,
        reason="TestTimeout" if ended.timed_out else "TestFailed",
        message=f"image {image.name}: {what} of its test {how} (output: {output.path}; "
        f"to mend it: controller image fix {image.name}):\n{output.tail}",
        count=1 if before is None else before.count + 1,
        commit=commit,
        log=str(output.path),
    )
    return trial, place


def _read(text: str) -> Trial | None:
    try:
        return Trial(**json.loads(text))
    except (TypeError, ValueError):
        # Written by another version: to test again does no harm.
        return None


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
        # What ends in a status must not move the cursor of whoever reads it.
        lines = (readable(line) for line in text.split("\n"))
        return "\n".join([line for line in lines if line.strip()][-_TAIL_LINES:])
