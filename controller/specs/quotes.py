"""Where in a shell command the quotes of a value would not hold.

A value is quoted for a place outside of quotes. Inside of quotes, or in a here-document, the quotes would be text, and
what is in the value would be read by the shell. So values that need quotes are refused there. Knows as much of
the shell's grammar (POSIX.1-2024, XCU 2.2 and 2.7.4, and bash) as that takes, and errs towards refusing.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection

_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z0-9_.+-]+))")
_BEFORE_COMMENT = frozenset(" \t\n;&|(")


def places(text: str, starts: Collection[int]) -> dict[int, str]:
    """Return what surrounds each of some offsets of a command: ``quotes``, ``a here-document``, or nothing."""
    scan = _Scan(text, frozenset(starts))
    scan.run()
    return scan.found


class _Scan:
    """One walk through a command."""

    def __init__(self, text: str, starts: frozenset[int]) -> None:
        self.found = dict.fromkeys(starts, "")
        self._starts = sorted(starts)
        self._text = text
        self._open: list[str] = []
        """Double quotes, parentheses and backquotes that are open, the innermost last."""
        self._backquotes = 0
        """How many of those are backquotes."""
        self._documents: list[tuple[str, bool]] = []
        """End marks of the here-documents that begin on the next line, and whether tabs before them count."""

    def run(self) -> None:
        at = 0
        while at < len(self._text):
            if self._open and self._open[-1] == '"':
                if at in self.found:
                    self.found[at] = "quotes"
                at = self._in_double_quotes(at)
            else:
                at = self._outside(at)

    def _in_double_quotes(self, at: int) -> int:
        match self._text[at]:
            case "\\":
                return at + 2
            case '"':
                self._open.pop()
            case "`":
                self._backquote()
            case "$" if self._text.startswith("$(", at):
                self._open.append("(")
                return at + 2
        return at + 1

    def _outside(self, at: int) -> int:
        text = self._text
        match text[at]:
            case "\\":
                return at + 2
            case "'":
                end = text.find("'", at + 1)
                return self._mark(at, len(text) if end < 0 else end + 1, "quotes")
            case "$" if text.startswith("$'", at):
                return self._mark(at, _end_of_dollar_quotes(text, at + 2), "quotes")
            case '"' | "(" as opening:
                self._open.append(opening)
            case ")" if self._open and self._open[-1] == "(":
                self._open.pop()
            case "`":
                self._backquote()
            case "#" if at == 0 or text[at - 1] in _BEFORE_COMMENT:
                end = text.find("\n", at)
                return len(text) if end < 0 else end
            case "<" if (here := _HEREDOC.match(text, at)) and not text.startswith("<<<", at):
                self._documents.append((here[2] or here[3] or here[4], bool(here[1])))
                return here.end()
            case "\n" if self._documents:
                return self._bodies(at + 1)
        return at + 1

    def _backquote(self) -> None:
        if self._backquotes:
            while self._open.pop() != "`":
                pass
            self._backquotes -= 1
        else:
            self._open.append("`")
            self._backquotes += 1

    def _bodies(self, at: int) -> int:
        for mark, indented in self._documents:
            while at < len(self._text):
                end = self._text.find("\n", at)
                end = len(self._text) if end < 0 else end + 1
                line = self._text[at:end].rstrip("\n")
                if (line.lstrip("\t") if indented else line) == mark:
                    at = end
                    break
                at = self._mark(at, end, "a here-document")
        self._documents.clear()
        return at

    def _mark(self, start: int, end: int, what: str) -> int:
        for offset in self._starts[bisect_left(self._starts, start) : bisect_left(self._starts, end)]:
            self.found[offset] = what
        return end


def _end_of_dollar_quotes(text: str, at: int) -> int:
    """Return where a string that began with ``$'`` ends: a quote behind a backslash does not end it."""
    while at < len(text) and text[at] != "'":
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))
