"""Years of a lab in an order that nobody chose: nothing runs twice or again, nothing is cancelled unasked."""

from __future__ import annotations

import compileall
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from tests.effort import examples
from tests.life.events import KEPT, Life
from tests.life.lab import Lab
from tests.life.releases import changed, with_another_recipe

EVENTS = [
    ("rename", "long"),
    ("lose_journals",),
    ("change", "quick"),
    ("back_up",),
    ("move_repository",),
    ("to_the_other_cluster", "quick"),
    ("purge",),
    ("revert",),
    ("restore",),
    ("move_work",),
    ("rename", "quick"),
    ("rename_branch",),
    ("delete_branch",),
    ("again", "other"),
    ("change", "long"),
    ("rewrite",),
    ("remove", "other"),
    ("release",),
    ("approve",),
    ("look_at_another_branch",),
    ("upgrade",),
    ("purge",),
    ("lose_journals",),
]


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version, in which every task has another digest."""
    place = changed(tmp_path_factory.mktemp("later") / "tree", with_another_recipe)
    compileall.compile_dir(place, quiet=2)
    return place


@pytest.mark.timeout(7200)
@settings(max_examples=examples(2), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(events=st.permutations(EVENTS).map(lambda events: events[:10]), kept=st.sampled_from(KEPT))
def test_a_life(later: Path, events: list[tuple[str, ...]], kept: str) -> None:
    """Whatever happens, one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(Path(directory))
        try:
            life = Life(lab, kept, later)
            for event in events:
                note(" ".join(event))
                life.live(*event)
            life.settle()
        finally:
            lab.close()
