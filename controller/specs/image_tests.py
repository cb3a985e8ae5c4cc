"""The ``test:`` of a valid Image document to an ImageTest; placeholders without a value are reported here."""

from __future__ import annotations

from typing import Any

from controller.model.images import ImageTest
from controller.specs.assembly import Assembly, PlacedSpec
from controller.specs.decode import shell
from controller.specs.nearest import did_you_mean
from controller.specs.placeholders import DATA_DIRECTORY, names_in, written
from controller.specs.quantities import walltime_s

_COMMANDS = ("dataset_command", "run_command")


def image_test(assembly: Assembly, document: PlacedSpec, data: dict[str, Any]) -> ImageTest:
    """Return the test of an image.

    Raises:
        InvalidError: a placeholder has no value, or a value no placeholder; that has been reported.
    """
    placeholders, known = data.get("placeholders", {}), set(data.get("placeholders", {}))
    if "dataset_command" in data:
        known.add(DATA_DIRECTORY)
        if DATA_DIRECTORY in placeholders:
            message = f"{written(DATA_DIRECTORY)} is the directory that dataset_command fills"
            raise assembly.invalid(document, ("test", "placeholders", DATA_DIRECTORY), message, "remove it")
    used = {name: command for command in _COMMANDS for name in names_in(data.get(command, ""))}
    for name, command in used.items():
        if name not in known:
            message = f"{written(name)} in test.{command} has no value{did_you_mean(name, known)}"
            remedy = f'add it: placeholders: {{{name}: "..."}}'
            if name == DATA_DIRECTORY:
                remedy = "add the dataset_command that fills it"
            raise assembly.invalid(document, ("test", command), message, remedy)
    for name in placeholders:
        if name not in used:
            message = (
                f"no command of the test has {written(name)} in it{did_you_mean(name.removeprefix('YOUR_'), used)}"
            )
            remedy = "write the name without YOUR_, or remove it"
            raise assembly.invalid(document, ("test", "placeholders", name), message, remedy)
    return ImageTest(
        run_command=data["run_command"],
        repo_url=data.get("repo_url", ""),
        ref=data.get("ref", ""),
        dataset_command=data.get("dataset_command", ""),
        placeholders=dict(placeholders),
        env=dict(data.get("env", {})),
        gpus=data.get("gpus", False),
        time_s=walltime_s(data.get("time", "30m")),
        required=data.get("required", False),
        shell=shell(data, ()),
    )
