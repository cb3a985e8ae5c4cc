"""What ``suspend``, ``resume`` and ``rerun`` have in common: a field of a spec changed by a commit to the spec branch.

Nothing changes what should be behind Git's back: the commit is made in the name of whoever types the command, on top of
the newest one, and what it comes to is looked at before it is pushed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controller.cli.options import Given, output_option, repository_options
from controller.cli.output import say
from controller.model.errors import StalledError

if TYPE_CHECKING:
    from controller.reconcile.settings import Settings
    from controller.repository.mirror import Mirror
    from controller.repository.specbranch import SpecBranch, SpecCommit
    from controller.specs.addresses import Address
    from controller.specs.effects import Effect
    from controller.specs.requests import FieldEdit, Subject


_MOST_BEHIND = 1000
"""Commits that a checkout may be behind and still be known as one of the repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One such command: ``ask`` returns the edits; ``runs_again`` whether digests are to change, or else must not."""

    imperative: str
    """As a commit's subject begins: ``Suspend``."""
    past: str
    """As the answer begins: ``suspended``."""
    already: str
    """What is said when nothing is to be done: ``is suspended already``."""
    ask: Callable[[Subject], list[FieldEdit]]
    runs_again: bool = False
    said: str = ""
    """What it means for what runs now."""


def change_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add NAME, ``-m``, ``--dry-run``, ``-o`` and the repository's options."""
    for option in (
        repository_options,
        output_option("text", "json"),
        click.option("--dry-run", is_flag=True, help="Print the change as a diff; commit nothing."),
        click.option("-m", "--message", metavar="TEXT", help="The commit's message."),
        click.argument("name", metavar="NAME[/TASK]"),
    ):
        verb = option(verb)
    return verb


def run_change(verb: Verb, given: Given, name: str, message: str | None, *, dry_run: bool, output: str) -> None:
    """Carry out a verb and say what came of it."""
    from controller.cli.composition import open_mirror, settings_from
    from controller.specs.addresses import NotFoundError
    from controller.specs.requests import RequestRefused

    settings = settings_from(given)
    mirror = open_mirror(settings)
    require_followed(settings, mirror)
    branch = open_spec_branch(settings, mirror)
    change = _Change(verb, settings, mirror, name)
    try:
        made = branch.change(change.edit, message or change.subject, dry_run=dry_run)
    except (NotFoundError, RequestRefused) as error:
        raise click.UsageError(str(error)) from error
    if output == "json":
        _print_json(change, made)
    else:
        _print_text(change, made, settings, mirror)


def require_followed(settings: Settings, mirror: Mirror) -> None:
    """See that a commit on the spec branch would take effect.

    Raises:
        StalledError: the controller of this repository follows another branch (``BranchNotFollowed``).
    """
    from controller.model.leases import read_lease
    from controller.repository.identity import same_repository
    from controller.repository.statusbranch import RECORD, StatusBranch

    mirror.fetch(settings.branch, settings.status_branch)
    data = StatusBranch(mirror, settings.status_branch).top_file(RECORD)
    try:
        spot = read_lease(data).spot if data is not None else None
    except ValueError:
        return
    branch = settings.branch or mirror.default_branch()
    if spot is None or spot.branch in ("", branch) or not same_repository(spot.address, mirror.url.shown):
        return
    raise StalledError(
        "BranchNotFollowed",
        f"the controller follows branch {spot.branch} of {spot.address}: a commit on {branch} would have no effect, "
        f"and nothing was committed. Say --branch {spot.branch}; to have {branch} followed: controller move --branch "
        f"{branch}",
    )


def open_spec_branch(settings: Settings, mirror: Mirror) -> SpecBranch:
    """Return the spec branch, to be written in the name of whoever calls."""
    import os

    from controller.repository.author import author_of
    from controller.repository.specbranch import SpecBranch

    here = Path.cwd()
    return SpecBranch(mirror, settings.branch, lambda: author_of(here, os.environ), directory=here)


def print_commit(made: SpecCommit, settings: Settings, mirror: Mirror) -> None:
    """Print a commit that was made, and how it gets into the checkout that a person works in."""
    from controller.repository.checkout import shares_history
    from controller.repository.url import parse_url

    assert made.id is not None
    say(f"commit {made.id[:12]} on {made.branch}")
    if made.checkout is not None:
        say(f"The checkout {made.checkout} has moved along: it holds the commit already.")
    elif shares_history(Path.cwd(), mirror.newest(made.parent, _MOST_BEHIND)):
        say(f"`git pull` on branch {made.branch} brings it into this checkout.")
    else:
        where = parse_url(settings.repo).shown
        say(f"`git pull` on branch {made.branch} brings it into your checkout of {where}.")


