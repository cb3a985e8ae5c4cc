"""Where and from what a SIF is made: in a job, on the controller's machine, from a registry; and what can go wrong."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REGISTRY_USER, Sandbox
from tests.e2e.conftest import SESSION, MakeProject
from tests.e2e.harness import Project, documents, job, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.docker]
Slurm = Callable[..., dict[str, Any]]
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
RECIPE = """
FROM debian:trixie-slim AS all
RUN mkdir -p /tiny/bin /tiny/dev /tiny/etc /tiny/proc /tiny/sys /tiny/tmp /tiny/var/tmp \\
 && cp /bin/bash /bin/sh /bin/true /bin/cat /bin/ls /tiny/bin/ \\
 && cp --parents -L $(ldd /bin/bash /bin/sh /bin/true /bin/cat /bin/ls | grep -o '/[^ ]*[^: ]' | sort -u) /tiny/
FROM scratch
COPY --from=all /tiny/ /
COPY word /word
"""
"""A shell and nothing else: two megabytes, converted in a second."""
ZSTD = 6
"""Its number in squashfs."""


def image(**fields: Any) -> dict[str, Any]:
    """Return the spec of an image that is built from the repository."""
    return {"kind": "Image", "name": f"tiny-{SESSION}", "build": {"context": "image"}, **fields}


def reads(command: str = "cat /word", name: str = "says", **fields: Any) -> dict[str, Any]:
    """Return the spec of a job in that image."""
    return job(name, command, cluster="hpc", image=f"tiny-{SESSION}", **fields)


def commit(project: Project, *specs: dict[str, Any], word: str) -> None:
    """Push specs, with a context that no other image has."""
    project.commit({"specs.yaml": documents(*specs), "image/Dockerfile": RECIPE, "image/word": f"{word}-{SESSION}\n"})


def identity(project: Project) -> str:
    """Return the identity of the project's image."""
    return str(project.resource("Image", f"tiny-{SESSION}")["digest"])


def left_in_images(sandbox: Sandbox, cluster: dict[str, Any], name: str) -> list[str]:
    """Return what is left on the cluster of an image, locks aside."""
    listed = sandbox.ssh(f"ls -A {cluster['workdir']}/images").split()
    return sorted(each for each in listed if name in each and not each.startswith(".lock"))


def compression(sandbox: Sandbox, path: str) -> int:
    """Return the number of the compression that the file system in a SIF says it has: squashfs, bytes 20 and 21."""
    [start] = sandbox.ssh(f"grep -abo -m 1 hsqs {path} | head -n 1 | cut -d: -f1").split()
    return int(sandbox.ssh(f"od -An -t u2 -j {int(start) + 20} -N 2 {path}"))


