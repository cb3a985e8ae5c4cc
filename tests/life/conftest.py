"""A lab for each scenario, and the end of all that it has started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.life.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with one repository and nobody in it."""
    made = Lab(tmp_path)
    yield made
    made.close()
