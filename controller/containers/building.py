"""A build as it is told of: the engine's stream made into a log, steps, and the words of a failure.

An engine speaks in pieces that end anywhere, with colours, progress bars and whatever a program prints. Out of that
come lines that a person can read, and never more than a few of them are held in memory. Does not belong here: how a
build is asked for.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from controller.containers.buildfaults import fault_of
from controller.model.errors import ControllerError, StalledError, TransientError
from controller.specs.dockerfiles import instructions

TAIL = 15
_LONGEST = 16_384
"""Characters after which a line is cut: programs that never end one must not fill the memory."""
_SHOWN = 500
_LOG_BYTES = 256 << 20
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>()#][0-9A-B]?)")
"""Control sequences of ECMA-48: CSI, OSC (titles, links), and short ones."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C0, C1 (8-bit CSI among them), and what turns the direction of text round."""
_STEP = re.compile(r"(?:\[\d+/\d+\] )?step (\d+)/(\d+) ?: ?(.*)", re.IGNORECASE)
"""``Step 4/7 : RUN make`` (Docker) and ``[1/2] STEP 4/7: RUN make`` (Podman)."""


@dataclass(slots=True)
class Follower:
    """Reads one build's stream to its end.

    Every line goes to ``log``; ``say`` gets the steps' headlines. ``dockerfile`` is the text whose lines failures name.
    """

    name: str
    dockerfile: str
    log: IO[str]
    say: Callable[[str], None]
    step: str = ""
    line: int | None = None
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    _rest: str = ""
    _written: int = 0

    def follow(self, stream: Iterable[Mapping[str, Any]]) -> None:
        """Read chunks until there are no more. A failed step is only an ``error`` chunk among them.

        Raises:
            TransientError: the build failed (``BuildFailed``).
            StalledError: a person has to change the Dockerfile first (``DockerfileInvalid``, ``BuildKitNeeded``).
        """
        for chunk in stream:
            if "error" in chunk:
                self._end_line()
                raise self.failed(str(chunk["error"]))
            self._take(_text_of(chunk))
        self._end_line()
        self.log.flush()

    def _take(self, text: str) -> None:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._add(line)
        while len(self._rest) > _LONGEST:
            self._add(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]
        if whole:
            self.log.flush()

    def _end_line(self) -> None:
        if self._rest:
            self._add(self._rest)
            self._rest = ""

    def _add(self, raw: str) -> None:
        line = readable(raw)
        if self._written < _LOG_BYTES:
            self._written += len(line) + 1
            more = "" if self._written < _LOG_BYTES else "\n(the log ends here: it is too long)"
            self.log.write(f"{line}{more}\n")
        if not line.strip():
            return
        self._tail.append(line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ...")
        if found := _STEP.fullmatch(line):
            number, total, instruction = found.groups()
            self.step = f"Step {number}/{total} : {instruction}"
            self.line = line_of(self.dockerfile, int(number), instruction)
            self.say(self.step)

    def failed(self, said: str) -> ControllerError:
        """Return the error that an engine's words are, with the step, where it stands, and the last lines."""
        error = readable(said.strip().replace("\n", "; "))
        self.log.write(f"{error}\n")
        self.log.flush()
        place = f" (Dockerfile line {self.line})" if self.line is not None else ""
        lines = "\n".join(self._tail)
        message = f"image {self.name}: {self.step or 'the build'}{place} failed: {error}"
        if (fault := fault_of(error, self.dockerfile)) is not None:
            return StalledError(fault.reason, f"{message}. {fault.remedy}\n{lines}".strip())
        return TransientError("BuildFailed", f"{message}\n{lines}")


def readable(line: str) -> str:
    """Return a line as a terminal would have left it: no colours, no overwritten progress, no control characters."""
    line = _ESCAPE.sub("", line).rstrip("\r")
    return _CONTROL.sub("", line.rpartition("\r")[2])


def line_of(dockerfile: str, number: int, instruction: str) -> int | None:
    """Return the line (from 1) of the instruction that a step's headline repeats; None for one that is not there.

    Podman counts each stage by itself, so the text comes first and the number decides between equals.
    """
    wanted = _plain(instruction)
    found = [(index, line) for index, (line, text) in enumerate(instructions(dockerfile), 1) if _plain(text) == wanted]
    if not found:
        return None
    return next((line for index, line in found if index == number), found[0][1])


def _plain(instruction: str) -> str:
    return " ".join(instruction.split()).casefold()


def _text_of(chunk: Mapping[str, Any]) -> str:
    """Return what a chunk says; bars that only show how far a download is say nothing."""
    if "stream" in chunk:
        return str(chunk["stream"] or "")
    if "status" in chunk:
        return "" if "progress" in chunk else f"{chunk['status']}\n"
    return f"{json.dumps(chunk['aux'])}\n" if "aux" in chunk else ""
