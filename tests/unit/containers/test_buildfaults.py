"""What engines say of builds that failed, word for word: what a person has to change, and what may pass by itself."""

from __future__ import annotations

import io

import pytest

from controller.containers.buildfaults import fault_of
from controller.containers.building import Follower
from controller.model.errors import StalledError, TransientError

HEREDOC = "FROM x\nRUN <<E\necho hi\nE\n"
LASTING = {
    "dockerfile parse error line 2: unknown instruction: RNU": "DockerfileInvalid",
    'building at STEP "SHELL sh": SHELL requires the arguments to be in JSON form': "DockerfileInvalid",
    "determining starting point for build: no FROM statement found": "DockerfileInvalid",
    'checking on sources under "/x/build": copier: stat: "/nothing": no such file or directory': "DockerfileInvalid",
    'building at STEP "RUN --network=none true": RUN only supports the --mount flag': "BuildKitNeeded",
    "dockerfile parse error on line 2: unknown instruction: RNU (did you mean RUN?)": "DockerfileInvalid",
    "dockerfile parse error line 2: Unknown flag: nonsense": "DockerfileInvalid",
    "dockerfile parse error line 2: ENV requires at least one argument": "DockerfileInvalid",
    "dockerfile parse error line 2: SHELL requires the arguments to be in JSON form": "DockerfileInvalid",
    "dockerfile parse error line 1: FROM requires either one or three arguments": "DockerfileInvalid",
    "failed to parse Dockerfile: ENV must have two arguments": "DockerfileInvalid",
    "failed to parse Dockerfile: file with no instructions": "DockerfileInvalid",
    "the Dockerfile (Dockerfile) cannot be empty": "DockerfileInvalid",
    "no build stage in current context": "DockerfileInvalid",
    "failed to reach build target nostage in Dockerfile": "DockerfileInvalid",
    "Cannot locate specified Dockerfile: Dockerfile": "DockerfileInvalid",
    "failed to process \"${x#y}\": missing ':' in substitution": "DockerfileInvalid",
    'failed to process "\\"x": unexpected end of statement while looking': "DockerfileInvalid",
    'failed to parse platform : "" is an invalid component of "": platform specifier component': "DockerfileInvalid",
    "base name ($BASE) should not be blank": "DockerfileInvalid",
    "invalid reference format: repository name must be lowercase": "DockerfileInvalid",
    "Invalid containerPort: abc": "DockerfileInvalid",
    "Invalid signal: SIGFOO": "DockerfileInvalid",
    "COPY failed: forbidden path outside the build context: ../a ()": "DockerfileInvalid",
    "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist": (
        "DockerfileInvalid"
    ),
    "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn": "BuildKitNeeded",
    "the --chmod option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn": "BuildKitNeeded",
    "dockerfile parse error line 2: Unknown flag: link": "BuildKitNeeded",
    "dockerfile parse error line 2: Unknown flag: parents": "BuildKitNeeded",
    "dockerfile parse error line 2: Unknown flag: network": "BuildKitNeeded",
}
PASSING = [
    "The command '/bin/sh -c make' returned a non-zero code: 2",
    "The command '/bin/sh -c echo unknown instruction; false' returned a non-zero code: 1",
    "The command '/bin/sh -c mount --mount || grep \"Unknown flag: link\"' returned a non-zero code: 32",
    'building at STEP "RUN echo unknown instruction": while running runtime: exit status 1',
    'Get "https://registry.example.org/v2/": dial tcp: lookup registry.example.org: no such host',
    'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    "toomanyrequests: You have reached your pull rate limit",
    "manifest for debian:nosuchtag not found: manifest unknown: manifest unknown",
    "write /var/lib/docker/tmp/x: no space left on device",
    "error creating overlay mount: invalid argument",
    "context canceled",
]


ONLY = "FROM x\nRUN --mount=type=cache,target=/c make\nCOPY --link --chmod=1 --parents a /a\nRUN --network=none make\n"


@pytest.mark.parametrize("said", LASTING)
def test_what_a_person_has_to_change(said: str) -> None:
    fault = fault_of(said, ONLY)
    assert fault is not None
    assert fault.reason == LASTING[said]
    if fault.reason == "BuildKitNeeded":
        assert "use Podman 5 or later (docs/images.md)" in fault.remedy


@pytest.mark.parametrize("said", PASSING)
def test_what_may_pass_by_itself(said: str) -> None:
    assert fault_of(said, "FROM x\nRUN --mount=type=cache,target=/c make\n") is None


def test_an_unknown_instruction_behind_a_heredoc_is_the_heredoc_s() -> None:
    said = "dockerfile parse error line 3: unknown instruction: ECHO"
    fault = fault_of(said, HEREDOC)
    assert fault is not None
    assert (fault.reason, "In line 2, a heredoc (<<E) needs BuildKit" in fault.remedy) == ("BuildKitNeeded", True)
    plain = fault_of(said, "FROM x\nRUN cat <<E\nECHO hi\n")
    assert plain is not None
    assert plain.reason == "DockerfileInvalid"


def test_what_a_program_prints_is_never_taken_for_the_engine_s_word() -> None:
    """The last lines of a build stand in its error: they decide nothing."""
    follower = Follower(name="box", dockerfile="FROM x\nRUN --mount=a y\n", log=io.StringIO(), say=lambda line: None)
    printed = {"stream": "unknown instruction: x\nthe --mount option requires BuildKit\nno such host\n"}
    with pytest.raises(TransientError, match="requires BuildKit") as passing:
        follower.follow([printed, {"error": "The command '/bin/sh -c y' returned a non-zero code: 1"}])
    assert passing.value.reason == "BuildFailed"
    with pytest.raises(StalledError, match="Instead: leave it out: layers are kept") as lasting:
        follower.follow([printed, {"error": "the --mount option requires BuildKit."}])
    assert lasting.value.reason == "BuildKitNeeded"
