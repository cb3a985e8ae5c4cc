"""What an engine says of a build that failed: what a person has to change first, and what may pass by itself.

The words are those of Docker's classic builder (20.10 to 28) and of Podman's (buildah 1.28). What is not known here
counts as passing: to try again costs time, to give up for good would keep a job waiting for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.specs.dockerfiles import HEREDOC_REMEDY, BuildKitOnly, buildkit_only

INVALID = "DockerfileInvalid"
BUILDKIT = "BuildKitNeeded"
LASTING = (
    r"dockerfile parse error",
    r"failed to parse dockerfile",
    r"dockerfile: syntax error",
    r"unknown instruction",
    r"unknown flag",
    r"option requires buildkit",
    r"no build stage in current context",
    r"the dockerfile .*cannot be empty",
    r"failed to reach build target",
    r"cannot locate specified dockerfile",
    r"failed to process \"",
    r"failed to parse platform",
    r"base name .*should not be blank",
    r"invalid reference format",
    r"invalid containerport",
    r"invalid signal",
    r"forbidden path outside the build context",
    r"file not found in build context or excluded by \.dockerignore",
    r"must have two arguments",
    r"missing ':' in substitution",
    r"arguments to be in json form",
    r"repository name must be lowercase",
    r"no from statement found",
    r"possible escaping context directory",
    r"checking on sources under .*no such file or directory",
    r"only supports the --",
)
"""What is wrong with the Dockerfile, or with what it names of its context: the same however often."""

_LASTING = re.compile("|".join(LASTING), re.IGNORECASE)
_A_FLAG = re.compile(r"the --([a-z-]+) option requires buildkit|unknown flag: ([a-z-]+)|only supports the --", re.I)
_UNKNOWN_WORD = re.compile(r"unknown instruction|stat: \"/<<", re.IGNORECASE)
_OF_A_COMMAND = re.compile(r"the command '|executing /|while running runtime", re.IGNORECASE)
"""The end of a program in the image: whatever stands behind it is the program's, and may have any words."""
_HOW = (
    " needs BuildKit, which this builder is not. Write the Dockerfile without, use Podman 5 or later (docs/images.md),"
    " or build the image elsewhere and name it in from:"
)


@dataclass(frozen=True, slots=True)
class BuildFault:
    """Why a build ends the same however often it is tried, and what to do."""

    reason: str
    """``DockerfileInvalid`` or ``BuildKitNeeded``."""
    remedy: str


def fault_of(said: str, dockerfile: str) -> BuildFault | None:
    """Return what a person has to change in a Dockerfile, by the engine's words; None for what may pass by itself."""
    if _OF_A_COMMAND.search(said):
        return None
    only = list(buildkit_only(dockerfile))
    if found := _A_FLAG.search(said):
        flag = found[1] or found[2]
        named = (
            each for each in only if each.remedy != HEREDOC_REMEDY and (not flag or each.what.endswith(f"--{flag}"))
        )
        if (one := next(named, None)) is not None:
            return _needs_buildkit(one)
    heredoc = next((each for each in only if each.remedy == HEREDOC_REMEDY), None)
    if heredoc is not None and _UNKNOWN_WORD.search(said):
        return _needs_buildkit(heredoc)
    return BuildFault(INVALID, "Correct the Dockerfile, or what it names") if _LASTING.search(said) else None


def _needs_buildkit(what: BuildKitOnly) -> BuildFault:
    return BuildFault(BUILDKIT, f"In line {what.line}, {what.what}{_HOW}. Instead: {what.remedy}")
