"""What the OpenSSH client says when it does not get in, read into errors.

The words are those of sshconnect.c and sshconnect2.c, OpenSSH 7.4 to 10; the level of its log is DEBUG1, where it also
names the key that a host offers. Only its own log is read here, never what a remote script writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from controller.hostkeys import fingerprint, read_known_hosts, rejected
from controller.model.errors import ConfigurationError, ControllerError, StalledError, TransientError

_UNKNOWN = re.compile(r"No \S+ host key is known for (\S+) and you have requested strict checking")
_CHANGED = re.compile(r"host key for (\S+) has changed and you have requested strict checking", re.IGNORECASE)
_OFFENDING = re.compile(r"Offending (?:\S+ )?key in (.+):(\d+)")
_OFFERED = re.compile(r"Server host key: (\S+) (SHA256:\S+)")
_DENIED = re.compile(r"(\S+): Permission denied \(([^)]*)\)")
_MISCONFIGURED = re.compile(
    r"Bad configuration option|bad configuration options|Bad owner or permissions|Bad .*argument"
)
_DIRECT = re.compile(r"debug1: (?:Connecting to|Executing proxy command)")


def was_sent(log: str) -> bool:
    """Return whether what a session was given may have reached the far side.

    A session of a running master says nothing of connecting; one that connects by itself logs in first.
    """
    return _DIRECT.search(log) is None or went_alone(log)


def went_alone(log: str) -> bool:
    """Return whether a session found no master and logged in by itself."""
    return "\nAuthenticated to " in f"\n{log}"


def refusal(log: str, *, where: str, known_hosts: str | None) -> ControllerError:
    """Return the error for a client that did not get in."""
    if "Host key verification failed" in log:
        return _host_key(log, where, Path(known_hosts or "~/.ssh/known_hosts").expanduser())
    if denied := _DENIED.search(log):
        return _denied(denied[1], denied[2])
    if "Too many authentication failures" in log:
        message = f"{where} refused the log-in: too many keys were tried; name one as identity_file"
        return StalledError("AuthenticationFailed", message)
    if _MISCONFIGURED.search(log):
        return ConfigurationError("SshConfigInvalid", f"ssh cannot use its configuration for {where}: {_said(log)}")
    return unreachable(f"{where} cannot be reached: {_said(log)}")


def unreachable(said: str) -> TransientError:
    """Return the error for a host that does not answer, with what a person can do."""
    remedy = "It is tried again; if it lasts, log in by ssh from the controller's machine to see what is in the way"
    return TransientError("Unreachable", f"{said}. {remedy}")


def _host_key(log: str, where: str, file: Path) -> StalledError:
    offered = _OFFERED.findall(log)
    actual = " ".join(offered[-1]) if offered else ""
    if changed := _CHANGED.search(log):
        place = _OFFENDING.search(log)
        expected = _on_record(Path(place[1]), int(place[2])) if place else "another key"
        return rejected(changed[1], actual=actual, expected=(expected,), file=Path(place[1]) if place else file)
    if unknown := _UNKNOWN.search(log):
        return rejected(unknown[1], actual=actual, expected=(), file=file)
    message = f"a host key on the way to {where} was rejected ({actual or 'not named'}): {_said(log)}"
    return StalledError("HostKeyRejected", message)


def _on_record(file: Path, line: int) -> str:
    place = f"{file}:{line}"
    for key in read_known_hosts([file]):
        if key.place == place:
            return f"{key.type} {fingerprint(key.blob)} ({place})"
    return place


def _denied(who: str, methods: str) -> StalledError:
    remedy = "add the public key to authorized_keys there, or load the key into the SSH agent"
    if "keyboard-interactive" in methods or "password" in methods:
        remedy += (
            "; if the site wants a second factor, set ControlPath in the SSH configuration and log in by hand once "
            "with `ssh -M -N -f`: that connection is then used"
        )
    return StalledError("AuthenticationFailed", f"{who} refused the log-in (it accepts {methods}): {remedy}")


def _said(log: str) -> str:
    """Return what stands in the log for people: its last lines that are not for debugging."""
    lines = [line.strip() for line in log.split("\n")]
    spoken = [line for line in lines if line and not line.startswith(("debug", "OpenSSH_", "Authenticated to"))]
    return " ".join(spoken[-3:]) or "ssh gave no reason"
