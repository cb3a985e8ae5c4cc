"""Which files of a build context are sent: ``.dockerignore`` by Docker's own rules, which are not Git's.

The rules are those of github.com/moby/patternmatcher (v0.6, ``MatchesOrParentMatches``, ``Pattern.compile`` and
``ignorefile.ReadAll``): a pattern counts from the root of the context, the last one that matches decides, and what
matches a directory matches all below it. What Docker makes of a pattern by accident, through the regular expression
that it turns it into, is refused with what to write instead. Must not read anything: the text is handed in.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from controller.specs.globs import (
    MOST_TOKENS,
    Characters,
    Form,
    Matcher,
    Pattern,
    State,
    Step,
    Token,
    Walk,
    directories,
    exactly,
    one,
    star,
)

NAME = ".dockerignore"
_ALL = Characters((), negated=True)
_ON_A_LINE = Characters((("\n", "\n"),), negated=True)
_IN_A_NAME = Characters((("/", "/"),), negated=True)
_NEVER = Characters(())
_WILD = frozenset("*?[]\\")


class BadPatternError(Exception):
    """A line that is no pattern; the message says which, and what is wrong with it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}" if line else message)


class _Refused(Exception):
    """Why a pattern is none."""


class Patterns:
    """What an ignore file says. Not for several threads at a time."""

    def __init__(self, takes_back: Sequence[bool], literals: dict[str, int], wild: Sequence[Pattern]) -> None:
        """``takes_back`` says of each pattern, by its number, whether it begins with ``!``."""
        self._takes_back = takes_back
        self._literals = literals
        self._matcher = Matcher(wild)
        self._walk: Walk[tuple[State, int]] = Walk((self._matcher.start, -1), self._step)

    def ignores(self, path: str) -> bool:
        """Return whether a file is left out; directories above it count as well as its own path."""
        _, last = self._walk.of(path)
        return last >= 0 and not self._takes_back[last]

    def _step(self, above: tuple[State, int], step: Step) -> tuple[State, int]:
        state, last = above
        state = self._matcher.after(state, step.name)
        last = max(last, state.last, self._literals.get(step.path, -1))
        return (self._matcher.after(state, "/") if step.is_directory else state), last


def names_for(dockerfile: str) -> tuple[str, str]:
    """Return the files that may hold the patterns for a Dockerfile; the first that there is counts."""
    return f"{dockerfile}{NAME}", NAME


def read_patterns(text: str) -> Patterns:
    """Read an ignore file.

    Raises:
        BadPatternError: a line of it is no pattern, or there are too many with wildcards.
    """
    takes_back: list[bool] = []
    literals: dict[str, int] = {}
    wild: list[Pattern] = []
    room = MOST_TOKENS
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if raw.startswith("#") or not line:
            continue
        back = line.startswith("!")
        if back:
            line = line[1:].strip()
            if not line:
                raise BadPatternError(number, 'a "!" needs a pattern after it')
        # As Go's filepath.Clean has it: "." stays, and then matches no file.
        cleaned = posixpath.normpath(line)
        cleaned = cleaned.lstrip("/") or "/"
        try:
            literal, tokens = _translated(cleaned)
        except _Refused as error:
            raise BadPatternError(number, f'"{line[:80]}" is no pattern: {error}') from error
        if literal:
            literals[literal] = len(takes_back)
        if tokens is not None:
            wild.append(Pattern(len(takes_back), tuple(tokens)))
            room -= len(tokens) + 1
        if room < 0:
            message = f"the patterns with wildcards have more than {MOST_TOKENS} characters together"
            raise BadPatternError(number, f"{message}: leave directories out as a whole")
        takes_back.append(back)
    return Patterns(takes_back, literals, wild)


def _translated(pattern: str) -> tuple[str, list[Token] | None]:
    """Return the path that a pattern stands for, and its tokens; either may be missing."""
    if not _WILD.intersection(pattern):
        return pattern, None
    begin, end = pattern.startswith("**"), pattern.endswith("**")
    if begin and not _WILD.intersection(pattern[2:]):
        # Docker looks for the end of the path alone: "**foo" takes "a/xfoo" as well.
        rest = pattern[2:]
        return rest[1:] if rest.startswith("/") else "", [star(_ALL), *exactly(rest)]
    if end and not begin and not _WILD.intersection(pattern[:-2]):
        return "", [*exactly(pattern[:-2]), star(_ALL)]
    return "", _Translation(pattern).tokens()


class _Translation:
    """One pattern to tokens, as ``Pattern.compile`` makes a regular expression of it."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._tokens: list[Token] = []

    def tokens(self) -> list[Token]:
        """Return the tokens of the pattern."""
        while self._at < len(self._pattern):
            character = self._take()
            match character:
                case "*" if self._ahead() == "*":
                    self._take()
                    if self._ahead() == "/":
                        self._take()
                    self._several([star(_ON_A_LINE)] if not self._ahead() else directories(_ON_A_LINE))
                case "*":
                    self._several([star(_IN_A_NAME)])
                case "?":
                    self._tokens.append(one(_IN_A_NAME))
                case "\\":
                    self._tokens += exactly(self._escaped())
                case "[":
                    self._tokens.append(one(self._class()))
                case "^":
                    self._beginning()
                case _:
                    self._tokens += exactly(character)
        return self._tokens

    def _ahead(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._ahead()
        self._at += 1
        return character

    def _several(self, tokens: list[Token]) -> None:
        """Add what may take nothing; twice the same is the same as once."""
        if self._tokens[-len(tokens) :] != tokens:
            self._tokens += tokens

    def _beginning(self) -> None:
        """A ``^`` is an anchor there: it takes nothing, and there is nothing before it."""
        needed, at = False, 0
        while at < len(self._tokens):
            needed |= self._tokens[at].form is Form.ONE
            at += 3 if self._tokens[at].form is Form.ENTRY else 1
        self._tokens = [one(_NEVER)] if needed else []

    def _escaped(self) -> str:
        character = self._take()
        if not character:
            raise _Refused("a backslash at its end")
        if not character.isascii() or character.isalnum():
            raise _Refused(f"\\{character} means something else to Docker than {character}; remove the backslash")
        return character

    def _class(self) -> Characters:
        """Return a class of characters; Go knows ranges, ``^`` and backslashes in it, and no empty one."""
        negated = self._ahead() == "^"
        if negated:
            self._take()
        ranges: list[tuple[str, str]] = []
        while self._ahead() != "]" or not ranges:
            low = high = self._in_class()
            if self._ahead() == "-":
                self._take()
                high = self._in_class()
            if high < low:
                raise _Refused(f"the range {low}-{high} ends before it begins")
            ranges.append((low, high))
        self._take()
        return Characters(tuple(ranges), negated)

    def _in_class(self) -> str:
        character = self._take()
        if not character:
            raise _Refused("a [ that is not closed")
        if character in "-]":
            raise _Refused(f'a "{character}" that belongs to no range; write \\{character}')
        if character in "*?" or (character == "[" and self._ahead() == ":"):
            raise _Refused(f'Docker does not take "{character}" inside of [ ] for itself; write \\{character} outside')
        return self._escaped() if character == "\\" else character
