"""The webhook's shared secret, in a file of its own and read again when the file changes.

The value leaves this module only as bytes to compare with. It is in no log, no message and no ``repr``.
"""

from __future__ import annotations

import stat
from pathlib import Path

import structlog

from controller.model.errors import ConfigurationError
from controller.smallfiles import read_small

_LONGEST = 4096

log = structlog.get_logger()


class SecretFile:
    """A secret in a file: its first and only line. Read by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int, int] | None = None
        self._secret = b""

    def read(self) -> bytes:
        """The secret as it stands in the file now, never empty.

        Raises:
            ConfigurationError: there is no such file, it cannot be read, or it holds no single line of text
                (``SecretUnreadable``). An empty secret would let everybody in, so it counts as none.
        """
        try:
            status = self._path.stat()
            seen = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                # Noted only after the content was accepted, so that a bad file stays an error.
                self._seen = None
                self._secret = self._load()
                self._seen = seen
                self._warn_of(status.st_mode)
        except OSError as error:
            raise self._unreadable(error.strerror or "it cannot be read") from error
        return self._secret

    def _load(self) -> bytes:
        secret = read_small(self._path).strip()
        if not secret:
            raise self._unreadable("it is empty")
        if len(secret) > _LONGEST or b"\n" in secret or b"\0" in secret:
            raise self._unreadable(f"it holds more than one line of at most {_LONGEST} bytes")
        return secret

    def _warn_of(self, mode: int) -> None:
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            remedy = f"chmod 600 {self._path}"
            log.warning("webhook_secret_open_to_all", secret_file=str(self._path), remedy=remedy)

    def _unreadable(self, cause: str) -> ConfigurationError:
        return ConfigurationError(
            "SecretUnreadable",
            f"The webhook's secret cannot be taken from {self._path}: {cause}. "
            "Write one line of random text to it, for example with 'openssl rand -hex 32'.",
        )