@pytest.fixture(scope="module")
def program(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an ``apptainer`` that is the sandbox's own: files are carried in and out for it."""
    directory = tmp_path_factory.mktemp("bin")
    (directory / "apptainer").write_text(
        f"""#!/bin/bash
set -e
inside() {{ docker exec --user {sandbox.user} --workdir /tmp {sandbox.container} "$@"; }}
if [ "$1" != build ] || [ "$2" = --help ]; then inside apptainer "$@"; exit; fi
place=$(inside mktemp -d /tmp/convert-XXXXXX)
trap 'inside rm -rf "$place"' EXIT
words=("$@")
source=${{words[-1]}} target=${{words[-2]}}
case $source in
  oci-archive:*)
    docker cp "${{source#oci-archive:}}" "{sandbox.container}:$place/image.tar" >/dev/null
    docker exec {sandbox.container} chmod 644 "$place/image.tar"
    source=oci-archive:$place/image.tar ;;
esac
inside apptainer "${{words[@]:0:${{#words[@]}}-2}}" "$place/image.sif" "$source"
docker cp "{sandbox.container}:$place/image.sif" "$target" >/dev/null
"""
    )
    (directory / "apptainer").chmod(0o755)
    return directory


@pytest.mark.parametrize("scheduler", ["slurm", "local"])
def test_a_job_converts(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None, scheduler: str) -> None:
    """The conversion is a job of its own: passes go on meanwhile and say what it waits for; then the run follows."""
    cluster = slurm(containers="apptainer", convert_on="job", scheduler=scheduler)
    if scheduler == "local":
        cluster["defaults"] = {"time": "10m"}
    commit(project, cluster, image(), reads(), word=f"job-{scheduler}")
    plan = project.controller("plan", "-o", "json").json
    assert [action["kind"] for action in plan["actions"]] == ["build", "publish"]
    assert "in a job on cluster hpc" in plan["actions"][1]["what"]
    project.one_pass()
    task = project.task("says")
    assert (task["state"], task["reason"]) == ("Waiting", "Converting"), task
    assert project.condition("Image", f"tiny-{SESSION}", "Ready")[:2] == ("False", "Converting")
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"job-{scheduler}-{SESSION}\n"
    name = f"{project.instance}-sif{identity(project)[:12]}"
    if scheduler == "slurm":
        assert [each.state for each in sandbox.jobs(project.instance) if each.name == name] == ["COMPLETED"]
    assert left_in_images(sandbox, cluster, identity(project)) == [
        f"{identity(project)}.sha256",
        f"{identity(project)}.sif",
    ]
    assert sandbox.ssh(f"find {cluster['workdir']}/cache -type f") == ""
    assert compression(sandbox, f"{cluster['workdir']}/images/{identity(project)}.sif") == ZSTD
    assert project.planned() == []


def test_a_conversion_that_waits_in_the_queue_says_so(
    project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None
) -> None:
    """SLURM's own word about the job is in the status; cancelled by hand it is told of, and tried again."""
    held = slurm(containers="apptainer", convert_on="job")
    held["defaults"]["extra"] = ["--hold"]
    commit(project, held, image(), reads(), word="held")
    project.one_pass()

    def waits() -> Any:
        project.one_pass()
        message = str(project.task("says")["message"])
        return "PENDING (JobHeldUser)" in message and message

    message = wait_for("SLURM says that it is held", waits)
    assert project.task("says")["reason"] == "Converting"
    assert project.planned() == []
    name = f"{project.instance}-sif"
    (listed,) = [line for line in sandbox.ssh("squeue -h -o '%A %j'").splitlines() if name in line]
    assert listed.split()[0] in message
    sandbox.ssh(f"scancel {listed.split()[0]}")

    def lost() -> bool:
        project.controller("reconcile", "--once")
        return bool(project.task("says")["reason"] == "ConversionLost")

    wait_for("the loss is noticed", lost)
    assert "CANCELLED" in project.task("says")["message"]
    assert left_in_images(sandbox, held, identity(project)) == []


def test_a_failed_conversion_tells_why(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """What the program said in the job is in the status, and what was begun is cleared away."""
    broken = '[ "$1 $2" = "build --help" ] || { echo "no such layer" >&2; exit 3; }'
    programs = f"{sandbox.scratch}/e2e-{SESSION}-programs"
    sandbox.ssh(
        f"mkdir -p {programs}; printf '#!/bin/sh\\n%s\\n' '{broken}' >{programs}/apptainer; chmod +x {programs}/*"
    )
    cluster = slurm(containers="apptainer", convert_on="job", setup=f"PATH={programs}:$PATH")
    commit(project, cluster, image(), reads(), word="broken")

    def failed() -> bool:
        project.controller("reconcile", "--once")
        return bool(project.task("says")["reason"] == "ConversionFailed")

    wait_for("the failure is told of", failed)
    assert "no such layer" in project.task("says")["message"]
    assert "no such layer" in project.condition("Image", f"tiny-{SESSION}", "Ready")[2]
    left = left_in_images(sandbox, cluster, identity(project))
    assert left == []
    commit(project, slurm(containers="apptainer", convert_on="job"), image(), reads(), word="broken")
    project.settle()
    assert project.state("says") == "Succeeded"


def test_the_controller_converts(
    project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None, program: Path
) -> None:
    """Made by the program on the controller's machine, uploaded, checked there; without one it says so."""
    cluster = slurm(containers="apptainer", convert_on="controller")
    commit(project, cluster, image(), reads(), word="here")
    ran = project.controller("reconcile", "--once", expect=1)
    assert "ContainerProgramMissing" in ran.err
    assert "saving the image" not in ran.err
    assert "on the controller's own machine" in project.task("says")["message"]
    commit(project, {**cluster, "setup": ":"}, image(), reads(), word="here")
    path = {"PATH": f"{program}:{os.environ['PATH']}"}
    project.controller("reconcile", "--wait", "--timeout", "4m", env=path, expect=0)
    assert project.controller("logs", "says", expect=0).out == f"here-{SESSION}\n"
    assert left_in_images(sandbox, cluster, identity(project)) == [
        f"{identity(project)}.sha256",
        f"{identity(project)}.sif",
    ]
    assert list((project.state_dir / "publishing").iterdir()) == []


@pytest.mark.parametrize("way", ["login", "job", "controller", "registry", "from"])
def test_an_environment_that_a_sif_does_not_give(
    project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None, program: Path, way: str
) -> None:
    """By each way it is found before anything runs in the image: which variables, why, what to do; no SIF is left."""
    recipe = f"{RECIPE}ENV A=1 BAD='$HOME `id`'\nENV WAY={way}\n"
    cluster = slurm(containers="apptainer", convert_on=way if way in ("job", "controller") else "login")
    registry = f"{sandbox.registry}/lab/lost-{SESSION}"
    fields: dict[str, Any] = {"registry": registry} if way == "registry" else {}
    spec = image(**fields)
    context = {"image/Dockerfile": recipe, "image/word": f"{SESSION}\n"}
    if way == "from":
        project.commit(context)
        named = f"{registry}:from"
        built = ["docker", "build", "-q", "-t", named, str(project.clone / "image")]
        for argv in (built, ["docker", "push", "-q", named], ["docker", "image", "rm", named]):
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=300)
        spec = {"kind": "Image", "name": f"tiny-{SESSION}", "from": named}
    project.commit({"specs.yaml": documents(cluster, spec, reads())} | context)
    path = {"PATH": f"{program}:{os.environ['PATH']}"}

    def found() -> bool:
        project.controller("reconcile", "--once", env=path)
        return bool(project.task("says")["reason"] == "EnvironmentLost")

    wait_for("the loss is found", found)
    message = project.task("says")["message"]
    assert "gone are A, BAD, WAY; what cannot be carried over is in BAD." in message
    assert "Change ENV in the Dockerfile" in message
    assert project.condition("Image", f"tiny-{SESSION}", "Stalled")[:2] == ("True", "EnvironmentLost")
    assert left_in_images(sandbox, cluster, identity(project)) == []
    assert project.planned(path) == []


@pytest.mark.parametrize("place", ["login", "job"])
def test_a_registry_in_between(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None, place: str) -> None:
    """The image is pushed, and the cluster pulls it by digest; nothing is uploaded."""
    cluster = slurm(containers="apptainer", convert_on=place)
    registry = f"{sandbox.registry}/lab/tiny-{SESSION}"
    commit(project, cluster, image(registry=registry), reads(), word=f"pushed-{place}")
    plan = project.controller("plan", "-o", "json").json
    assert f"push it to {registry}" in plan["actions"][1]["what"]
    project.settle()
    assert project.controller("logs", "says", expect=0).out == f"pushed-{place}-{SESSION}\n"
    inspected = sandbox.ssh(f"apptainer inspect {cluster['workdir']}/images/{identity(project)}.sif")
    assert f"{registry}@sha256:" in inspected


def test_a_registry_that_wants_a_log_in(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """Each side that is not let in says so and what to do; credentials are docker's and apptainer's own."""
    cluster = slurm(containers="apptainer")
    registry = f"{sandbox.private_registry}/lab/tiny-{SESSION}"
    commit(project, cluster, image(registry=registry), reads(), word="private")
    project.controller("reconcile", "--once", expect=1)
    task = project.task("says")
    assert task["reason"] == "RegistryUnauthorized"
    assert f"docker login {sandbox.private_registry}" in task["message"]

    login = json.dumps(
        {"auths": {sandbox.private_registry: {"auth": base64.b64encode(REGISTRY_USER.encode()).decode()}}}
    )
    (project.directory / "home" / ".docker").mkdir()
    (project.directory / "home" / ".docker" / "config.json").write_text(login)
    commit(project, {**cluster, "setup": "true"}, image(registry=registry), reads(), word="private")
    project.controller("reconcile", "--once", expect=1)
    task = project.task("says")
    assert task["reason"] == "RegistryUnauthorized"
    assert "log in there once with 'apptainer registry login'" in task["message"]

    sandbox.ssh(f"mkdir -p ~/.apptainer && cat >~/.apptainer/docker-config.json <<'END'\n{login}\nEND")
    try:
        commit(project, {**cluster, "setup": ":"}, image(registry=registry), reads(), word="private")
        project.settle()
    finally:
        sandbox.ssh("rm -f ~/.apptainer/docker-config.json")
    assert project.state("says") == "Succeeded"


@pytest.fixture(scope="module")
def pushed(sandbox: Sandbox, engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that somebody has put into the registry."""
    name = f"{sandbox.registry}/others/shell-{SESSION}:1"
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(RECIPE)
    (context / "word").write_text(f"others-{SESSION}\n")
    for argv in (["build", "-q", "-t", name, str(context)], ["push", "-q", name]):
        subprocess.run(["docker", *argv], check=True, stdout=subprocess.DEVNULL, timeout=300)
    yield name
    subprocess.run(["docker", "image", "rm", name], stdout=subprocess.DEVNULL, timeout=60)


def test_an_image_that_exists_needs_no_engine(project: Project, slurm: Slurm, pushed: str) -> None:
    """``from:`` is pulled by the cluster; no Docker Engine has any part in it."""
    spec = {"kind": "Image", "name": f"tiny-{SESSION}", "from": pushed}
    project.commit({"specs.yaml": documents(slurm(containers="apptainer"), spec, reads())})
    assert project.planned(NO_ENGINE) == ["publish", "submit"]
    project.controller("reconcile", "--wait", "--timeout", "3m", env=NO_ENGINE, expect=0)
    assert project.controller("logs", "says", expect=0).out == f"others-{SESSION}\n"


def test_a_sif_that_is_there_already(make_project: MakeProject, slurm: Slurm, sandbox: Sandbox, pushed: str) -> None:
    """``sif:`` is used where it is; missing it is waited for, and with another hash nothing runs."""
    project = make_project("ready")
    place = f"{sandbox.scratch}/e2e-{SESSION}-ready.sif"
    spec = {"kind": "Image", "name": f"tiny-{SESSION}", "sif": f"$SCRATCH/e2e-{SESSION}-ready.sif"}
    project.commit({"specs.yaml": documents(slurm(containers="apptainer"), spec, reads())})
    project.one_pass()
    task = project.task("says")
    assert (task["state"], task["reason"]) == ("Waiting", "ImageMissing")
    assert place in task["message"]
    sandbox.ssh(f"apptainer build --no-https {place} docker://{pushed} >/dev/null 2>&1")
    try:
        project.settle()
        assert project.controller("logs", "says", expect=0).out == f"others-{SESSION}\n"
        sha256 = sandbox.ssh(f"sha256sum {place}").split()[0]
        pinned = {**spec, "sif": {"path": spec["sif"], "sha256": sha256}}
        project.commit({"specs.yaml": documents(slurm(containers="apptainer"), pinned, reads("cat /word; echo 2"))})
        project.settle()
        assert project.state("says") == "Succeeded"
        sandbox.ssh(f"truncate --size=+1 {place}")
        project.commit({"specs.yaml": documents(slurm(containers="apptainer"), pinned, reads("cat /word; echo 3"))})
        project.settle()
        task = project.task("says")
        assert (task["state"], task["reason"]) == ("Failed", "ImageChanged"), task
        assert project.controller("logs", "says", expect=0).out == "", "something was run"
    finally:
        sandbox.ssh(f"rm -f {place}")


def test_a_sif_that_was_changed_by_hand(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """Nothing runs in it; it is made again and the next attempt runs, as where it is gone when a run starts."""
    cluster = slurm(containers="apptainer")
    commit(project, cluster, image(), reads("cat /word; echo 1"), word="changed")
    project.settle()
    sif = f"{cluster['workdir']}/images/{identity(project)}.sif"
    sandbox.ssh(f"touch -d '2020-01-01' {sif}")
    commit(project, cluster, image(), reads("cat /word; echo 2"), word="changed")
    project.settle()
    assert (project.state("says"), project.task("says")["attempt"]) == ("Succeeded", 1), "only its time was changed"

    sandbox.ssh(f"printf x | dd of={sif} bs=1 seek=100000 conv=notrunc 2>/dev/null")
    commit(project, cluster, image(), reads("cat /word; echo 3"), word="changed")
    assert project.planned() == ["submit"]
    project.settle()
    assert (project.state("says"), project.task("says")["attempt"]) == ("Succeeded", 2)
    assert project.controller("logs", "says", expect=0).out == f"changed-{SESSION}\n3\n"
    first = f"{cluster['workdir']}/{project.instance}/control/says/*/1"
    assert "SHA-256" in sandbox.ssh(f"cat {first}/stderr")
    assert sandbox.ssh(f"grep -l changed- {first}/stdout | wc -l").strip() == "2", (
        "the attempt in between ran something"
    )
    assert left_in_images(sandbox, cluster, identity(project)) == [
        f"{identity(project)}.sha256",
        f"{identity(project)}.sif",
    ]

    # It goes away once between the look and the start of the run.
    once = f"{cluster['workdir']}/once"
    slow = slurm(containers="apptainer", setup=f"if [ ! -e {once} ]; then touch {once}; rm -f {sif}; fi")
    commit(project, slow, image(), reads("cat /word; echo 4"), word="changed")
    project.settle()
    assert (project.state("says"), project.task("says")["attempt"]) == ("Succeeded", 2)
    assert project.controller("logs", "says", expect=0).out == f"changed-{SESSION}\n4\n"


def test_an_image_in_use_does_not_grow_old(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """A submission renews its time stamps; its record follows, so that no run reads all of its bytes for that."""
    cluster = slurm(containers="apptainer")
    commit(project, cluster, image(), reads("cat /word; echo 1"), word="aged")
    project.settle()
    sif = f"{cluster['workdir']}/images/{identity(project)}.sif"
    record = sif.replace(".sif", ".sha256")
    aged = "1600000000"
    sandbox.ssh(f"touch -d @{aged} {sif} && sed -i '2s/ [0-9]* / {aged} /' {record} && touch -d @{aged} {record}")
    commit(project, cluster, image(), reads("cat /word; echo 2"), word="aged")
    project.settle()
    assert (project.state("says"), project.task("says")["attempt"]) == ("Succeeded", 1)
    assert sandbox.ssh(f"find {sif} {record} -mtime +1 -o -atime +1") == ""
    look = sandbox.ssh(f"stat -c '%s %Y %i' {sif}").strip()
    assert sandbox.ssh(f"cat {record}").splitlines()[1:] == [look]


def test_no_room_for_an_image(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """A full disk is told of with its figures, leaves nothing half-made, and is no matter once there is room."""
    small = f"{sandbox.scratch}/e2e-{SESSION}-small"
    cluster = slurm(containers="apptainer", workdir=small)
    as_root = ["docker", "exec", sandbox.container, "bash", "-c"]
    mount = f"mkdir -p {small} && mount -t tmpfs -o size=4m,mode=755,uid=$(id -u {sandbox.user}) tmpfs {small}"
    subprocess.run([*as_root, mount], check=True, timeout=60)
    try:
        commit(project, cluster, image(), reads(), word="small")
        project.controller("reconcile", "--once", expect=1)
        task = project.task("says")
        assert task["reason"] == "DiskFull", task
        assert small in task["message"]
        left = left_in_images(sandbox, cluster, ".")
        assert not [name for name in left if identity(project) in name or "upload" in name], left
        sandbox.ssh(f"rm -rf {small}/images; mkdir {small}/images; head -c 4M /dev/zero >{small}/fill || true")
        commit(project, {**cluster, "setup": "true"}, image(), reads(), word="small")
        project.controller("reconcile", "--once", expect=1)
        assert project.task("says")["reason"] == "DiskFull"
        subprocess.run([*as_root, f"mount -o remount,size=64m {small}; rm {small}/fill"], check=True, timeout=60)
        commit(project, {**cluster, "setup": ":"}, image(), reads(), word="small")
        project.settle()
        assert project.state("says") == "Succeeded"
    finally:
        subprocess.run([*as_root, f"umount -l {small}; rmdir {small}"], timeout=60)


def test_what_a_job_binds(project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None) -> None:
    """Directories of the cluster and of the job are in the container, a read-only one is not written to."""
    place = f"{sandbox.scratch}/e2e-{SESSION}-data"
    sandbox.ssh(f"mkdir -p {place}/one {place}/two; echo 1 >{place}/one/number; echo 2 >{place}/two/number")
    cluster = slurm(containers="apptainer", binds=[f"$SCRATCH/e2e-{SESSION}-data/one:/one"])
    command = "cat /one/number /two/number; echo x >/one/new; (echo x >/two/new) 2>/dev/null || echo refused"
    try:
        commit(project, cluster, image(), reads(command, binds=[f"{place}/two:/two:ro"]), word="binds")
        project.settle()
        assert project.controller("logs", "says", expect=0).out == "1\n2\nrefused\n"
        assert sandbox.ssh(f"ls {place}/one").split() == ["new", "number"]
    finally:
        sandbox.ssh(f"rm -rf {place}")


def test_a_cluster_without_a_container_program(
    project: Project, slurm: Slurm, sandbox: Sandbox, own_images: None
) -> None:
    """Nothing is built or uploaded; the modules that may bring one are named. Once one is there it is noticed."""
    hidden = f"{sandbox.scratch}/e2e-{SESSION}-module"
    setup = (
        f"[ -e {hidden} ] || PATH=/nowhere\n"
        "module() { printf '/modules:\\napptainer/1.3.4\\ngcc/12\\nsingularity-ce/4.1\\n' >&2; }"
    )
    commit(project, slurm(containers="apptainer", setup=setup), image(), reads(), word="hidden")
    assert project.planned() == []
    project.one_pass()
    task = project.task("says")
    assert (task["state"], task["reason"]) == ("Waiting", "ContainerProgramMissing")
    assert "apptainer/1.3.4 singularity-ce/4.1" in task["message"]
    assert "gcc" not in task["message"]
    sandbox.ssh(f"touch {hidden}")
    try:
        project.settle()
    finally:
        sandbox.ssh(f"rm -f {hidden}")
    assert project.state("says") == "Succeeded"
