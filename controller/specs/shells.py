"""The ``shell`` of a spec to the words of a program that gets the path of the command's script as its last argument.

Split as a shell splits, and nothing in it is expanded. Options are known by name: with some (``-s``, ``-n``, ``-c``) a
shell ends with 0 and has not run the script, and a word that is no option would be run in its place. Options are those
of sh (POSIX.1-2024, XCU sh) and of bash (manual page, 5.2). Must not know where a shell is looked for.
"""

from __future__ import annotations

import posixpath
import re
import shlex

from controller.specs.nearest import nearest

PROGRAMS = ("bash", "sh", "dash", "ash", "ksh", "ksh93", "mksh")
LETTERS = "aBbCEefHlmPpTuvx"
LONG = ("--login", "--noprofile", "--norc", "--posix", "--verbose")
NAMES = (
    "allexport", "braceexpand", "errexit", "errtrace", "functrace", "hashall", "histexpand", "keyword", "monitor",
    "noclobber", "noglob", "nolog", "notify", "nounset", "physical", "pipefail", "posix", "privileged", "verbose",
    "xtrace",
)  # fmt: skip
"""What may follow ``-o``."""

_EXPANDED = re.compile(r"[$`*?\[\]{}~;|&<>()#!\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHOPT = re.compile("[a-z0-9_]+")
_EXAMPLE = "a shell and its options, such as bash -eo pipefail or sh -e"


class ShellError(Exception):
    """A text is no ``shell``. ``message`` follows the name of the field."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a shell and its options.

    Raises:
        ShellError: it is none, or one that might end with 0 without having run the script.
    """
    if "{0}" in text:
        raise ShellError(f"must be {_EXAMPLE}", "remove {0}: the path of the script is added by itself")
    if found := _EXPANDED.search(text):
        shown = found[0] if found[0].isprintable() else f"U+{ord(found[0]):04X}"
        raise ShellError(f"must be {_EXAMPLE}", f"remove {shown} from it: nothing in it is expanded")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ShellError("must not have a quote that is not closed") from error
    if not words:
        raise ShellError("must not be empty", "leave it out for bash -eo pipefail")
    _check_program(words[0])
    _check_options(words[1:])
    return words


def _check_program(word: str) -> None:
    name = posixpath.basename(word)
    if name not in PROGRAMS:
        remedy = f"this version knows {', '.join(PROGRAMS)}; start other programs from the command itself"
        raise ShellError(f"must be {_EXAMPLE}", remedy)
    if "/" in word and not word.startswith("/"):
        raise ShellError("must begin with a name that is in PATH, or with an absolute path", f"write {name}")


def _check_options(words: tuple[str, ...]) -> None:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in LONG:
            continue
        if word.startswith("--") or word[:1] not in ("-", "+") or len(word) < 2:
            remedy = f'remove "{word}": the path of the script is added by itself, as the last word'
            raise ShellError("must have nothing but options that it knows after the shell", remedy)
        for letter in word[1:]:
            if letter in "oO":
                _check_name(word[0] + letter, rest.pop(0) if rest else None)
            elif letter not in LETTERS:
                known = f"the options are {' '.join(LETTERS)}, o NAME and O NAME"
                raise ShellError(f'must not have the option "{word[0]}{letter}"', known)


def _check_name(option: str, name: str | None) -> None:
    if name is None:
        raise ShellError(f'must name an option after "{option}"', f"such as {option} pipefail")
    if option[1] == "O" and _SHOPT.fullmatch(name) is None:
        raise ShellError(f'must not have "{option} {name}"')
    if option[1] == "o" and name not in NAMES:
        close = nearest(name, NAMES)
        remedy = f"did you mean {option} {close}?" if close else f"the names are {', '.join(NAMES)}"
        raise ShellError(f'must not have "{option} {name}"', remedy)
