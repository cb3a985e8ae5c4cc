"""What an image's test means for the image: what is said of it, and whether the image may be used."""

from __future__ import annotations

from controller.model.conditions import Truth
from controller.model.images import Image
from controller.model.plans import Trial, trial_key
from controller.planning.history import History
from controller.planning.verdicts import Saying


def gate_of(image: Image) -> str | None:
    """Return the key of the test that jobs wait for; None where there is none."""
    return trial_key(image, image.test) if image.test is not None and image.test.required else None


def trial_of(image: Image, history: History) -> Trial | None:
    """Return what became of an image's test at its present identity; None when it has not run."""
    return None if image.test is None else history.trials.get(trial_key(image, image.test))


def trial_details(image: Image, history: History) -> dict[str, str]:
    """Return what a status tells of an image's test, required or not."""
    if image.test is None:
        return {}
    trial = trial_of(image, history)
    if trial is None:
        return {"test": "not run"}
    word = "passed" if trial.passed else f"failed ({trial.reason})"
    return {"test": word, "test.commit": trial.commit, "test.log": trial.log}


def untested(image: Image, history: History) -> Saying | None:
    """Return why an image that is there may not be used yet; None when it may."""
    if gate_of(image) is None:
        return None
    trial = trial_of(image, history)
    if trial is None:
        return (Truth.FALSE, "ImageNotTested", "its test is required and has not run yet; it runs before the next run")
    return None if trial.passed else (Truth.FALSE, trial.reason, trial.message)
