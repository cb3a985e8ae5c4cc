"""What in a Dockerfile only BuildKit understands, by its text alone."""

from __future__ import annotations

import pytest

from controller.specs.dockerfiles import buildkit_only
from tests.unit.specs.trees import desired, headlines

ONLY = {
    "RUN --mount=type=cache,target=/c make": [(2, "RUN --mount")],
    "RUN --mount=type=bind,source=a,target=/a --mount=type=secret,id=x make": [(2, "RUN --mount")] * 2,
    "run --network=none make": [(2, "RUN --network")],
    "RUN \\\n  --mount=type=cache,target=/c \\\n  make": [(2, "RUN --mount")],
    "COPY --link --chmod=755 a /a": [(2, "COPY --link"), (2, "COPY --chmod")],
    "COPY --from=x --link a /a": [(2, "COPY --link")],
    "ADD --checksum=sha256:0 https://x/y /y": [(2, "ADD --checksum")],
    "ONBUILD RUN --mount=type=cache,target=/c make": [(2, "RUN --mount")],
    "HEALTHCHECK --start-interval=5s CMD x": [(2, "HEALTHCHECK --start-interval")],
    "RUN <<E\necho hi\nE": [(2, "a heredoc (<<E)")],
    "RUN <<-'EOF' bash\n\tset -e\n\tEOF\nRUN --mount=type=cache,target=/c true": [
        (2, "a heredoc (<<EOF)"),
        (5, "RUN --mount"),
    ],
    'COPY <<A <<"B" /x/\na\nRUN --mount=x y\nA\nb\nB\nRUN true': [(2, "a heredoc (<<A)")],
}
NONE = [
    "RUN make --mount=x",
    "RUN echo --link <<< x",
    "RUN cat <<E",
    "RUN python3 -c 'print(1 << 3)'",
    "RUN test $((1<<E)) -gt 0",
    "# RUN --mount=type=cache,target=/c make",
    "COPY --from=x --chown=1:1 a /a",
    "RUN --nonsense x",
    "ENV X=<<E\nRUN true",
    "FROM --platform=linux/amd64 x",
]


@pytest.mark.parametrize("text", ONLY)
def test_what_only_buildkit_understands(text: str) -> None:
    found = list(buildkit_only(f"FROM x\n{text}\n"))
    assert [(each.line, each.what) for each in found] == ONLY[text]
    assert all(each.remedy for each in found)


@pytest.mark.parametrize("text", NONE)
def test_what_every_builder_understands(text: str) -> None:
    assert list(buildkit_only(f"# syntax=docker/dockerfile:1\nFROM x\n{text}\n")) == []


def test_validate_warns_of_it_before_any_build() -> None:
    """At the context, with the line of the Dockerfile; the image is valid, since another engine may build it."""
    spec = "kind: Image\nname: x\nbuild: {context: img}\n"
    result = desired({"a.yaml": spec, "img/Dockerfile": "FROM x\nRUN --mount=type=cache,target=/c make\n"})
    assert headlines(result) == []
    (warning,) = result.warnings
    assert (warning.path, warning.line) == ("a.yaml", 3)
    assert warning.message.endswith("understand: RUN --mount (line 2)")
    assert "leave it out" in warning.remedy
    assert result.images["x"].notice == warning.message
    fine = desired({"a.yaml": spec, "img/Dockerfile": "# syntax=docker/dockerfile:1\nFROM x\nRUN make\n"})
    assert (fine.warnings, fine.images["x"].notice) == ((), "")
