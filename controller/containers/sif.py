"""SIF files on a cluster: the shell text that makes, checks and runs them, for Apptainer and SingularityCE alike.

Which of the two is there is found out on the spot, since sites offer one under the other's name.
"""

from __future__ import annotations

PROGRAM = "container_program=$(command -v apptainer || command -v singularity)"
"""Shell line that finds the program; empty when there is none."""

FACTS = f'{PROGRAM} && printf "container_version %s\\n" "$("$container_program" --version)" || true'
"""Shell line that prints ``container_version apptainer version 1.4.5``, or nothing where there is no program."""

_REQUIRE = (
    f'{PROGRAM} || {{ echo "neither apptainer nor singularity is in PATH; if they come as a module, '
    "add 'module load ...' to the cluster's setup\"; false; }"
)

_SQUASHFS = (
    'squashfs=() && case "$("$container_program" --version)" in '
    '"apptainer version 1."[4-9]* | "apptainer version 1."[1-9][0-9]* | "apptainer version "[2-9]*) '
    "squashfs=(--mksquashfs-args '-comp zstd -Xcompression-level 1') ;; esac"
)
"""Shell text that sets the options for a fast compression where the program takes them: Apptainer from 1.4.0."""


def build_command(setup: str) -> str:
    """Return shell text that turns the Docker archive ``$archive`` into the SIF ``$sif``."""
    return (
        f"{_after(setup)}{_REQUIRE} && {_SQUASHFS} && "
        '"$container_program" build "${squashfs[@]}" "$sif" "docker-archive:$archive"'
    )


def check_command(setup: str) -> str:
    """Return shell text that fails unless ``$sif`` can be read and run.

    Apptainer before 1.5.1 could write corrupt files without a word, so each is tried before anything relies on it.
    """
    return (
        f'{_after(setup)}{_REQUIRE} && "$container_program" inspect "$sif" >/dev/null '
        '&& "$container_program" exec --cleanenv --no-home "$sif" true'
    )


def launch_function(identity: str | None, *, gpus: bool) -> str:
    """Return the shell function ``launch`` that runs its arguments in the image, or as they are without one.

    The environment is clean and the home directory off; the instance's directory (``$base``) is bound, so that a run
    reads the directories of the runs that it needs. ``--env`` splits at commas, so GPU numbers go by variable.
    """
    if identity is None:
        return 'launch() { "$@"; }'
    nv = "--nv " if gpus else ""
    return (
        f"{PROGRAM}\n"
        "launch() {\n"
        '  [ -n "$container_program" ] || container_program=$(command -v apptainer || command -v singularity) ||\n'
        '    { echo "controller: neither apptainer nor singularity is in PATH" >&2; return 127; }\n'
        '  if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then\n'
        "    export APPTAINERENV_CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES\n"
        "    export SINGULARITYENV_CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES\n"
        "  fi\n"
        f'  "$container_program" exec --cleanenv --no-home {nv}--bind "$base" --pwd "$run" '
        f'"$root/images/{identity}.sif" "$@"\n'
        "}"
    )


def _after(setup: str) -> str:
    return f"{setup.rstrip()}\n" if setup.strip() else ""
