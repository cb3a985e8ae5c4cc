"""The SSH configuration for paramiko: what it cannot read itself is put into a form that it can.

paramiko's reader knows ``Host``, ``Match`` and tokens, but no ``Include``. OpenSSH needs none of this. Format:
ssh_config(5).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.model.errors import ConfigurationError
from controller.smallfiles import read_small

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"
_MAX_DEPTH = 16  # READCONF_MAX_DEPTH of OpenSSH
_BARE_CRITERIA = frozenset({"all", "canonical", "final"})
_CRITERIA = frozenset({"host", "originalhost", "user", "localuser", "exec"})
_NEEDS_OPENSSH = {
    "bindaddress": ("BindAddress", ()),
    "bindinterface": ("BindInterface", ()),
    "proxyusefdpass": ("ProxyUseFdpass", ("no",)),
    "pubkeyauthentication": ("PubkeyAuthentication", ("yes", "unbound", "host-bound")),
    "revokedhostkeys": ("RevokedHostKeys", ("none",)),
}
"""Option -> its name as people write it, and the values that change nothing."""
_KEYWORD = re.compile(r"\s*(host|match|include)(?:\s*=\s*|\s+)(.*)", re.IGNORECASE)


def configuration_text(path: str | None) -> str:
    """Return the text of ``path`` alone, or of the user's and the system's file, with every ``Include`` filled in.

    Raises:
        ConfigurationError: ``path`` cannot be read, or files include one another in a circle (``SshConfigInvalid``).
    """
    if path is not None:
        return _expanded(named_file(path), Path("~/.ssh").expanduser(), 0)
    user = _expanded(Path(USER_FILE).expanduser(), Path("~/.ssh").expanduser(), 0)
    system = _expanded(Path(SYSTEM_FILE), Path("/etc/ssh"), 0)
    return f"{user}\nHost *\n{system}"


def named_file(path: str) -> Path:
    """Return the configuration that a connection names; unlike the usual places it has to be there.

    Raises:
        ConfigurationError: it is not (``SshConfigInvalid``).
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigurationError("SshConfigInvalid", f"the SSH configuration {file} does not exist")
    return file


def _expanded(file: Path, base: Path, depth: int) -> str:
    if depth > _MAX_DEPTH:
        raise ConfigurationError("SshConfigInvalid", f"{file} is included more than {_MAX_DEPTH} levels deep")
    try:
        lines = read_small(file).decode("utf-8", "surrogateescape").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        message = f"the SSH configuration {file} cannot be read: {error.strerror}"
        raise ConfigurationError("SshConfigInvalid", message) from error
    block = "Host *"
    result: list[str] = []
    for number, line in enumerate(lines, start=1):
        keyword = _KEYWORD.fullmatch(line.rstrip("\r"))
        if keyword is None:
            result.append(line)
        elif keyword[1].lower() == "include":
            for found in _included(keyword[2], base):
                result.append(_expanded(found, base, depth + 1))
            # The included files' last Host ends with them.
            result.append(block)
        else:
            if keyword[1].lower() == "match":
                _refuse_criteria(keyword[2], file, number)
            block = line
            result.append(line)
    return "\n".join(result)


def _refuse_criteria(criteria: str, file: Path, line: int) -> None:
    """paramiko takes a criterion that it does not know for one that is met."""
    words = iter(shlex.split(criteria, comments=True))
    for word in words:
        name = word.lstrip("!").lower().partition("=")[0]
        if name in _BARE_CRITERIA:
            continue
        if name not in _CRITERIA:
            message = f"{file}:{line}: Match {name} needs `transport: openssh`"
            raise ConfigurationError("SshConfigInvalid", message)
        if "=" not in word:
            next(words, None)


def refuse_unknown(options: Mapping[str, Any], host: str) -> None:
    """Refuse options that matter and that paramiko would pass over: by another way, or with other keys, it may get in.

    Raises:
        ConfigurationError: naming the option (``SshConfigInvalid``).
    """
    for key, (name, harmless) in _NEEDS_OPENSSH.items():
        value = str(options.get(key, ""))
        if value and value.lower() not in harmless:
            found = f"{name} {value}"
            break
    else:
        methods = str(options.get("preferredauthentications", "publickey"))
        if "publickey" in methods.split(","):
            return
        found = f"PreferredAuthentications {methods}"
    message = f"the SSH configuration for {host} says {found}, which needs `transport: openssh`"
    raise ConfigurationError("SshConfigInvalid", message)


def _included(patterns: str, base: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in shlex.split(patterns, comments=True):
        absolute = base / Path(pattern).expanduser()
        found += sorted(Path(absolute.anchor).glob(str(absolute.relative_to(absolute.anchor))))
    return found
