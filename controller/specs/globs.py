"""Patterns of ignore files, matched in time that grows with the text alone, whatever the patterns.

Backtracking (``re``, fnmatch, Git's own wildmatch) needs exponential time for ``*a*a*a*b``. Here all patterns together
are one non-deterministic automaton; its states at a place of the text are the bits of one number, and what follows them
by a character is remembered (a deterministic automaton made on demand, as RE2 does it). Must not know whose syntax a
pattern has: ``ignore`` and ``gitignore`` translate theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_TOKENS = 16_384
"""Most that all patterns with wildcards of one ignore file may have together."""
_MOST_STATES = 4_096
_MOST_STEPS = 65_536


@dataclass(frozen=True, slots=True)
class Characters:
    """A set of characters: ranges, both ends included, or all but those."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def __contains__(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


class Form(Enum):
    """How often a token takes a character of its set."""

    ONE = auto()
    ANY_NUMBER = auto()
    ENTRY = auto()
    """Takes none: the two tokens behind it are taken, or left out."""


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a pattern."""

    form: Form
    characters: Characters


def exactly(text: str) -> list[Token]:
    """Return the tokens of a text that stands for itself."""
    return [Token(Form.ONE, Characters(((character, character),))) for character in text]


def one(characters: Characters) -> Token:
    """Return the token of one character of a set."""
    return Token(Form.ONE, characters)


def star(characters: Characters) -> Token:
    """Return the token of any number of characters of a set."""
    return Token(Form.ANY_NUMBER, characters)


def directories(characters: Characters) -> list[Token]:
    """Return the tokens of any number of directories, none included, with the slash behind each: ``(.*/)?``."""
    return [Token(Form.ENTRY, Characters(())), star(characters), *exactly("/")]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file with wildcards; ``number`` orders all lines of the file, also those without any."""

    number: int
    tokens: tuple[Token, ...]
    directories_only: bool = False


@dataclass(slots=True, eq=False)
class State:
    """Where all patterns stand after a text; ``last`` is the number of the last one that it fulfils, -1 for none."""

    mask: int
    last: int
    last_for_files: int
    """Without the patterns for directories only."""
    following: dict[str, State] = field(default_factory=dict)


class Matcher:
    """Patterns with wildcards, put together. Not for several threads at a time."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._numbers: dict[int, int] = {}
        self._taking: dict[Characters, list[int]] = {}
        """Set of characters to the masks of the tokens that take one, and of those that take any number."""
        self._literals: dict[str, int] = {}
        self._past_star = self._past_entry = self._final = self._final_for_files = begun = 0
        at = 0
        for pattern in patterns:
            begun |= 1 << at
            for token in pattern.tokens:
                self._add(token, 1 << at)
                at += 1
            self._final |= 1 << at
            self._final_for_files |= 0 if pattern.directories_only else 1 << at
            self._numbers[at] = pattern.number
            at += 1
        self._masks: dict[str, tuple[int, int]] = {}
        self._known: dict[int, State] = {}
        self._steps = 0
        self._begun = begun
        self.start = self._state(self._closed(begun))

    def _add(self, token: Token, bit: int) -> None:
        ranges = token.characters.ranges
        match token.form:
            case Form.ENTRY:
                self._past_star |= bit
                self._past_entry |= bit
            case Form.ANY_NUMBER:
                self._past_star |= bit
                self._taking.setdefault(token.characters, [0, 0])[1] |= bit
            case Form.ONE if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not token.characters.negated:
                self._literals[ranges[0][0]] = self._literals.get(ranges[0][0], 0) | bit
            case Form.ONE:
                self._taking.setdefault(token.characters, [0, 0])[0] |= bit

    def after(self, state: State, text: str) -> State:
        """Return the state after some more text."""
        for character in text:
            state = state.following.get(character) or self._step(state, character)
        return state

    def _step(self, state: State, character: str) -> State:
        if (masks := self._masks.get(character)) is None:
            taken, kept = self._literals.get(character, 0), 0
            for characters, (of_one, of_any_number) in self._taking.items():
                if character in characters:
                    taken |= of_one
                    kept |= of_any_number
            masks = self._masks[character] = (taken, kept)
        found = self._state(self._closed(((state.mask & masks[0]) << 1) | (state.mask & masks[1])))
        self._steps += 1
        if self._steps > _MOST_STEPS or len(self._known) > _MOST_STATES:
            # Begun anew, as what is remembered must not outgrow the patterns.
            self._known.clear()
            self._steps = 0
            self.start = self._state(self._closed(self._begun))
            found = self._state(found.mask)
        else:
            state.following[character] = found
        return found

    def _closed(self, mask: int) -> int:
        """Add the places that are reached without a character."""
        while True:
            more = mask | ((mask & self._past_star) << 1) | ((mask & self._past_entry) << 3)
            if more == mask:
                return mask
            mask = more

    def _state(self, mask: int) -> State:
        if (state := self._known.get(mask)) is None:
            state = self._known[mask] = State(
                mask, self._last(mask & self._final), self._last(mask & self._final_for_files)
            )
        return state

    def _last(self, fulfilled: int) -> int:
        return self._numbers[fulfilled.bit_length() - 1] if fulfilled else -1


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a path: its name, the path up to it, and whether it is a directory."""

    name: str
    path: str
    is_directory: bool


class Walk(Generic[T]):
    """Goes down paths part by part, and goes on from the directory that the path before it had in common."""

    def __init__(self, first: T, step: Callable[[T, Step], T]) -> None:
        """``step`` returns what is known of a part from what is known of its directory."""
        self._first = first
        self._step = step
        self._way: list[tuple[str, T]] = []

    def of(self, path: str) -> T:
        """Return what is known of a file."""
        *above, name = path.split("/")
        known, length = self._first, 0
        for number, part in enumerate(above):
            length += len(part) + (number > 0)
            if number < len(self._way) and self._way[number][0] == part:
                known = self._way[number][1]
                continue
            del self._way[number:]
            known = self._step(known, Step(part, path[:length], True))
            self._way.append((part, known))
        return self._step(known, Step(name, path, False))
