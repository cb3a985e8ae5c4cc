"""``.controllerignore``: gitignore syntax, by Git's own rules.

Those of Git 2.39 (gitignore(5), ``dir.c`` and ``wildmatch.c``), byte by byte as Git matches: the last pattern that
matches decides, and what lies in an ignored directory cannot be taken back. Must not read anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.specs.globs import (
    MOST_TOKENS,
    Characters,
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

_ALL = Characters((), negated=True)
_IN_A_NAME = Characters((("/", "/"),), negated=True)
_SPECIAL = frozenset("*?[\\")
_CLASSES = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "blank": ((" ", " "), ("\t", "\t")),
    "cntrl": (("\x00", "\x1f"), ("\x7f", "\x7f")),
    "digit": (("0", "9"),),
    "graph": (("!", "~"),),
    "lower": (("a", "z"),),
    "print": ((" ", "~"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": ((" ", " "), ("\t", "\r")),
    "upper": (("A", "Z"),),
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}


class NeverMatchesError(Exception):
    """A line that matches nothing, as Git reads it."""


class TooManyPatternsError(Exception):
    """The patterns with wildcards are more than can be matched."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an ignore file."""

    takes_back: bool
    directories_only: bool
    anywhere: bool
    """It has no slash, so it is matched with the name alone."""
    literal: str | None
    tokens: tuple[Token, ...] = ()


def lines_of(text: str) -> list[str]:
    """Return the lines of a file as Git cuts it, without a byte order mark."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def read_line(text: str) -> Line | None:
    """Return what a line says; None for a comment and an empty line.

    Raises:
        NeverMatchesError: it is no pattern.
    """
    text = _trimmed(text.partition("\0")[0])
    if not text or text.startswith("#"):
        return None
    pattern = _as_bytes(text)
    takes_back = pattern.startswith("!")
    pattern = pattern.removeprefix("!")
    directories_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    if pattern in ("", "/"):
        raise NeverMatchesError
    anywhere = "/" not in pattern
    pattern = pattern.removeprefix("/")
    if not _SPECIAL.intersection(pattern):
        return Line(takes_back, directories_only, anywhere, pattern)
    if anywhere and pattern[0] == "*" and not _SPECIAL.intersection(pattern[1:]):
        tokens = [star(_ALL), *exactly(pattern[1:])]
    else:
        tokens = _Translation(pattern, in_path=not anywhere).tokens()
    return Line(takes_back, directories_only, anywhere, None, tuple(tokens))


def _trimmed(text: str) -> str:
    """Return a line without the blanks at its end that no backslash keeps."""
    end = at = 0
    while at < len(text):
        at += 2 if text[at] == "\\" else 1
        if text[at - 1 : at] != " " or text[at - 2 : at - 1] == "\\":
            end = at
    return text[:end]


def _as_bytes(text: str) -> str:
    """Return a text with a character for each of its bytes, as Git compares bytes."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


