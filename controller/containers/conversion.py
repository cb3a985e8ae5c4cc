"""A SIF made on the controller's own machine, by the Apptainer or SingularityCE that is there.

The shell text is the same as on a cluster. Must not know where the SIF goes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from controller.containers import sif
from controller.model.errors import TransientError

_LONGEST_S = 7200
_NEEDLESS = ("SLURM_", "SBATCH_", "CONTROLLER_")


def require_program() -> None:
    """Make sure that this machine can convert.

    Raises:
        TransientError: it cannot (``ContainerProgramMissing``).
    """
    if not (shutil.which("apptainer") or shutil.which("singularity")):
        raise TransientError(
            "ContainerProgramMissing",
            "neither apptainer nor singularity is on the controller's own machine; install one of them, "
            "or set the cluster's convert_on to login or job",
        )


def convert_here(source: str, target: Path, *, scratch: Path, insecure: bool = False) -> None:
    """Make ``target`` of ``oci-archive:PATH`` or ``docker://REFERENCE``; it is there whole, or not at all.

    Raises:
        TransientError: the disk is full (``DiskFull``), or it failed (``ConversionFailed``).
    """
    aside = scratch / "aside.sif"
    said = ""
    for way in sif.WAYS.split():
        aside.unlink(missing_ok=True)
        command = sif.build_command("", "apptainer", shlex.quote(source), insecure=insecure)
        script = f"way={way}; sif={shlex.quote(str(aside))}; {command}"
        own = {"APPTAINER_TMPDIR": str(scratch), "SINGULARITY_TMPDIR": str(scratch)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NEEDLESS)}
        try:
            done = subprocess.run(
                ["bash", "-c", script],
                env={**kept, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_LONGEST_S,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise TransientError("ConversionFailed", f"the conversion took longer than {_LONGEST_S} s") from error
        if done.returncode == 0:
            aside.rename(target)
            return
        said = done.stdout.strip()[-1500:]
        if "squash" not in said:
            break
    if "o space left on device" in said or "uota exceeded" in said:
        free = shutil.disk_usage(scratch).free / 1e6
        raise TransientError(
            "DiskFull", f"the controller's own disk is full ({free:.0f} MB are free at {scratch.parent}): {said}"
        )
    raise TransientError("ConversionFailed", f"the conversion on the controller's machine failed: {said}")
