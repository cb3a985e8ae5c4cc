"""What one controller is told: which repository, where its state is, how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from controller.model.leases import Choice
from controller.model.plans import RERUN_LIMITS, RerunLimits
from controller.planning.absorb import GRACE_S
from controller.repository.auth import RemoteAuth
from controller.repository.statusbranch import BRANCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one controller. ``branch`` None is the remote's HEAD; ``path`` "" is the whole repository."""

    repo: str
    state_dir: Path
    instance: str
    """As configured, or derived from address and path; the one in force is found out by each pass."""
    configured_instance: bool = False
    choice: Choice = Choice.NONE
    """What a person says where the identity is in doubt."""
    branch: str | None = None
    path: str = ""
    status_branch: str = BRANCH
    interval_s: float = 60.0
    grace_s: float = GRACE_S
    builds: int = 2
    """How many images may be built at once."""
    prune_keep_commits: int | None = None
    """Clear away images that nothing in so many commits uses, once a day; None: never by itself."""
    rerun_limits: RerunLimits = RERUN_LIMITS
    """How much of what has succeeded may run again without an approval."""
    auth: RemoteAuth = field(default_factory=RemoteAuth)
    ssh_config: Path | None = None
    """OpenSSH configuration for connections to clusters; None is the user's own."""
    listen: str | None = None
    webhook_secret_file: Path | None = None
