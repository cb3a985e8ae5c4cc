"""The controller's own configuration file: YAML by the same rules, schema and messages as specs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.model.errors import ConfigurationError
from controller.smallfiles import read_small


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the file says; None where it says nothing. Paths in it are relative to the file."""

    repo: str | None = None
    branch: str | None = None
    path: str = ""
    state_dir: Path | None = None
    instance: str | None = None
    status_branch: str | None = None
    interval_s: float | None = None
    grace_s: float | None = None
    builds: int | None = None
    prune_keep_commits: int | None = None
    rerun_tasks: int | None = None
    rerun_share: float | None = None
    identity_files: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    ssh_config: Path | None = None
    token_file: Path | None = None
    listen: str | None = None
    webhook_secret_file: Path | None = None


def read_configuration(given: Path | None) -> Written:
    """Read the file given, or ``$XDG_CONFIG_HOME/controller/config.yaml`` where there is one.

    Raises:
        ConfigurationError: it cannot be read or is wrong; all that is wrong is said at once.
    """
    path = given or _default_path()
    if given is None and not path.exists():
        return Written()
    try:
        data = read_small(path)
    except OSError as error:
        raise ConfigurationError("ConfigurationUnreadable", f"{path}: {error.strerror}") from error
    return _written(_checked(path, data), path.parent)


def _default_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(base) / "controller" / "config.yaml"


def _checked(path: Path, data: bytes) -> dict[str, Any]:
    from controller.specs.excerpts import draw
    from controller.specs.settings import read_settings

    value, problems = read_settings(data, str(path))
    if problems:
        raise ConfigurationError("ConfigurationInvalid", "\n".join(draw(problem) for problem in problems))
    return value


def _written(value: dict[str, Any], directory: Path) -> Written:
    from controller.specs.quantities import duration_s

    def file(text: str | None) -> Path | None:
        return None if text is None else directory / Path(text).expanduser()

    def files(text: str | None) -> tuple[Path, ...]:
        found = file(text)
        return () if found is None else (found,)

    ssh, http = value.get("ssh", {}), value.get("http", {})
    interval, grace = value.get("interval"), value.get("submit_grace")
    return Written(
        repo=value.get("repo"),
        branch=value.get("branch"),
        path=value.get("path", ""),
        state_dir=file(value.get("state_dir")),
        instance=value.get("instance"),
        status_branch=value.get("status_branch"),
        interval_s=None if interval is None else float(duration_s(interval)),
        grace_s=None if grace is None else float(duration_s(grace)),
        builds=value.get("builds"),
        prune_keep_commits=value.get("prune", {}).get("keep_commits"),
        rerun_tasks=value.get("mass_rerun", {}).get("tasks"),
        rerun_share=value.get("mass_rerun", {}).get("share"),
        identity_files=files(ssh.get("identity_file")),
        known_hosts=files(ssh.get("known_hosts")),
        ssh_config=file(ssh.get("config")),
        token_file=file(value.get("token_file")),
        listen=http.get("listen"),
        webhook_secret_file=file(http.get("webhook_secret_file")),
    )
