"""The images that a cluster keeps: what is there, whose it is, and what nobody uses taken away.

Each verb is one script, so one round trip. Must not decide what may go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.clusters.scripts import Answer, Script
from controller.model.errors import TransientError
from controller.model.stored import Leftover, Mark, Sif, Store

_LOOK_S = 120.0
_CLEAR_S = 600.0


class Ask(Protocol):
    """Runs a script over there and returns its whole answer."""

    def __call__(self, script: Script, payload: bytes, *, timeout_s: float) -> Answer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What became of one image. ``why`` says why the file is still there, "" when it is not."""

    identity: str
    why: str = ""
    was_there: bool = True


class ClusterStorage:
    """The images of one cluster. ``script`` and ``ask`` are its client's."""

    def __init__(self, cluster: str, script: Callable[[str], Script], ask: Ask) -> None:
        self._cluster = cluster
        self._script = script
        self._ask = ask

    def look(self, batches: Sequence[str]) -> Store:
        """Return what is there, and which images the given submissions run in.

        Raises:
            TransientError, StalledError: it could not all be seen.
        """
        answer = self._ask(self._script("stock"), _lines(batches), timeout_s=_LOOK_S)
        for name, part in answer.parts.items():
            if part.exit_code != 0:
                said = part.fault or f"exit code {part.exit_code}"
                raise TransientError("StockUnreadable", f"cluster {self._cluster}: {name} could not be listed ({said})")
        try:
            return Store(
                cluster=self._cluster,
                root=answer.parts["place"].text.strip().removeprefix("root "),
                sifs=tuple(_sif(line) for line in _rows(answer, "sifs")),
                leftovers=tuple(_leftover(line) for line in _rows(answer, "leftovers")),
                marks=tuple(_mark(line) for line in _rows(answer, "marks")),
                batches=dict(pair for row in _rows(answer, "batches") if (pair := _batch(row)) is not None),
            )
        except (ValueError, LookupError, TypeError) as error:
            message = f"cluster {self._cluster}: the list of its images is not readable ({error})"
            raise TransientError("StockUnreadable", message) from error

    def clear(self, images: Sequence[tuple[str, str]]) -> Mapping[str, Cleared]:
        """Give up images, each with this instance's mark as it was seen ("" for none); nobody else's goes.

        Raises:
            AmbiguousError: the answer broke off: some may be gone.
            TransientError, StalledError: nothing was done.
        """
        answer = self._ask(
            self._script("prune"), _lines(f"{identity} {mark or '-'}" for identity, mark in images), timeout_s=_CLEAR_S
        )
        cleared = {}
        for words in answer.words:
            word, identity, rest = [*words, "", ""][:3]
            match word:
                case "removed":
                    cleared[identity] = Cleared(identity=identity)
                case "gone":
                    cleared[identity] = Cleared(identity=identity, was_there=False)
                case "shared":
                    cleared[identity] = Cleared(identity=identity, why=f"used by instance {', '.join(rest.split())}")
                case "kept":
                    cleared[identity] = Cleared(identity=identity, why=rest)
        return cleared


def _lines(rows: Iterable[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def _rows(answer: Answer, name: str) -> list[str]:
    return [line for line in answer.parts[name].text.split("\n") if line.strip()]


def _sif(line: str) -> Sif:
    name, size, modified = line.split()
    return Sif(identity=name.removesuffix(".sif"), size=int(size), modified=float(modified))


def _leftover(line: str) -> Leftover:
    name, size, modified = line.split()
    return Leftover(name=name, size=int(size), modified=float(modified))


def _mark(line: str) -> Mark:
    instance, identity, text = line.split(" ", 2)
    return Mark(instance=instance, identity=identity, text=text)


def _batch(line: str) -> tuple[str, str] | None:
    """Read what a submission says of its image; None when it says nothing about it."""
    batch, _, manifest = line.partition(" ")
    image = json.loads(manifest).get("image")
    return (batch, image) if isinstance(image, str) else None
