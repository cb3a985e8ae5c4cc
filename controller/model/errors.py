"""Errors that say whether a person, time, or another try will mend them.

Every error carries a PascalCase ``reason`` (the same word as in conditions and logs) and a message that names the
thing, the cause and the remedy.
"""

from __future__ import annotations

from controller.model.texts import head


class ControllerError(Exception):
    """Base of every error that the controller raises on purpose."""

    def __init__(self, reason: str, message: str) -> None:
        # What a server, a job or a commit said is in it: cut here, and without its secrets, for all who show it.
        message = head(message)
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class StalledError(ControllerError):
    """Trying again changes nothing: a person has to change something first."""


class NotOursError(StalledError):
    """Another repository, branch or account has the instance: this controller may do nothing, nor say so elsewhere."""


class WaitingError(ControllerError):
    """Not an error of the resource: something else has to happen first (a quota, an approval)."""

    def __init__(self, reason: str, message: str, *, retry_after_s: float = 60.0) -> None:
        super().__init__(reason, message)
        self.retry_after_s = retry_after_s


class TransientError(ControllerError):
    """Likely to go away by itself: tried again with backoff."""


class AmbiguousError(TransientError):
    """The command may or may not have taken effect: whoever catches it must look before acting again."""


class ConfigurationError(StalledError):
    """The controller itself is set up wrongly: exit code 2."""
