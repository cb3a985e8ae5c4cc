"""A session that mends an image: build, test, look, edit, again, until all passes and the change is committed.

The session goes on whatever goes wrong in it, and ends when the person says so or the change is committed. Does not
belong here: what may be edited (``workcopy``), and the programs that are started on the terminal (``terminal``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from controller.cli.image.terminal import ask, edit, shell
from controller.cli.image.workcopy import WorkingCopy
from controller.cli.output import say
from controller.containers.trials import ContainerRun
from controller.model.digests import short
from controller.model.errors import ControllerError
from controller.model.images import Image, ImageTest
from controller.model.resources import Desired
from controller.reconcile.building import ensure_built
from controller.reconcile.buildlogs import logs_of
from controller.reconcile.hands import Hands
from controller.reconcile.trials import attempt
from controller.reconcile.workplaces import container_of, name_of, workplace
from controller.specs.tree import Tree

_LAYER = re.compile(r"^ ---> ([0-9a-f]{12,64})$", re.MULTILINE)
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Where an attempt came to an end, and what there is to look into it."""

    message: str
    log: Path | None = None
    inside: ContainerRun | None = None
    """Where a shell can be opened."""
    inside_what: str = ""


class Next(Enum):
    """What comes after the menu."""

    AGAIN = "again"
    DONE = "done"
    LEAVE = "leave"


