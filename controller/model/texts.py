"""Text that others wrote, before it is shown or kept: made visible, cut, and without what must not be read.

A job, a commit, a scheduler and a server write what they like: codes that command a terminal, marks that turn the
direction of reading round, megabytes. What is shown to a person goes through ``visible`` or ``one_line``, what is kept
and published through ``tail`` or ``head``. Programs get JSON, which escapes by itself. Must not know where a text is
from.
"""

from __future__ import annotations

import re

from controller.model.redaction import redact_text

MOST_KEPT = 4_000
"""Characters of one text that are kept."""
_NOTE = 64
"""Room for the words that say what was cut."""
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls of ISO 6429, without tab and newline
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # no width, or another direction
    "\ud800-\udfff\U000e0000-\U000e0fff"  # halves of pairs, and tags
)
_UNSEEN = re.compile(f"[{_HIDDEN}]")
_NO_LINE = re.compile(f"[\t\n{_HIDDEN}]")
_HALVES = re.compile("[\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """Return text of several lines with what a terminal would obey, or not show, as ``\\x1b`` or ``\\u202e``."""
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return the same on one line: line breaks and tabs are visible, too."""
    return text if text.isascii() and text.isprintable() else _NO_LINE.sub(_escaped, text)


def is_plain(text: str) -> bool:
    """Return whether ``visible`` leaves a text as it is."""
    return _UNSEEN.search(text) is None


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _NAMED.get(character) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def tail(text: str, most: int = MOST_KEPT) -> str:
    """Return the end of a text as it may be kept and published: no secrets in it, and what was cut is said.

    Of what this returned before, it returns the same.
    """
    kept = _publishable(text[-2 * most :])
    if len(text) <= 2 * most and len(kept) <= most:
        return kept
    kept = kept[-(most - _NOTE) :]
    return f"[{len(text) - len(kept)} characters before this are cut]\n{kept}"


def head(text: str, most: int = MOST_KEPT) -> str:
    """Return the beginning of a text as it may be kept and published, in the same way."""
    kept = _publishable(text[: 2 * most])
    if len(text) <= 2 * most and len(kept) <= most:
        return kept
    kept = kept[: most - _NOTE]
    return f"{kept} [{len(text) - len(kept)} more characters are cut]"


def _publishable(text: str) -> str:
    return redact_text(_HALVES.sub("\N{REPLACEMENT CHARACTER}", text))


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_OPTION = re.compile(r"[-+]+[A-Za-z0-9_.=/:-]*", re.ASCII)


def table_cell(text: str) -> str:
    """Return a value for a CSV file; what a spreadsheet would run as a formula begins with an apostrophe."""
    if text[:1] in ("=", "@", "\t", "\r") or (text[:1] in ("+", "-") and not _is_harmless(text)):
        return f"'{text}"
    return text


def _is_harmless(text: str) -> bool:
    """Return whether a text with a sign before it is a number, or an option such as ``-O2``."""
    return bool(_NUMBER.fullmatch(text) or _OPTION.fullmatch(text))
