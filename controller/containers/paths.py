"""Paths as specs write them, as shell text that a cluster resolves: ``~`` and ``$NAME`` mean what they mean there.

Must not decide which paths a spec may hold: the schemas do.
"""

from __future__ import annotations

import re


def path_expression(path: str) -> str:
    """Return a path as one double-quoted word of shell; a variable that is not set there is an error."""
    text = re.sub(r"^~(?=/|$)", "$HOME", path)
    return '"' + re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: f"${{{m[1] or m[2]}:?is not set there}}", text) + '"'


def bind_expression(bind: str) -> str:
    """Return ``source[:target[:ro]]`` as one word of shell for ``--bind``."""
    source, colon, rest = bind.partition(":")
    expression = path_expression(source)
    return f'{expression[:-1]}{colon}{rest}"' if colon else expression
