"""Faults of the controller's own machine: a full or read-only disk, too many open files, no memory, a busy database.

Whatever library comes upon one raises an error of its own, and it must not be taken for a fault of the repository, a
cluster or a spec. Must not look at the machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from controller.model.errors import ControllerError, TransientError

_REMEDIES = {
    errno.ENOSPC: ("DiskFull", "make room there, or put state_dir on another disk"),
    errno.EDQUOT: ("QuotaExceeded", "make room there, or put state_dir elsewhere"),
    errno.EROFS: ("DiskReadOnly", "mount it for writing, or put state_dir elsewhere"),
    errno.EMFILE: ("TooManyOpenFiles", "raise the limit of open files (ulimit -n, LimitNOFILE= in the unit)"),
    errno.ENFILE: ("TooManyOpenFiles", "the whole machine has too many files open (fs.file-max)"),
    errno.ENOMEM: ("OutOfMemory", "give the process more memory (ulimit -v, MemoryMax= in the unit)"),
    errno.EAGAIN: ("TooManyProcesses", "raise the limit of processes and threads (ulimit -u, TasksMax= in the unit)"),
    errno.EIO: ("DiskFaulty", "look whether the disk is full or broken: df, dmesg"),
    errno.ESTALE: ("DiskFaulty", "mount the file system anew"),
    errno.ELOOP: ("PathUnusable", "name a directory in state_dir"),
    errno.ENOTDIR: ("PathUnusable", "name a directory in state_dir"),
    errno.EISDIR: ("PathUnusable", "move that directory away"),
    errno.EACCES: ("PermissionDenied", "give the controller's account the right, or put state_dir elsewhere"),
    errno.EPERM: ("PermissionDenied", "give the controller's account the right, or put state_dir elsewhere"),
}
_SQLITE = {
    "SQLITE_FULL": errno.ENOSPC,
    # The index of the write-ahead log cannot grow.
    "SQLITE_IOERR_SHM": errno.ENOSPC,
    "SQLITE_READONLY": errno.EROFS,
    "SQLITE_IOERR": errno.EIO,
    "SQLITE_NOMEM": errno.ENOMEM,
    "SQLITE_PERM": errno.EACCES,
}
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_IN_WORDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)
"""Those that are ours wherever their words stand: libraries in C pass on what strerror(3) says, and no number."""


def fault_of(error: BaseException) -> ControllerError | None:
    """Return the error that names our own machine, where that is what an error comes from; else None.

    For an error that reached the end of a verb or pass: there a path that may not be written is one of ours.
    """
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return _fault(errno.ENOMEM, "memory ran out")
        if isinstance(each, RuntimeError) and "can't start new thread" in str(each):
            remedy = "raise the limits of memory and processes (ulimit -v, ulimit -u, MemoryMax= and TasksMax=)"
            return TransientError("OutOfMemory", f"this machine: {each}; {remedy}")
        number = _number(each)
        if number in _REMEDIES:
            return _fault(number, _words(each, number))
        code = getattr(each, "sqlite_errorname", "")
        if code.startswith(_BUSY):
            message = "this machine: another process holds the journal; the next pass tries again. See: fuser -v"
            return TransientError("JournalBusy", f"{message} STATE_DIR/journal.sqlite3")
        if code.startswith("SQLITE_CANTOPEN"):
            return TransientError("StateDirectoryUnusable", f"this machine: a database in state_dir: {each}")
    return None


def is_ours(error: BaseException) -> bool:
    """Return whether an error of a library certainly comes from this machine, whatever the library was busy with."""
    return any(isinstance(each, MemoryError) or _number(each) in _IN_WORDS for each in _chain(error))


def _number(error: BaseException) -> int:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    code = getattr(error, "sqlite_errorname", "")
    for name, number in _SQLITE.items():
        if code.startswith(name):
            return number
    if isinstance(error, ImportError) and "failed to map segment" in str(error):
        return errno.ENOMEM
    if type(error).__name__ == "GitError" or (isinstance(error, (OSError, ImportError)) and error.args):
        text = str(error)
        return next((number for number in _IN_WORDS if os.strerror(number) in text), 0)
    return 0


def _words(error: BaseException, number: int) -> str:
    path = getattr(error, "filename", None)
    cause = os.strerror(number)
    if path is not None:
        return f"{os.fsdecode(path) if isinstance(path, (str, bytes)) else path}: {cause}"
    return cause if str(error).endswith(cause) and isinstance(error, OSError) else str(error)


def _fault(number: int, what: str) -> ControllerError:
    reason, remedy = _REMEDIES[number]
    return TransientError(reason, f"this machine: {what}; {remedy}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        yield at
        at = at.__cause__ or at.__context__
