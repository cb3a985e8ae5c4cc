"""What the shell text for SIF files asks a program for, by a program that repeats what it is called with."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.containers import sif

KNOWS = "--mksquashfs-args string"
"""What the help of Apptainer from 1.4 has."""


def said(place: Path, text: str, variables: Mapping[str, str] | None = None, *, name: str = "apptainer") -> list[str]:
    """Run shell text where one container program is; return the words of its last call, what it was not to cache first.

    ``build --help`` says what ``$KNOWN`` holds.
    """
    programs = place / "bin"
    programs.mkdir()
    (programs / name).write_text(
        '#!/bin/bash\nif [ "$2" = --help ]; then echo "$KNOWN"; exit; fi\n'
        'printf "%s\\n" "${APPTAINER_DISABLE_CACHE:-cached}" "${0##*/}" "$@"\n'
    )
    (programs / name).chmod(0o755)
    env = {"PATH": f"{programs}:/usr/bin:/bin", "root": str(place), "base": "/base", "run": "/run 1", "image": "/i.sif"}
    done = subprocess.run(
        ["bash", "-uc", text], env={**env, **(variables or {})}, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("gpus", [True, False])
@pytest.mark.parametrize("name", ["apptainer", "singularity"])
def test_a_run_sees_gpus_only_when_it_asked_for_them(tmp_path: Path, name: str, gpus: bool) -> None:
    """By either program: no environment, no home, the run's directory, what the spec binds, and ``--nv`` for GPUs."""
    lines = sif.launch_lines(
        "apptainer",
        image="/i.sif",
        root=str(tmp_path),
        base="/base 1",
        gpus=gpus,
        binds=("/data:/d:ro",),
        command='train "$2/a b"',
    )
    words = said(tmp_path, f"set -- '/run 1' /control /root\n{lines}", name=name)
    nv = ["--nv"] if gpus else []
    options = ["--cleanenv", "--no-home", *nv, "--bind", "/base 1", "--bind", "/data:/d:ro", "--pwd", "/run 1"]
    assert words == ["cached", name, "exec", *options, "/i.sif", "train", "/control/a b"]


@pytest.mark.parametrize(
    ("known", "way", "options"),
    [
        (KNOWS, "zstd", ["--mksquashfs-args", "-comp zstd -Xcompression-level 1"]),
        (KNOWS, "default", []),
        ("--fix-perms", "zstd", []),
    ],
)
def test_the_fast_compression_is_asked_for_where_it_is_known(
    tmp_path: Path, known: str, way: str, options: list[str]
) -> None:
    text = sif.build_command("", "apptainer", sif.ARCHIVE)
    words = said(tmp_path, text, {"KNOWN": known, "way": way, "sif": "/new.sif", "archive": "/x y.tar"})
    assert words == ["1", "apptainer", "build", *options, "/new.sif", "oci-archive:/x y.tar"]


def test_layers_of_a_registry_are_cached(tmp_path: Path) -> None:
    text = sif.build_command("", "apptainer", sif.pulled("localhost:5000/lab/x@sha256:1"), insecure=True)
    words = said(tmp_path, text, {"KNOWN": "", "sif": "/new.sif"})
    assert words == ["cached", "apptainer", "build", "--no-https", "/new.sif", "docker://localhost:5000/lab/x@sha256:1"]
