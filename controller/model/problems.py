"""What is wrong with a spec, and where: the value behind every ``path:line:col: message``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing wrong in one file.

    ``line`` and ``column`` count from 1; 0 means the file as a whole. ``excerpt`` is the text of that line ("" when
    there is none to show). ``remedy`` is a sentence that says what to do ("" when the message says it already).
    """

    path: str
    line: int
    column: int
    message: str
    remedy: str = ""
    excerpt: str = ""
    resource: str = ""
    """``Kind/name`` of the resource that the problem keeps from being applied, when it is known."""
    passing: bool = False
    """What lies outside of the commit could not be had; it is asked for again, and may need nobody."""

    def headline(self) -> str:
        """Return ``path:line:col: message`` on one line."""
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{where}: {self.message}"
