"""The composition root: settings from options, environment and configuration file, and the objects built from them.

Nothing else in the package reads configuration or decides which implementation is used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controller import __version__
from controller.cli.options import Given
from controller.model.errors import ConfigurationError, WaitingError

if TYPE_CHECKING:
    from controller.containers.engine import Engine
    from controller.reconcile.hands import Say
    from controller.reconcile.pins import Pins
    from controller.reconcile.reconciler import Reconciler
    from controller.reconcile.settings import Settings
    from controller.reconcile.workshop import Workshop
    from controller.repository.mirror import Mirror


def settings_from(given: Given) -> Settings:
    """Return the settings: options outrank the configuration file, which outranks what can be found out.

    Raises:
        ConfigurationError: no repository is named, or a setting is wrong.
    """
    from controller.cli.configuration import read_configuration
    from controller.model.plans import RerunLimits
    from controller.reconcile.settings import Settings
    from controller.repository.auth import RemoteAuth
    from controller.repository.identity import instance_of
    from controller.repository.url import parse_url

    written = read_configuration(given.config)
    repo = _absolute(given.repo or written.repo or _repository_here())
    inside = given.path if given.path is not None else written.path
    path = "/".join(part for part in inside.split("/") if part not in ("", "."))
    parse_url(repo)
    instance = written.instance or instance_of(repo, path)
    state_dir = given.state_dir or written.state_dir or _default_state_dir(instance)
    defaults = Settings(repo=repo, state_dir=state_dir, instance=instance)
    return Settings(
        repo=repo,
        branch=given.branch or written.branch,
        path=path,
        state_dir=state_dir.expanduser().absolute(),
        instance=instance,
        configured_instance=written.instance is not None,
        status_branch=written.status_branch or defaults.status_branch,
        interval_s=written.interval_s or defaults.interval_s,
        grace_s=defaults.grace_s if written.grace_s is None else written.grace_s,
        builds=written.builds or defaults.builds,
        prune_keep_commits=written.prune_keep_commits,
        rerun_limits=RerunLimits(
            tasks=defaults.rerun_limits.tasks if written.rerun_tasks is None else written.rerun_tasks,
            share=defaults.rerun_limits.share if written.rerun_share is None else written.rerun_share,
        ),
        auth=RemoteAuth(
            token_file=written.token_file,
            token_env="CONTROLLER_TOKEN",
            identity_files=written.identity_files,
            known_hosts=written.known_hosts,
        ),
        ssh_config=given.ssh_config or written.ssh_config,
        listen=written.listen,
        webhook_secret_file=written.webhook_secret_file,
    )


def open_mirror(settings: Settings) -> Mirror:
    """Return the mirror of the settings' repository; nothing is fetched yet."""
    from controller.repository.mirror import Mirror

    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return Mirror(settings.state_dir / "mirror.git", settings.repo, settings.auth)


def open_pins(settings: Settings, mirror: Mirror, engine: Engine) -> Pins:
    """Return what knows, and finds out, at which commit or digest other sources are in force."""
    from controller.containers.registry import digest_now
    from controller.reconcile.pins import Pins

    return Pins(
        settings.state_dir / "sources",
        specs=mirror.url,
        auth=settings.auth,
        clock=time.time,
        ask_registry=digest_now,
        ask_engine=engine.named,
    )


@contextmanager
def open_reconciler(
    settings: Settings, *, say: Say, workshop: Workshop | None = None, clock: Callable[[], float] = time.time
) -> Iterator[Reconciler]:
    """Yield a reconciler built from the settings; close it afterwards. Without a workshop, a pass waits for all."""
    import socket

    from controller.containers.engine import Engine
    from controller.reconcile.clients import Clients
    from controller.reconcile.heartbeats import Heartbeats
    from controller.reconcile.reconciler import Reconciler
    from controller.store.journal import Journal
    from controller.store.verdicts import Verdicts

    mirror, engine = open_mirror(settings), Engine()
    journal = Journal(settings.state_dir / "journal.sqlite3")
    reconciler = Reconciler(
        settings,
        mirror=mirror,
        journal=journal,
        verdicts=Verdicts(settings.state_dir / "verdicts.sqlite3"),
        engine=engine,
        clients=Clients(settings.instance, ssh_config=settings.ssh_config),
        pins=open_pins(settings, mirror, engine),
        clock=clock,
        heartbeats=Heartbeats(
            settings,
            mirror=mirror,
            journal=journal,
            clock=clock,
            host=socket.gethostname(),
            version=__version__,
        ),
        say=say,
        workshop=workshop,
    )
    try:
        yield reconciler
    finally:
        reconciler.close()


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold the lock that keeps two passes with one state directory from overlapping.

    Raises:
        WaitingError: another process holds it (``PassUnderway``).
    """
    from filelock import FileLock, Timeout

    settings.state_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.state_dir / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WaitingError("PassUnderway", f"another pass is under way (lock {settings.state_dir / 'lock'})") from error
    try:
        yield
    finally:
        lock.release()


def _absolute(repo: str) -> str:
    """Make a path absolute; an address stays as it is."""
    if "://" in repo or (":" in repo.split("/", 1)[0] and not Path(repo).exists()):
        return repo
    return str(Path(repo).expanduser().absolute())


def _repository_here() -> str:
    """The origin of the checkout that the command was called in, or the checkout itself when it has none."""
    import pygit2

    found = pygit2.discover_repository(str(Path.cwd()))
    if found is None:
        raise ConfigurationError(
            "RepositoryMissing",
            "no repository is named and this is no checkout of one: give --repo URL, set CONTROLLER_REPO, "
            "or put 'repo:' into a configuration file (--config)",
        )
    repository = pygit2.Repository(found)
    if "origin" in repository.remotes.names():
        return str(repository.remotes["origin"].url)
    return str(repository.workdir or repository.path)


def _default_state_dir(instance: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(base) / "controller" / instance