class _Change:
    """One command's edit, made as often as the branch moves; what it found last is kept for the answer."""

    def __init__(self, verb: Verb, settings: Settings, mirror: Mirror, name: str) -> None:
        self.verb = verb
        self.name = name
        self._settings = settings
        self._mirror = mirror
        self.address: Address | None = None
        self.effect: Effect | None = None
        self.on_change = ""
        self.asked_for = 0

    @property
    def title(self) -> str:
        """What is meant: ``job train``."""
        return self.address.title if self.address is not None else self.name

    def subject(self) -> str:
        """Return the first line of the commit's message; asked for once the edit is made."""
        return f"{self.verb.imperative} {self.title}"

    @property
    def file(self) -> str:
        """The file, from the top of the repository."""
        assert self.address is not None
        return "/".join(part for part in (self._settings.path, self.address.path) if part)

    def edit(self, tip: str) -> dict[str, bytes] | None:
        """Return the changed file; None where nothing is to be done."""
        import pygit2

        from controller.specs.addresses import find
        from controller.specs.compile import load
        from controller.specs.edits import EditRefused, with_field
        from controller.specs.effects import effect_of, jobs_of
        from controller.specs.tree import ChangedTree

        tree = self._mirror.tree(tip, self._settings.path)
        before = load(tree)
        self.address = address = find(tree, before, self.name)
        edits = self.verb.ask(address.subject)
        if not edits:
            return None
        data = address.data
        for each in edits:
            try:
                data = with_field(data, address.number, each.where, each.name, each.value)
            except EditRefused as refused:
                raise StalledError(
                    "EditRefused",
                    f"{self.file}:{refused.line}: {refused.message}. To {self.verb.imperative.lower()} {address.title}"
                    f" by hand, {refused.by_hand}",
                ) from refused
        after = load(ChangedTree(tree, address.path, data, str(pygit2.hash(data))))
        self.effect = effect_of(before, after)
        jobs = jobs_of(after, address.kind, address.name, address.subject.step)
        wanted = {task.id for job in jobs for task in job.tasks if address.subject.key in ("", task.key)}
        self._check(wanted, {task.id for job in jobs for task in job.tasks})
        self.asked_for = len(wanted)
        self.on_change = next((str(job.on_change) for job in jobs), "")
        return {self.file: data}

    def _check(self, wanted: set[str], of_the_job: set[str]) -> None:
        """See that the edit does what it is for, and no more, before anybody has to live with it."""
        effect, verb = self.effect, self.verb
        assert effect is not None
        if effect.problems:
            raise StalledError("SpecInvalid", f"the change would not be valid: {effect.problems[0].headline()}")
        again = set(effect.again)
        too_many = (again & of_the_job) - wanted if verb.runs_again else again
        if too_many:
            some = ", ".join(sorted(too_many)[:3])
            raise StalledError(
                "EditRefused",
                f"a change of {self.file} would run {len(too_many)} other tasks again, such as {some}: is it among the"
                " `files` of their job? Take it out of there, or change it by hand",
            )
        if verb.runs_again and wanted - again:
            raise StalledError("EditRefused", f"{min(wanted - again)} would not run again for it")


def _print_text(change: _Change, made: SpecCommit | None, settings: Settings, mirror: Mirror) -> None:
    verb, address, effect = change.verb, change.address, change.effect
    assert address is not None
    if made is None:
        say(f"{change.title} {verb.already} ({change.file}:{address.line}); nothing to commit")
        return
    if made.id is None:
        say(made.diff, nl=False)
        say(f"dry run: nothing was committed to {made.branch}", err=True)
        return
    say(f"{verb.past} {change.title} ({change.file}:{address.line})")
    print_commit(made, settings, mirror)
    for line in _consequences(change, effect):
        say(line)
    say(
        f"It takes effect with the next pass: within {settings.interval_s:.0f} s where `controller run` is at work,"
        " or now by `controller reconcile`."
    )


def _consequences(change: _Change, effect: Effect | None) -> list[str]:
    lines = [change.verb.said] if change.verb.said else []
    assert change.address is not None
    subject = change.address.subject
    if not subject.keys and change.address.kind == "Job":
        return ["Its spec is not valid at present: this counts once it is (controller validate)."]
    if change.verb.runs_again and effect is not None:
        number = len(effect.again)
        active = {"replace": "cancelled and replaced", "finish": "left to finish first"}.get(change.on_change, "")
        tasks = "1 task runs" if number == 1 else f"{number} tasks run"
        needing = f" ({number - change.asked_for} of them because they need it)" if number > change.asked_for else ""
        lines.append(f"{tasks} again{needing}; a run that is active now is {active} (on_change: {change.on_change}).")
        if subject.in_force("suspend") is True or subject.key in _list(subject.in_force("suspend")):
            lines.append(f"It is suspended: it runs after `controller resume {change.name}`.")
    return lines


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _print_json(change: _Change, made: SpecCommit | None) -> None:
    from controller.cli.output import print_json

    assert change.address is not None
    print_json(
        {
            "what": change.title,
            "path": change.file,
            "line": change.address.line,
            "changed": made is not None,
            "branch": made.branch if made else None,
            "commit": made.id if made else None,
            "checkout": str(made.checkout) if made and made.checkout else None,
            "diff": made.diff if made else "",
            "again": list(change.effect.again) if change.effect and made else [],
        }
    )
