"""How much of one commit is read and made, at most.

Whoever may commit could otherwise take hours of a pass and all memory with a few kilobytes. What goes beyond a limit is
said once, is not applied, and is never taken for deleted. Must not know what any of it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.model.files import FileEntry
from controller.model.problems import Problem
from controller.specs.tree import Tree

MOST_FILES = 50_000
"""YAML files that are read of a commit."""
MOST_BYTES = 64 << 20
"""Bytes that they have together."""
MOST_DOCUMENTS = 50_000
"""Specs of a commit, valid or not."""
MOST_PROBLEMS = 1_000
"""Problems shown of a commit, beside the first of each resource."""
MOST_POINTS = 250_000
"""Points that the matrices of one file have together, and tasks of one commit."""
MOST_TEXT = 256 << 20
"""Bytes of the commands and variables of all tasks of a commit."""
MOST_PICKED = 5_000_000
"""Files that the jobs of a commit name together, one that several name counted for each set of files."""
MOST_LINK_PARTS = 1_000_000
"""Parts of paths that are walked to see where symbolic links lead."""


class SpentError(Exception):
    """A budget is used up; the message says which."""


@dataclass(slots=True)
class Budget:
    """What is left of the budgets of one commit, or of one file."""

    points: int = MOST_POINTS
    text: int = MOST_TEXT

    def take_tasks(self, count: int, text: int) -> None:
        """Take what a job's tasks need: how many there are, and the bytes of one's texts.

        Raises:
            SpentError: that is more than is left; nothing is taken.
        """
        if count > self.points:
            raise SpentError(f"has {count} tasks, and all of a commit may have {MOST_POINTS} together")
        if count * text > self.text:
            raise SpentError(
                f"has texts of {count * text >> 20} MiB in its tasks; all of a commit may have {MOST_TEXT >> 20} MiB"
            )
        self.points -= count
        self.text -= count * text


def within(tree: Tree, entries: Sequence[FileEntry], *, longest: int) -> tuple[list[FileEntry], list[FileEntry]]:
    """Return the files that are read, and those beyond the limits; of a file ``longest`` bytes are read at most."""
    read: list[FileEntry] = []
    left: list[FileEntry] = []
    room = MOST_BYTES
    for entry in entries:
        size = min(tree.size(entry.oid), longest)
        if len(read) < MOST_FILES and size <= room:
            read.append(entry)
            room -= size
        else:
            left.append(entry)
    return read, left


def of_files(left: Sequence[FileEntry]) -> Problem:
    """Return the problem of files that were not read."""
    message = (
        f"{len(left)} more YAML files are not read: a commit may have {MOST_FILES}, and {MOST_BYTES >> 20} MiB of them;"
        " what they hold stays as it is"
    )
    return Problem(
        path=left[0].path, line=0, column=0, message=message, remedy="list what is no spec in .controllerignore"
    )


def shown(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that are shown of a commit: the first ones, one of each resource, and how many more."""
    every = sorted(set(problems))
    if len(every) <= MOST_PROBLEMS:
        return every
    told, seen = every[:MOST_PROBLEMS], {problem.resource for problem in every[:MOST_PROBLEMS]}
    for problem in every[MOST_PROBLEMS:]:
        if problem.resource and problem.resource not in seen:
            seen.add(problem.resource)
            told.append(problem)
    if more := len(every) - len(told):
        told.append(Problem(path="", line=0, column=0, message=f"and {more} more problems in this commit"))
    return told
