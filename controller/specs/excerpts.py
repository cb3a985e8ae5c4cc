"""The line that a problem is on, and how it is drawn with a caret.

libyaml's errors and Cerberus' know a place at most: the text comes from the source. Must not read files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from controller.model.problems import Problem

_LONGEST = 200


def excerpt(lines: Sequence[str], line: int, column: int) -> str:
    """Return a line for a ``Problem``: one printable character a column, "" if there is none worth showing."""
    if not 0 < line <= len(lines) or column > _LONGEST:
        return ""
    text = lines[line - 1]
    cut = text[:_LONGEST]
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in cut)
    return shown.rstrip() + (" ..." if len(text) > _LONGEST else "")


def caret(problem: Problem) -> str:
    """Return the white space and the caret that belong under a problem's excerpt; wide characters count twice."""
    before = problem.excerpt[: problem.column - 1].ljust(max(problem.column - 1, 0))
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in before)
    return " " * width + "^"


def draw(problem: Problem) -> str:
    """Return a problem as several lines: headline, source line, caret, remedy.

    Without colour; the command line colours the same parts.
    """
    lines = [problem.headline()]
    if problem.excerpt:
        gutter = " " * len(str(problem.line))
        lines += [f" {problem.line} | {problem.excerpt}", f" {gutter} | {caret(problem)}"]
    if problem.remedy:
        lines.append(f"   = {problem.remedy}")
    return "\n".join(lines)