class Session:
    """One session. ``reload`` reads what a commit's files ask for; ``commit`` makes the commit and says so."""

    def __init__(
        self,
        name: str,
        copy: WorkingCopy,
        hands: Hands,
        *,
        reload: Callable[[Tree], Desired],
        commit: Callable[[WorkingCopy], None],
        branch: str,
    ) -> None:
        self._name = name
        self._copy = copy
        self._hands = hands
        self._reload = reload
        self._commit = commit
        self._branch = branch

    def run(self) -> bool:
        """Go on until all passes and nothing is left to be done, or the person leaves; return whether all is done."""
        while True:
            with ExitStack() as kept:
                stuck = self._attempt(kept)
                if stuck is None:
                    say(f"image {self._name}: all passes")
                    if self._offer():
                        return True
                match self._menu(stuck):
                    case Next.AGAIN:
                        continue
                    case Next.DONE:
                        return True
                    case Next.LEAVE:
                        return False

    def _attempt(self, kept: ExitStack) -> Stuck | None:
        """Build, then test; None when both went well. What a shell needs stays until ``kept`` is closed."""
        try:
            desired = self._reload(self._copy.tree())
            image = desired.images.get(self._name)
            if image is None:
                said = [problem.headline() for problem in desired.problems] or [f"there is no image {self._name} in it"]
                return Stuck(message="the spec is not valid:\n" + "\n".join(said[:5]))
            try:
                ensure_built(self._hands, image)
            except ControllerError as error:
                return self._build_failed(image, error, kept)
            return None if image.test is None else self._test(image, image.test, kept)
        except ControllerError as error:
            return Stuck(message=f"{error.reason}: {error.message}")
        except OSError as error:
            return Stuck(message=f"{error.filename or self._copy.root}: {error.strerror}")
        except KeyboardInterrupt:
            return Stuck(message="interrupted")

    def _build_failed(self, image: Image, error: ControllerError, kept: ExitStack) -> Stuck:
        logs = [path for path in logs_of(self._hands.state_dir, image.name) if short(image.identity) in path.name]
        log = logs[0] if logs else None
        layers = _LAYER.findall(log.read_text(errors="replace")) if log is not None else []
        if not layers:
            return Stuck(message=error.message, log=log)
        place = kept.enter_context(workplace(self._hands, f"fix-{image.name}", f"image {image.name}"))
        run = ContainerRun(
            image=layers[-1],
            command="",
            workdir="",
            mounts=(),
            user="",
            trial=place.label,
            instance=self._hands.instance,
        )
        return Stuck(message=error.message, log=log, inside=run, inside_what=f"the last good layer, {layers[-1]}")

    def _test(self, image: Image, test: ImageTest, kept: ExitStack) -> Stuck | None:
        place = kept.enter_context(workplace(self._hands, name_of(image, test), f"image {image.name}"))
        trial, place = attempt(self._hands, image, test, place, _show)
        if trial.passed:
            return None
        run = container_of(self._hands, image, test, place, test.run_command)
        what = f"the image, with clone{' and data' if place.data else ''}; the command is: {run.command}"
        return Stuck(message=trial.message, log=Path(trial.log), inside=run, inside_what=what)

    def _menu(self, stuck: Stuck | None) -> Next:
        """Let the person look and edit; return what they want next."""
        if stuck is not None:
            say(f"\n{stuck.message}")
        show = True
        while True:
            if show:
                self._show_menu(stuck)
            typed = ask("> ")
            if typed is None or typed.lower() in ("q", "quit"):
                return Next.LEAVE
            show = True
            try:
                match typed.lower():
                    case "t":
                        return Next.AGAIN
                    case "s" if stuck is not None and stuck.inside is not None:
                        say(f"in {stuck.inside_what}")
                        shell(stuck.inside)
                    case "e" if self._copy.dockerfile is not None:
                        edit(self._copy.place(self._copy.dockerfile))
                    case "r" if self._copy.dependencies is not None:
                        edit(self._copy.place(self._copy.dependencies))
                    case "p":
                        edit(self._copy.place(self._copy.spec))
                    case "f":
                        self._edit_another()
                    case "l" if stuck is not None and stuck.log is not None:
                        _show_log(stuck.log)
                    case "d":
                        say(self._copy.diff() or "nothing has changed")
                    case "c" if stuck is None:
                        if self._offer():
                            return Next.DONE
                    case _:
                        say(f"there is no {typed!r} here" if typed else "q leaves")
                        show = not typed
            except ControllerError as error:
                say(f"{error.reason}: {error.message}")
            except OSError as error:
                say(f"{error.filename or self._copy.root}: {error.strerror}")

    def _show_menu(self, stuck: Stuck | None) -> None:
        copy = self._copy
        rows = [("t", "try again")]
        if stuck is not None and stuck.inside is not None:
            rows.append(("s", f"shell in {stuck.inside_what.partition(';')[0]}"))
        if copy.dockerfile is not None:
            rows.append(("e", f"edit {copy.dockerfile}"))
        if copy.dependencies is not None:
            rows.append(("r", f"edit {copy.dependencies}"))
        rows += [("p", f"edit the spec, {copy.spec}"), ("f", "edit another file")]
        if stuck is not None and stuck.log is not None:
            rows.append(("l", "show the log"))
        rows.append(("d", "show the diff"))
        if stuck is None:
            rows.append(("c", f"commit to {self._branch}"))
        rows.append(("q", "quit"))
        say("\n".join(f"  {key}  {what}" for key, what in rows))

    def _edit_another(self) -> None:
        files = self._copy.files
        say("\n".join(f"{number:4}  {path}" for number, path in enumerate(files, 1)))
        typed = ask("number, or the path of a new file in the build context: ")
        if not typed:
            return
        if typed.isdecimal() and 1 <= int(typed) <= len(files):
            edit(self._copy.place(files[int(typed) - 1]))
            return
        if typed.isdecimal():
            say(f"there is no file {typed}")
            return
        try:
            edit(self._copy.place(self._copy.add(typed)))
        except ValueError as error:
            say(str(error))

    def _offer(self) -> bool:
        """Show the change and commit it if the person wants that; return whether nothing is left to be done."""
        diff = self._copy.diff()
        if not diff:
            say("nothing has changed, so there is nothing to commit")
            return True
        say(diff)
        if (ask(f"Commit this to {self._branch}? [y/N] ") or "").lower() not in ("y", "yes"):
            return False
        try:
            self._commit(self._copy)
        except ControllerError as error:
            say(f"not committed: {error.reason}: {error.message}")
            return False
        return True


def _show(piece: bytes) -> None:
    say(piece.decode("utf-8", "replace"), nl=False)


def _show_log(log: Path) -> None:
    lines = log.read_text(errors="replace").splitlines()
    if len(lines) > _MOST_SHOWN:
        say(f"({len(lines) - _MOST_SHOWN} more lines before these: {log})")
    say("\n".join(lines[-_MOST_SHOWN:]))
