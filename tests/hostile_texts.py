"""What a job, a commit or a server may write where a word is expected, and what must be left of it on a screen."""

from __future__ import annotations

import re

HOSTILE = {
    "colours": "\x1b[31mred\x1b[0m",
    "clears the screen": "\x1b[2J\x1b[H",
    "title and link": "\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "C1": "\x9b31mred\x85next",
    "BEL and BS": "bell\x07\x08\x08\x08\x7f",
    "goes back": "100%\rdone",
    "lines": "one\ntwo\r\nthree\u2028four\x0bfive\x0csix",
    "turned round": "\u202egnp.exe\u2066x\u2069",
    "no width": "a\u200bb\ufeffc\u00add",
    "half a pair": "x\ud800y\udcff",
    "NUL": "a\0b",
    "Markdown": "[x](javascript:alert(1)) ![y](http://evil.example/z.png) **b** `c` | d | <!-- # h",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;</td></table>",
    "addresses": "see www.evil.example or http://evil.example or mail@evil.example",
    "rich markup": "[bold red]x[/bold red] [link=http://evil.example]y[/link]",
    "formula": "=cmd|'/C calc'!A0",
    "workflow command": "::error file=x::y%0A",
    "secrets": "clone https://bob:hunter2secret@host.example/x with ghp_" + "a" * 30 + " and Bearer " + "b" * 20,
    "long": "z" * 100_000,
}
"""What it is -> the text."""

_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
SECRETS = ("hunter2secret", "ghp_" + "a" * 30, "b" * 20)


def unsafe(text: str) -> list[str]:
    """Return what in a text a terminal would obey, or not show."""
    return sorted({f"U+{ord(found):04X}" for found in _COMMANDS.findall(text)})
