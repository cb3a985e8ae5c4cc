"""What was saved of an image on its way is kept for the next try, and for no longer than the image is asked for."""

from __future__ import annotations

from pathlib import Path

from controller.reconcile.publishing import clear_leftovers
from tests.unit.planning.values import image


def test_only_what_nobody_asks_for_goes(tmp_path: Path) -> None:
    wanted, other = image(), image("other", "FROM y")
    for each in (wanted, other):
        (tmp_path / "publishing" / f"hpc-{each.identity}").mkdir(parents=True)
    clear_leftovers(tmp_path, [wanted])
    assert [place.name for place in (tmp_path / "publishing").iterdir()] == [f"hpc-{wanted.identity}"]
    clear_leftovers(tmp_path / "nothing", [wanted])
