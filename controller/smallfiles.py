"""Files that somebody else has written for us, read whole: keys, tokens, known hosts, configuration.

What is read has a sensible size and an end, so that a FIFO, ``/dev/zero`` or a disk image named by mistake neither
stops nor fills the process; ``/dev/null`` is an empty file. Must not say what a file means.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024


def read_small(path: Path, *, limit: int = LIMIT_BYTES) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: it cannot be read, is no file, or is larger than ``limit``; ``strerror`` says which.
    """
    # Opening a FIFO would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 1024} KiB", str(path))
    return data