class _Translation:
    """One pattern to tokens, as wildmatch() reads it."""

    def __init__(self, pattern: str, *, in_path: bool) -> None:
        self._pattern = pattern
        self._any = _IN_A_NAME if in_path else _ALL
        self._in_path = in_path
        # Git compares what stands before the first wildcard by itself, and has wildmatch begin behind it.
        self._begin = next(at for at, character in enumerate(pattern) if character in _SPECIAL) if in_path else 0
        self._at = self._begin
        self._tokens = exactly(pattern[: self._begin])

    def tokens(self) -> list[Token]:
        """Return the tokens of the pattern."""
        while self._at < len(self._pattern):
            character = self._take()
            match character:
                case "*":
                    self._stars()
                case "?":
                    self._tokens.append(one(self._any))
                case "[":
                    self._tokens.append(one(self._class()))
                case "\\":
                    self._tokens += exactly(self._take())
                case _:
                    self._tokens += exactly(character)
        return self._tokens

    def _take(self) -> str:
        if self._at >= len(self._pattern):
            raise NeverMatchesError
        self._at += 1
        return self._pattern[self._at - 1]

    def _ahead(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _stars(self) -> None:
        before = self._at - 2
        first = self._at
        while self._ahead("*"):
            self._at += 1
        alone = before < self._begin or self._pattern[before] == "/"
        at_end = self._at == len(self._pattern)
        if (
            self._at == first
            or not self._in_path
            or not alone
            or not (at_end or self._ahead("/") or self._ahead("\\/"))
        ):
            self._several([star(self._any)])
        elif self._ahead("/"):
            self._at += 1
            self._several(directories(_ALL))
        else:
            self._several([star(_ALL)])

    def _several(self, tokens: list[Token]) -> None:
        """Add what may take nothing; twice the same is the same as once."""
        if self._tokens[-len(tokens) :] != tokens:
            self._tokens += tokens

    def _class(self) -> Characters:
        character = self._take()
        negated = character in "!^"
        if negated:
            character = self._take()
        ranges: list[tuple[str, str]] = [("/", "/")] if negated and self._in_path else []
        before = ""
        while True:
            if character == "\\":
                character = before = self._take()
                ranges.append((character, character))
            elif character == "-" and before and not self._ahead("]") and self._at < len(self._pattern):
                high = self._take()
                ranges.append((before, self._take() if high == "\\" else high))
                before = ""
            elif character == "[" and self._ahead(":") and (name := self._named()) is not None:
                ranges += name
                before = ""
            else:
                ranges.append((character, character))
                before = character
            if (character := self._take()) == "]":
                return self._without_slash(tuple(ranges), negated)

    def _without_slash(self, ranges: tuple[tuple[str, str], ...], negated: bool) -> Characters:
        if negated or not self._in_path:
            return Characters(ranges, negated)
        apart = [part for low, high in ranges for part in ((low, min(high, ".")), (max(low, "0"), high))]
        return Characters(tuple((low, high) for low, high in apart if low <= high))

    def _named(self) -> tuple[tuple[str, str], ...] | None:
        """Return the characters of ``[:alpha:]`` and the like; None where it is a set like any other."""
        end = self._pattern.find("]", self._at + 1)
        if end < 0:
            raise NeverMatchesError
        name = self._pattern[self._at + 1 : end - 1]
        if end == self._at + 1 or self._pattern[end - 1] != ":":
            return None
        if name not in _CLASSES:
            raise NeverMatchesError
        self._at = end + 1
        return _CLASSES[name]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a part of a path: where the patterns stand, and whether it is ignored."""

    state: State
    ignored: bool


class Ignored:
    """What the lines of an ignore file leave out. Not for several threads at a time."""

    def __init__(self, lines: Sequence[Line]) -> None:
        """Put the lines together.

        Raises:
            TooManyPatternsError: there are too many wildcards.
        """
        if sum(len(line.tokens) + 1 for line in lines if line.literal is None) > MOST_TOKENS:
            raise TooManyPatternsError(f"the patterns with wildcards have more than {MOST_TOKENS} characters together")
        self._lines = lines
        self._literals: dict[tuple[bool, bool, str], int] = {}
        """By whether it is for directories only, whether it is matched with names, and text."""
        wild: dict[bool, list[Pattern]] = {True: [], False: []}
        for number, line in enumerate(lines):
            if line.literal is None:
                wild[line.anywhere].append(Pattern(number, line.tokens, line.directories_only))
            else:
                self._literals[(line.directories_only, line.anywhere, line.literal)] = number
        self._names, self._paths = Matcher(wild[True]), Matcher(wild[False])
        self._walk: Walk[_Known] = Walk(_Known(self._paths.start, False), self._step)

    def ignores(self, path: str) -> bool:
        """Return whether a file is left out."""
        return self._walk.of(_as_bytes(path)).ignored

    def _step(self, above: _Known, step: Step) -> _Known:
        if above.ignored:
            return above
        state = self._paths.after(above.state, step.name)
        of_name = self._names.after(self._names.start, step.name)
        last = max(of_name.last_for_files, state.last_for_files, self._literal(False, step))
        if step.is_directory:
            last = max(of_name.last, state.last, self._literal(False, step), self._literal(True, step))
            state = self._paths.after(state, "/")
        return _Known(state, last >= 0 and not self._lines[last].takes_back)

    def _literal(self, directories_only: bool, step: Step) -> int:
        literals = self._literals
        return max(
            literals.get((directories_only, True, step.name), -1),
            literals.get((directories_only, False, step.path), -1),
        )
