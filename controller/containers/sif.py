"""SIF files on a cluster: the shell text that makes, checks and runs them, for Apptainer and SingularityCE alike.

Which of the two is there, and what it can do, is found out on the spot, since sites offer one under the other's name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.resources import files

from controller.containers.paths import bind_expression

ARCHIVE = '"oci-archive:$archive"'
"""Source of a conversion: the OCI archive ``$archive``."""
WAYS = "zstd default"
"""Ways to compress, best first: the fast one where program and cluster can do it, else the program's own."""

_MISSING = (
    "neither apptainer nor singularity is in PATH; "
    "if they come as a module, add 'module load ...' to the cluster's setup"
)
_MODULES = "grep -i -E '^[^ :]*(apptainer|singularity)[^ :]*$' | sort -u | head -n 20 | tr '\\n' ' '"
_SQUASHFS = (
    'squashfs=() && if [ "${way:-}" = zstd ] && "$container_program" build --help 2>&1 | grep -q -e --mksquashfs-args; '
    "then squashfs=(--mksquashfs-args '-comp zstd -Xcompression-level 1'); fi"
)
"""Shell text that sets the options for a fast compression where the program takes them: Apptainer from 1.4.0."""


def program(containers: str = "apptainer") -> str:
    """Return the shell line that finds the program, the one that the spec names first; empty when there is none."""
    return f"container_program=$({_find(containers)})"


def facts_command(setup: str, containers: str) -> str:
    """Return shell text that prints ``container_version apptainer version 1.4.5``.

    Where there is no program: ``container_modules`` with the names of modules that may bring one. Lmod and Tcl modules
    list them on standard error.
    """
    version = f'{program(containers)} && printf "container_version %s\\n" "$("$container_program" --version)"'
    # In the shell that the setup leaves: "module" is a function of the profile.
    modules = f"after_setup {shlex.quote(f'{setup.rstrip()}{chr(10)}module -t avail 2>&1')} : 2>&1 </dev/null"
    return f'{_after(setup, version)} || printf "container_modules %s\\n" "$({modules} | {_MODULES})"'


def build_command(setup: str, containers: str, source: str, *, insecure: bool = False) -> str:
    """Return shell text that makes the SIF ``$sif`` of a source: shell text that is one word, see ``ARCHIVE``.

    ``insecure``: a registry is reached by http. Only a registry's layers are cached: nothing asks for those of an
    archive again.
    """
    option = "--no-https " if insecure else ""
    cache = "" if "docker://" in source else "APPTAINER_DISABLE_CACHE=1 SINGULARITY_DISABLE_CACHE=1 "
    return _after(
        setup,
        f"{_require(containers)} && {_SQUASHFS} && "
        f'{cache}"$container_program" build {option}"${{squashfs[@]}}" "$sif" {source}',
    )


def take_command() -> str:
    """Return shell text that takes the upload itself for ``$sif``: it was made elsewhere."""
    return 'mv -f "$archive" "$sif"'


def pulled(reference: str) -> str:
    """Return a registry's image as a source: a reference with a digest."""
    return shlex.quote(f"docker://{reference}")


def check_command(setup: str, containers: str) -> str:
    """Return shell text that fails unless ``$sif`` can be read, runs, and gives containers the image's environment.

    Apptainer before 1.5.1 could write corrupt files without a word, so each is tried before anything relies on it. Of
    an environment that is not the image's, the last line tells, behind ``environment-lost``.
    """
    functions = (files("controller.containers") / "environment.sh").read_text(encoding="utf-8")
    return _after(
        setup,
        f"{functions}\n"
        f'{_require(containers)} && "$container_program" inspect "$sif" >/dev/null '
        '&& "$container_program" exec --cleanenv --no-home "$sif" true && check_environment',
    )


def launch_lines(
    containers: str, *, image: str, root: str, base: str, gpus: bool, command: str, binds: Sequence[str] = ()
) -> str:
    """Return shell lines that become ``command`` in a SIF; ``image`` and ``command`` are words of shell.

    ``$1`` is the run's directory, and they set no variable but those of the container program. The environment is
    clean and the home directory off; the instance's directory ``base`` is bound, so that a run reads the directories of
    the runs that it needs. ``--env`` splits at commas, so GPU numbers go by variable.
    """
    nv = "--nv " if gpus else ""
    more = "".join(f"--bind {bind_expression(bind)} " for bind in binds)
    cache, scratch = shlex.quote(f"{root}/cache"), shlex.quote(f"{root}/tmp")
    return (
        f'set -- "$1" "$2" {image} "$({_find(containers)})"\n'
        '[ -n "$4" ] || { echo "controller: neither apptainer nor singularity is in PATH" >&2; exit 127; }\n'
        f"export APPTAINER_CACHEDIR={cache} APPTAINER_TMPDIR={scratch}\n"
        f"export SINGULARITY_CACHEDIR={cache} SINGULARITY_TMPDIR={scratch}\n"
        f"mkdir -p {cache} {scratch}\n"
        'if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then\n'
        "  export APPTAINERENV_CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES\n"
        "  export SINGULARITYENV_CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES\n"
        "fi\n"
        f'exec "$4" exec --cleanenv --no-home {nv}--bind {shlex.quote(base)} {more}--pwd "$1" "$3" {command}'
    )


def _find(containers: str) -> str:
    first, second = ("singularity", "apptainer") if containers == "singularity" else ("apptainer", "singularity")
    return f"command -v {first} || command -v {second}"


def _require(containers: str) -> str:
    return f"{program(containers)} || {{ echo {shlex.quote(_MISSING)}; false; }}"


def _after(setup: str, command: str) -> str:
    """Return a command as it is to be run after the cluster's setup; see ``after_setup`` in ``remote/prelude.sh``."""
    return f"after_setup {shlex.quote(setup.rstrip())} {shlex.quote(command)}" if setup.strip() else command
