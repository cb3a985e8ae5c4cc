"""A lab for each scenario, and the end of all that it has started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Sandbox
from tests.life.lab import Lab
from tests.life.slurm import SlurmLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with one repository and nobody in it."""
    made = Lab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def slurm_lab(tmp_path: Path, sandbox: Sandbox) -> Iterator[SlurmLab]:
    """A lab whose cluster is the sandbox."""
    made = SlurmLab(tmp_path, sandbox)
    yield made
    made.close()
