"""Versions of what outlives a process: on the cluster, on the status branch, in the journal.

A document names the version of its form in ``version``; without one it is the first. A reader passes over keys that it
does not know, fills in those that an earlier version did not write, and refuses a later version: what it says of ended
or running work would be misread, and work would run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST = 1


class NewerVersionError(ValueError):
    """A record was written by a later version of the controller."""


def refuse_later(document: Mapping[str, Any], what: str, *, known: int = FIRST) -> None:
    """Refuse a document that a later version wrote.

    Raises:
        NewerVersionError: that; the message names it and says what to do.
    """
    version = document.get("version", FIRST)
    if isinstance(version, int) and version > known:
        raise NewerVersionError(
            f"{what} was written by a later version of the controller (format {version}; this one reads up to "
            f"{known}): install that version again"
        )
