"""The second script of a run's child: what stands between the login shell and the command; see ``remote/launch.sh``.

It is the same for every run of a batch: what differs is its arguments. Its last line execs the command, so that a
signal to the child reaches the user's own process. It sets no variable outside of a shell of its own, since the
environment is the command's. Must not know what a command is made of.
"""

from __future__ import annotations

import shlex

from controller.clusters.scripts import remote_file
from controller.containers.paths import path_expression
from controller.containers.sif import launch_lines
from controller.model.images import Image, SifFile
from controller.model.plans import SubmitBatch


def launch_script(batch: SubmitBatch, *, root: str, instance: str) -> str:
    """Return the script; its arguments are the run's directory, its control directory and the work directory."""
    lines = [remote_file("launch.sh")]
    begin = ': >"$2/phase.command" || exit 74\nfailpoint job.phase.after "$3"'
    # The command's own shell, as words of the script: the same on a node and in an image.
    command = f'{shlex.join(batch.job.shell)} "$2/command.sh"'
    if batch.image is None:
        if batch.job.shell[0] == "bash":
            # There is one, which runs this: also where PATH leads to none.
            found = '"$(type -P bash || printf %s "$BASH")"'
            return "\n".join([*lines, begin, f"exec {found} {command.removeprefix('bash ')}"])
        return "\n".join([*lines, _require(batch.job.shell[0]), begin, f"exec {command}"])
    gpus = batch.resources.gpus
    return "\n".join(
        [
            *lines,
            _check(batch.image, root),
            begin,
            launch_lines(
                batch.cluster.containers,
                image=_image(batch.image, root),
                root=root,
                base=f"{root}/{instance}",
                gpus=bool(gpus and gpus.count),
                binds=(*batch.cluster.binds, *batch.job.binds),
                command=command,
            ),
        ]
    )


def _require(program: str) -> str:
    """Return the line that ends where a node lacks a shell. Whether an image does is seen afterwards (``job.sh``)."""
    text = f"controller: there is no {program} on this node"
    marked = f'{{ echo {shlex.quote(text)} >&2; : >"$2/phase.shell-missing"; exit 127; }}'
    return f"type -P -- {shlex.quote(program)} >/dev/null || {marked}"


def _check(image: Image, root: str) -> str:
    """Return the lines that look at a run's image, in a shell of their own."""
    images, pinned = f"{root}/images", ""
    if isinstance(image.origin, SifFile):
        record, aside, pinned = f"{images}/.known.{image.identity}", "", image.origin.sha256 or ""
    else:
        record, aside = f"{images}/{image.identity}.sha256", f"{images}/.changed.{image.identity}.sif"
    variables = {"image_sum": pinned, "image_record": record, "image_aside": aside}
    return "\n".join(
        [
            "(",
            "control=$2 PATH=/usr/bin:/bin:$PATH; export LC_ALL=C",
            *(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
            f"image=$(printf %s {_image(image, root)})",
            remote_file("check_image.sh"),
            ") || exit",
        ]
    )


def _image(image: Image, root: str) -> str:
    """Return the path of an image's SIF as one word of shell."""
    if isinstance(image.origin, SifFile):
        return path_expression(image.origin.path)
    return shlex.quote(f"{root}/images/{image.identity}.sif")
