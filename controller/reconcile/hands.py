"""What actions are carried out with, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controller.clusters.cluster import ClusterClient
from controller.containers.engine import Engine
from controller.containers.trials import Containers
from controller.model.errors import ControllerError
from controller.model.files import FileSet
from controller.specs.tree import Tree
from controller.store.journal import Journal

Say = Callable[[str, str], None]
"""Called with an action's key and a line on how far it is."""

Outcomes = dict[str, ControllerError | None]
"""Key of an action -> what went wrong; None when it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Everything that an action may use. ``clock`` gives seconds since the epoch."""

    journal: Journal
    engine: Engine
    client_of: Callable[[str], ClusterClient]
    tree_of: Callable[[FileSet], Tree]
    """From files to the commit, or the template, that holds their bytes."""
    instance: str
    state_dir: Path
    clock: Callable[[], float]
    say: Say
    containers: Containers = field(default_factory=Containers)
    builds: int = 2
    """How many builds may go on at once."""
