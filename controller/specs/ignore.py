"""Which files of a build context are sent: ``.dockerignore`` by Docker's own rules, which are not Git's.

The rules are those of github.com/moby/patternmatcher (v0.6, ``MatchesOrParentMatches`` and ``ignorefile.ReadAll``):
a pattern counts from the root of the context, the last one that matches decides, and what matches a directory matches
all below it. Must not read anything: the text is handed in.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NAME = ".dockerignore"
_ESCAPED = frozenset(".+()|{}$^")


class BadPatternError(Exception):
    """A line that is no pattern; the message says which, and what is wrong with it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: what it matches, and whether that is left out or (after ``!``) taken back in."""

    matches: re.Pattern[str]
    takes_back: bool


def names_for(dockerfile: str) -> tuple[str, str]:
    """Return the files that may hold the patterns for a Dockerfile; the first that there is counts."""
    return f"{dockerfile}{NAME}", NAME


def read_patterns(text: str) -> tuple[Pattern, ...]:
    """Read an ignore file.

    Raises:
        BadPatternError: a line of it is no pattern.
    """
    patterns = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if raw.startswith("#") or not line:
            continue
        takes_back = line.startswith("!")
        if takes_back:
            line = line[1:].strip()
            if not line:
                raise BadPatternError(number, 'a "!" needs a pattern after it')
        # As Go's filepath.Clean has it: "." stays, and then matches no file.
        cleaned = posixpath.normpath(line)
        cleaned = cleaned.lstrip("/") or "/"
        try:
            patterns.append(Pattern(re.compile(_regex(cleaned)), takes_back))
        except re.error as error:
            raise BadPatternError(number, f'"{line[:80]}" is no pattern ({error})') from error
    return tuple(patterns)


def is_ignored(path: str, patterns: Sequence[Pattern]) -> bool:
    """Return whether a file is left out; directories above it count as well as its own path."""
    ways = [path, *_parents(path)]
    ignored = False
    for pattern in patterns:
        if pattern.takes_back == ignored and any(pattern.matches.fullmatch(way) for way in ways):
            ignored = not ignored
    return ignored


def _parents(path: str) -> Iterable[str]:
    return (path[:end] for end, char in enumerate(path) if char == "/")


def _regex(pattern: str) -> str:
    """Translate a pattern as ``Pattern.compile`` does."""
    made, at, end = "", 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
            made += ".*" if at >= end else "(?:.*/)?"
        elif char == "*":
            made += "[^/]*"
        elif char == "?":
            made += "[^/]"
        elif char in _ESCAPED:
            made += re.escape(char)
        elif char == "\\":
            made += re.escape(pattern[at : at + 1] or "\\")
            at += 1
        elif char == "[":
            made, at = _bracket(pattern, at, made)
        else:
            made += re.escape(char)
    return made


def _bracket(pattern: str, at: int, made: str) -> tuple[str, int]:
    """Translate a class of characters; Go knows ranges, ``^`` and backslashes in it, and no empty one."""
    close, inside = at, ""
    while close < len(pattern) and (pattern[close] != "]" or close == at):
        if pattern[close] == "\\":
            inside += re.escape(pattern[close + 1 : close + 2])
            close += 2
            continue
        literal = pattern[close] in "[&~|" or (pattern[close] == "^" and close > at)
        inside += f"\\{pattern[close]}" if literal else pattern[close]
        close += 1
    if close >= len(pattern):
        raise re.error("a [ that is not closed")
    return f"{made}[{inside}]", close + 1
