"""Which files of a commit may be spec files.

By name only: whether a file is one is seen when it is read. Must not read anything but ``.controllerignore``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from controller.model.files import FileEntry
from controller.model.problems import Problem
from controller.specs.gitignore import Ignored, Line, NeverMatchesError, TooManyPatternsError, lines_of, read_line
from controller.specs.nearest import printable
from controller.specs.tree import Tree

IGNORE_FILE = ".controllerignore"
_MAX_IGNORE_BYTES = 1 << 18
_REGULAR = (0o100644, 0o100755)
_NOT_UTF_8 = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def spec_files(tree: Tree, entries: Sequence[FileEntry]) -> tuple[list[FileEntry], list[Problem]]:
    """Return the regular ``.yaml`` and ``.yml`` files that are neither hidden nor ignored, and what is wrong with
    ``.controllerignore`` (gitignore syntax, at the top of the tree)."""
    found = [entry for entry in entries if _may_be_spec(entry)]
    ignored, problems = _ignored(tree, entries)
    if ignored is None:
        return found, problems
    return [entry for entry in found if not ignored.ignores(entry.path)], problems


def fault_of_name(path: str) -> str:
    """Return why a path cannot be that of a spec file, which stands in statuses, messages and commits; "" if it can."""
    if _NOT_UTF_8.search(path):
        return "the name of the file is not UTF-8"
    return "the name of the file has a control character in it" if _CONTROL.search(path) else ""


def _may_be_spec(entry: FileEntry) -> bool:
    path = entry.path
    return path.endswith((".yaml", ".yml")) and entry.mode in _REGULAR and not path.startswith(".") and "/." not in path


def _ignored(tree: Tree, entries: Sequence[FileEntry]) -> tuple[Ignored | None, list[Problem]]:
    entry = next((each for each in entries if each.path == IGNORE_FILE and each.mode in _REGULAR), None)
    if entry is None:
        return None, []
    data = tree.read(entry.oid, limit=_MAX_IGNORE_BYTES + 1)
    if len(data) > _MAX_IGNORE_BYTES:
        return None, [_problem(0, f"larger than {_MAX_IGNORE_BYTES >> 10} KiB; nothing is ignored")]
    good: list[Line] = []
    problems = []
    for number, text in enumerate(lines_of(data.decode("utf-8", "surrogateescape")), start=1):
        try:
            if (line := read_line(text)) is not None:
                good.append(line)
        except NeverMatchesError:
            problems.append(_problem(number, "not a pattern in gitignore syntax; the line is passed over", text))
    try:
        return Ignored(good), problems
    except TooManyPatternsError as error:
        return None, [_problem(0, f"{error}; nothing is ignored")]


def _problem(line: int, message: str, excerpt: str = "") -> Problem:
    return Problem(
        path=IGNORE_FILE, line=line, column=1 if line else 0, message=message, excerpt=printable(excerpt[:200])
    )
