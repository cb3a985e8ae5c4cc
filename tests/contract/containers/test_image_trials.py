"""An image's test on the real engine, without a pass around it: images that are not built, and data that are shared."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from controller.containers.engine import Engine
from controller.model.errors import StalledError, TransientError
from controller.model.images import Image, ImageTest, Origin, RegistryImage, SifFile
from controller.model.plans import trial_key
from controller.reconcile.hands import Hands
from controller.reconcile.trials import try_image
from controller.reconcile.workplaces import discard
from controller.store.journal import Journal
from tests.unit.planning.values import source

pytestmark = pytest.mark.docker
BASE = "debian:trixie-slim"


@pytest.fixture
def hands(engine: None, tmp_path: Path) -> Iterator[Hands]:
    """What a test is carried out with, and no clusters."""
    journal = Journal(tmp_path / "journal.sqlite3")
    none = cast(Any, None)
    yield Hands(
        journal=journal,
        engine=Engine(),
        client_of=none,
        tree_of=none,
        instance="contract",
        state_dir=tmp_path,
        clock=time.time,
        say=lambda key, line: None,
    )
    journal.close()


@pytest.fixture
def base(engine: None) -> RegistryImage:
    """An image that only the engine knows."""
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", BASE]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return RegistryImage(reference=BASE, digest=found.stdout.strip(), on_engine=True)


def image(origin: Origin) -> Image:
    return Image(name="tiny", source=source(), identity=uuid.uuid4().hex * 2, origin=origin)


def test_an_image_that_exists_is_tested_as_it_is(hands: Hands, base: RegistryImage) -> None:
    """It is taken by its digest, whatever its name means by now; the log has all, the journal the outcome."""
    said: list[bytes] = []
    tried, check = image(base), ImageTest(run_command="cat /etc/debian_version; echo $WORD >out", env={"WORD": "x"})
    trial = try_image(hands, tried, check, output=said.append)
    assert trial.passed
    assert b"".join(said) in Path(trial.log).read_bytes()
    assert hands.journal.fact(trial_key(tried, check)) is not None
    assert [path.name for path in (hands.state_dir / "trials").iterdir() if path.is_dir()] == []


def test_what_cannot_be_tested_says_so(hands: Hands) -> None:
    """A SIF, an image that has gone from the engine, one that no registry gives: no verdict on the image."""
    check = ImageTest(run_command="true")
    gone = RegistryImage(reference="nowhere:1", digest=f"sha256:{'0' * 64}", on_engine=True)
    unknown = RegistryImage(reference="localhost:9/nowhere:1", digest=f"sha256:{'0' * 64}")
    errors: dict[str, Origin] = {"NotTestable": SifFile(path="/x.sif"), "ImageGone": gone, "EngineRefused": unknown}
    for reason, origin in errors.items():
        tried = image(origin)
        with pytest.raises((StalledError, TransientError)) as error:
            try_image(hands, tried, check)
        assert error.value.reason == reason
        assert hands.journal.fact(trial_key(tried, check)) is None


def test_data_are_fetched_once_for_their_command(hands: Hands, base: RegistryImage) -> None:
    """Another image and another test share them; a command that names the clone is each repository's own."""
    fetch = f"echo {uuid.uuid4().hex} >word; mkdir locked; chmod 500 locked; cp /proc/sys/kernel/random/uuid once"

    def once(**fields: Any) -> bytes:
        said: list[bytes] = []
        check = ImageTest(run_command="cat <YOUR_DATA_DIRECTORY>/once", **({"dataset_command": fetch} | fields))
        assert try_image(hands, image(base), check, output=said.append).passed
        return b"".join(said).splitlines()[-1]

    first = once()
    assert once(env={"ANOTHER": "test"}) == first
    assert once(dataset_command=fetch + "; ls /trial/repository") != first
    discard(hands.state_dir / "datasets")
    assert not (hands.state_dir / "datasets").exists()
    assert once() != first


def test_what_a_message_holds_is_text(hands: Hands, base: RegistryImage) -> None:
    """Colours and progress bars stay in the log, which only its owner reads; a message has the last lines as text."""
    command = "seq 100; printf 'a bar: 10 %%\\ra bar: 99 %%\\n\\033[31mred\\033[0m \\033]0;title\\007end\\n'; exit 3"
    trial = try_image(hands, image(base), ImageTest(run_command=command))
    first, *lines = trial.message.split("\n")
    said = f"run_command of its test ended with exit code 3 (output: {trial.log}; to mend it: controller image fix"
    assert said in first
    assert lines[-3:] == ["100", "a bar: 99 %", "red end"]
    assert len(lines) == 15
    assert b"\x1b[31m" in Path(trial.log).read_bytes()
    assert Path(trial.log).stat().st_mode & 0o777 == 0o600


def test_an_uncommon_work_directory_is_taken_away(hands: Hands, base: RegistryImage) -> None:
    """Write-protected directories and links that lead out: nothing of it stays, and nothing else goes."""
    outside = hands.state_dir / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    command = f"mkdir -p a/b; touch a/b/c; chmod 500 a/b a; ln -s {outside} link; exit 3"
    trial = try_image(hands, image(base), ImageTest(run_command=command))
    assert (trial.passed, trial.reason) == (False, "TestFailed")
    assert [path.name for path in (hands.state_dir / "trials").iterdir() if path.is_dir()] == []
    assert (outside / "precious").exists()
    assert os.access(outside, os.W_OK)
