"""What was saved of an image on its way is kept for the next try, and for no longer than the image is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from filelock import FileLock

from controller.model.errors import WaitingError
from controller.model.plans import Carrier, Place, PublishImage, Route
from controller.reconcile.hands import Hands
from controller.reconcile.publishing import clear_leftovers, publish
from tests.unit.planning.values import cluster, image


def test_only_what_nobody_asks_for_goes(tmp_path: Path) -> None:
    wanted, other = image(), image("other", "FROM y")
    for each in (wanted, other):
        (tmp_path / "publishing" / f"hpc-{each.identity}").mkdir(parents=True)
    clear_leftovers(tmp_path, [wanted])
    assert [place.name for place in (tmp_path / "publishing").iterdir()] == [f"hpc-{wanted.identity}"]
    clear_leftovers(tmp_path / "nothing", [wanted])


def test_what_another_process_is_at_is_left_alone(tmp_path: Path) -> None:
    """Of two processes with one state directory, neither takes an archive away under the other, nor writes into it."""
    route = Route(carrier=Carrier.ARCHIVE, place=Place.LOGIN)
    action = PublishImage(image=image(), cluster=cluster(), route=route, why="missing")
    place = tmp_path / "publishing" / f"{action.cluster.name}-{action.image.identity}"
    place.mkdir(parents=True)
    (place / "image.tar").write_bytes(b"half")
    hands = cast(Hands, SimpleNamespace(state_dir=tmp_path))
    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / f"publishing-{place.name}"):
        clear_leftovers(tmp_path, [])
        with pytest.raises(WaitingError) as caught:
            publish(hands, action)
    assert (caught.value.reason, (place / "image.tar").read_bytes()) == ("UnderwayElsewhere", b"half")
    clear_leftovers(tmp_path, [])
    assert not place.exists()
