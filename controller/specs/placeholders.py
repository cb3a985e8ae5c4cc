"""Placeholders in the commands of an image's test: ``<YOUR_DATA_DIRECTORY>`` and others of that form.

READMEs of research code write commands like that, so they can be taken over as they are. A value takes the place of the
whole placeholder, as text. Must not know what runs the commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

DATA_DIRECTORY = "DATA_DIRECTORY"
"""Name that has its value from the controller."""
_PLACEHOLDER = re.compile(r"<YOUR_([A-Za-z0-9_]+)>", re.ASCII)


def names_in(text: str) -> Iterator[str]:
    """Yield the NAME of each ``<YOUR_NAME>`` in a text."""
    return (match[1] for match in _PLACEHOLDER.finditer(text))


def written(name: str) -> str:
    """Return the placeholder of a name as it stands in a command."""
    return f"<YOUR_{name}>"


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return a text with each placeholder that has a value replaced by it, once: values are not looked into."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)
