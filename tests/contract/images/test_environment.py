"""An image's environment in a SIF, by the real Apptainer: what does not arrive is found when the SIF is made."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
import tarfile
import uuid
from collections.abc import Iterator

import pytest

from controller.containers import sif
from controller.containers.oci import write_archive
from tests.conftest import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]
RECIPE = """
FROM debian:trixie-slim AS all
RUN mkdir -p /tiny/bin /tiny/dev /tiny/etc /tiny/proc /tiny/sys /tiny/tmp /tiny/var/tmp \\
 && cp /bin/true /bin/cat /tiny/bin/ \\
 && cp --parents -L $(ldd /bin/true /bin/cat | grep -o '/[^ ]*[^: ]' | sort -u) /tiny/
FROM scratch
COPY --from=all /tiny/ /
"""
SURVIVES = {
    "APOSTROPHE": "it's",
    "EMPTY": "",
    "EQUALS": "a=b=c",
    "BLANKS": "  two  ",
    "ALPHABETS": "\u00fc\u00f1\u00ed \u2192 \U0001f600",
    "SIGNS": "a;b&c|d<e>f(g)[h]{i}*?!#%s~",
    "CONDA": "/opt/conda/bin:/usr/bin",
    "NVIDIA_REQUIRE_CUDA": "cuda>=12.4 brand=tesla,driver>=470,driver<471",
    "LONG": "x" * 5000,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PS1": "\\u@\\h:\\w\\$ ",
    "LD_LIBRARY_PATH": "/opt/lib:/opt/lib64",
}
LOST = {
    "backquote": "$HOME `id`",
    "half a look-up": "${oops",
    "dollar": "$5",
    "command": "$(id)",
    "double quotes": 'say "hi"',
    "backslash": "a\\b",
    "line break": "a\nb",
    "tab": "a\tb",
    "ends in a backslash": "a\\",
}


@pytest.fixture(scope="module")
def saved(engine: None) -> Iterator[bytes]:
    """A tiny image as the engine saves it."""
    name = f"controller-test/environment-{uuid.uuid4().hex}"
    subprocess.run(["docker", "build", "-q", "-t", name, "-"], input=RECIPE.encode(), timeout=300, check=True)
    yield subprocess.run(["docker", "save", name], capture_output=True, timeout=120, check=True).stdout
    subprocess.run(["docker", "rmi", name], timeout=60, check=True)


def with_environment(saved: bytes, env: dict[str, str]) -> bytes:
    """Return the OCI archive of a saved image with another environment."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as tar:
        contents = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        files = {name: file.read() for name, file in contents.items() if file is not None}
    [manifest] = json.loads(files["manifest.json"])
    config = json.loads(files[manifest["Config"]])
    config["config"]["Env"] = [f"{name}={value}" for name, value in env.items()]
    changed = json.dumps(config).encode()
    name = f"{hashlib.sha256(changed).hexdigest()}.json"
    entry = {"Config": name, "RepoTags": manifest["RepoTags"], "Layers": manifest["Layers"]}
    kept = {layer: files[layer] for layer in manifest["Layers"]}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in (kept | {name: changed, "manifest.json": json.dumps([entry]).encode()}).items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    target = io.BytesIO()
    write_archive([buffer.getvalue()], target)
    return target.getvalue()


def converted(sandbox: Sandbox, archive: bytes, before: str = ":") -> tuple[int, str, dict[str, str]]:
    """Convert and check on the cluster; return the exit code, what was said, and what a container sees in fact."""
    place = f"/tmp/environment-{uuid.uuid4().hex}"
    build, check = sif.build_command("", "apptainer", sif.ARCHIVE), sif.check_command("", "apptainer")
    script = f"""
mkdir {place} && cd {place} && cat >image.tar && archive=$PWD/image.tar sif=$PWD/image.sif way=
({build}) >build.out 2>&1 || {{ cat build.out; exit 9; }}
({before}; {check}) >said 2>/dev/null
code=$?
apptainer exec --cleanenv --no-home image.sif cat /proc/self/environ >environ 2>/dev/null
printf '%s\\0' "$code" "$(cat said)"; cat environ
cd / && rm -rf {place}
"""
    argv = ["ssh", "-F", str(sandbox.ssh_config), "sandbox", f"bash -uc {_quoted(script)}"]
    done = subprocess.run(argv, input=archive, capture_output=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    code, said, *pairs = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return int(code), said, dict(pair.partition("=")[::2] for pair in pairs if pair)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_what_survives_is_not_refused(sandbox: Sandbox, saved: bytes) -> None:
    """Unusual values as they stand in real images; what a site adds to every container is not taken for a change."""
    archive = with_environment(saved, {"PATH": "/opt/x:/usr/bin:/bin", **SURVIVES})
    code, said, _ = converted(sandbox, archive, before="export APPTAINERENV_CONDA=other SINGULARITYENV_EMPTY=x")
    assert (code, said) == (0, "")


def test_the_example(sandbox: Sandbox, saved: bytes) -> None:
    """One backquote takes all with it: each is named, and the one whose fault it is."""
    env = {"PATH": "/usr/bin:/bin", "A": 'say "hi"', "B": "$HOME `id`", "C": "x"}
    code, said, seen = converted(sandbox, with_environment(saved, env))
    assert code == 1
    assert not seen.keys() & {"A", "B", "C"}
    assert said.startswith("environment-lost the environment that the image gives does not reach a container")
    assert "gone are A, B, C; changed are PATH; what cannot be carried over is in A, B." in said
    assert "reached EOF without closing quote" in said


@pytest.mark.parametrize("what", LOST)
def test_what_does_not_survive_is_named(sandbox: Sandbox, saved: bytes, what: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "FINE": "x", "BAD": LOST[what]}
    code, said, seen = converted(sandbox, with_environment(saved, env))
    assert seen.get("BAD") != LOST[what], "Apptainer can carry it now: move it to SURVIVES"
    assert code == 1
    assert "BAD" in said.partition("what cannot")[0]
    assert "what cannot be carried over is in BAD." in said


@pytest.mark.parametrize("seed", range(5))
def test_any_values(sandbox: Sandbox, saved: bytes, seed: int) -> None:
    """It is refused if, and only if, a container sees something else than the image gives; those are named."""
    chance = random.Random(f"values {seed}")
    signs = "abc =:/'#%{}~\u00e9\u2192" * 8 + '"\\$`\n\t'
    env = {f"V{number}": "".join(chance.choices(signs, k=chance.randrange(30))) for number in range(9)}
    code, said, seen = converted(sandbox, with_environment(saved, env))
    wrong = [name for name, value in env.items() if seen.get(name) != value]
    assert code == (1 if wrong else 0), (env, said)
    named = said.partition("what cannot")[0].replace(",", " ").replace(";", " ").split()
    assert [name for name in env if name in named] == wrong


def test_a_name_that_no_shell_takes(sandbox: Sandbox, saved: bytes) -> None:
    env = {"PATH": "/usr/bin:/bin", "A": "1", "my-var": "2"}
    code, said, _ = converted(sandbox, with_environment(saved, env))
    assert (code, "gone are my-var; what cannot be carried over is in my-var." in said) == (1, True)
