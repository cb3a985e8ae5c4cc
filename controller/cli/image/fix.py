"""``controller image fix``: an interactive session that mends an image and ends in a commit."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controller.cli.options import Given, repository_options
from controller.cli.output import say
from controller.model.errors import StalledError

if TYPE_CHECKING:
    from types import FrameType

    from controller.cli.image.workcopy import WorkingCopy
    from controller.reconcile.reconciler import Reconciler


@click.command(name="fix")
@click.argument("name", metavar="NAME")
@click.option("-m", "--message", metavar="TEXT", help="The commit's message.")
@repository_options
def command(given: Given, name: str, message: str | None) -> None:
    """Build image NAME and run its test; where that fails, look into it, edit, try again, and commit what works.

    \b
    Exit codes: 0 it builds and passes, and the change was committed if there was one,
    1 left before that (what was edited is kept, and its place said), 2 no terminal or no such image.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "controller image fix asks questions, and this is no terminal; "
            "run controller image test and edit the files by hand"
        )
    from controller.cli.composition import open_reconciler, settings_from
    from controller.cli.image.named import image_named
    from controller.cli.image.session import Session
    from controller.cli.image.workcopy import WorkingCopy
    from controller.service.logs import configure_logging

    configure_logging("critical")
    settings = settings_from(given)
    with ExitStack() as stack:
        reconciler = stack.enter_context(open_reconciler(settings, say=lambda key, text: say(f"  {text}")))
        mirror, desired = reconciler.mirror, reconciler.newest()
        image = image_named(desired, name)
        place = stack.enter_context(_kept_until_committed(settings.state_dir / "fix", name))
        hands = reconciler.hands(desired)
        copy = WorkingCopy(mirror.tree(desired.commit, settings.path), image, place)
        branch = settings.branch or mirror.default_branch()
        commit = _committer(reconciler, message or f"Mend image {name}")
        edited = replace(hands, tree_of=lambda files: hands.tree_of(files) if files.repository else copy.tree())
        session = Session(name, copy, edited, reload=reconciler.commits.load, commit=commit, branch=branch)
        try:
            done = session.run()
        finally:
            if not copy.changes():
                shutil.rmtree(place)
        if done and place.exists():
            shutil.rmtree(place)
    sys.exit(0 if done else 1)


def _committer(reconciler: Reconciler, message: str) -> Callable[[WorkingCopy], None]:
    """Return what commits a working copy's changes on top of whatever is newest."""
    from controller.cli.spec_change import open_spec_branch, print_commit
    from controller.specs.effects import Effect, effect_of
    from controller.specs.tree import EditedTree

    settings, mirror = reconciler.settings, reconciler.mirror

    def commit(copy: WorkingCopy) -> None:
        found: list[Effect] = []

        def edit(tip: str) -> dict[str, bytes]:
            import pygit2

            tree = mirror.tree(tip, settings.path)
            changes = copy.changes()
            for path in copy.conflicts_with(tree):
                raise StalledError(
                    "EditConflict",
                    f"{path} was changed in commit {tip[:12]} as well. Your version is {copy.place(path)};"
                    " leave with q and start again from the newest commit",
                )
            after = EditedTree(tree, {path: (str(pygit2.hash(data)), data) for path, data in changes.items()})
            effect = effect_of(reconciler.commits.load(tree), reconciler.commits.load(after))
            if effect.problems:
                raise StalledError("SpecInvalid", f"the change would not be valid: {effect.problems[0].headline()}")
            found[:] = [effect]
            return {"/".join(part for part in (settings.path, path) if part): data for path, data in changes.items()}

        made = open_spec_branch(settings, mirror).change(edit, message)
        assert made is not None, "the edit always wants something"
        assert made.id is not None, "it was no dry run"
        print_commit(made, settings, mirror)
        again = len(found[0].again)
        if again:
            say(f"{again} task{'s' if again > 1 else ''} will run again, as their image has changed.")

    return commit


@contextmanager
def _kept_until_committed(base: Path, name: str) -> Iterator[Path]:
    """Yield a directory for the working copy; if it is still there in the end, say so, also when the terminal goes."""
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    before = {number: signal.signal(number, _leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield place
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if place.exists():
            with suppress(OSError):
                say(f"what was edited is kept in {place}")


def _leave(number: int, frame: FrameType | None) -> None:
    """End like any other exception does, so that containers are taken away and the files' place is said."""
    raise SystemExit(128 + number)
