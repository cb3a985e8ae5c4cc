"""``controller run``: a push announced by webhook, the pages of its port, and its end."""

from __future__ import annotations

import hmac
import json
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import Counted, Project, documents, job, wait_for

SECRET = "a secret of this test"


@dataclass
class Service:
    """A running service and its port."""

    process: subprocess.Popen[bytes]
    address: str

    def get(self, page: str) -> tuple[int, str]:
        """Return status and text of a page."""
        return self._ask(urllib.request.Request(f"http://{self.address}{page}"))

    def push(self, body: dict[str, str], secret: str = SECRET) -> int:
        """Announce a push as a Git host does; return the status of the answer."""
        data = json.dumps(body).encode()
        signature = hmac.new(secret.encode(), data, "sha256").hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": "push"}
        return self._ask(urllib.request.Request(f"http://{self.address}/webhook", data, headers))[0]

    def _ask(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def service(project: Project) -> Service:
    """A service with nothing to do, whose next tick is far away."""
    project.commit({"specs.yaml": documents(project.here())})
    secret = project.directory / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    project.configure(interval="6h", http={"listen": "127.0.0.1:0", "webhook_secret_file": str(secret)})
    process = project.start("run", "--log-format", "json")

    def address() -> str:
        events = [json.loads(line) for line in project.said().splitlines()]
        return next((event["address"] for event in events if event["event"] == "http_listening"), "")

    started = Service(process, wait_for("the port", address))
    wait_for("the first pass", lambda: started.get("/readyz")[0] == 200)
    return started


def test_a_signed_push_leads_to_a_pass(service: Service, project: Project, tmp_path: Path) -> None:
    """A push announced with the right secret is acted on at once; with a wrong one it is refused."""
    command = Counted(tmp_path)
    command.release()
    assert service.push({"ref": "refs/heads/main"}, secret="guessed") == 401
    project.commit({"specs.yaml": documents(project.here(), job("pushed", command.command))})
    assert service.push({"ref": "refs/heads/main"}) == 202
    wait_for("the job is done", lambda: "Job/pushed" in project.names() and project.state("pushed") == "Succeeded")
    status, text = service.get("/healthz")
    assert (status, json.loads(text)["status"]) == (200, "ok")
    status, metrics = service.get("/metrics")
    assert status == 200
    assert 'controller_webhooks_total{result="accepted"} 1.0' in metrics
    assert 'controller_webhooks_total{result="unauthorized"} 1.0' in metrics
    assert "controller_last_pass_timestamp_seconds" in metrics
    assert len(command.lines) == 1
    assert SECRET not in project.said()


@pytest.mark.docker
def test_a_long_build_keeps_no_other_job_from_running(service: Service, project: Project, tmp_path: Path) -> None:
    """While an image is being built, the service's passes go on: what is pushed meanwhile is submitted and told of."""
    slow = {"kind": "Image", "name": "slow", "build": {"context": "slow"}}
    dockerfile = "FROM debian:trixie-slim\nRUN sleep 600\n"
    project.commit({"specs.yaml": documents(project.here(), slow), "slow/Dockerfile": dockerfile})
    assert service.push({"ref": "refs/heads/main"}) == 202
    wait_for(
        "it is being built",
        lambda: "Image/slow" in project.names() and project.condition("Image", "slow", "Ready")[1] == "Building",
    )
    command = Counted(tmp_path)
    command.release()
    project.commit({"specs.yaml": documents(project.here(), slow, job("quick", command.command))})
    assert service.push({"ref": "refs/heads/main"}) == 202
    wait_for("the job is done", lambda: "Job/quick" in project.names() and project.state("quick") == "Succeeded")
    assert (len(command.lines), project.condition("Image", "slow", "Ready")[1]) == (1, "Building")


@pytest.mark.docker
def test_sigterm_leaves_a_long_build(service: Service, project: Project, own_images: None, session_name: str) -> None:
    """The service ends well within its time, and the engine ends the build that nobody waits for any more."""
    image = {"kind": "Image", "name": "slow", "build": {"context": "slow"}}
    steps = f"FROM debian:trixie-slim\nRUN sleep 600 && echo {session_name}\n"
    project.commit({"specs.yaml": documents(project.here(), image), "slow/Dockerfile": steps})
    assert service.push({"ref": "refs/heads/main"}) == 202

    def steps_running() -> list[str]:
        said = subprocess.run(["docker", "ps", "--no-trunc"], capture_output=True, text=True, timeout=60).stdout
        return [line for line in said.splitlines() if f"sleep 600 && echo {session_name}" in line]

    wait_for("it is being built", steps_running)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    wait_for("the engine has ended it", lambda: not steps_running())


@pytest.mark.docker
def test_a_long_test_goes_on_beside_the_passes(service: Service, project: Project, own_images: None) -> None:
    """While an image is being tested its status says so; asked to end, the service takes the container along."""
    slow = {"kind": "Image", "name": "slow", "build": {"context": "slow"}}
    slow["test"] = {"run_command": "echo begun; sleep 600", "required": True}
    project.commit({"specs.yaml": documents(project.here(), slow), "slow/Dockerfile": "FROM debian:trixie-slim\n"})
    assert service.push({"ref": "refs/heads/main"}) == 202
    wait_for(
        "it is being tested",
        lambda: "Image/slow" in project.names() and project.condition("Image", "slow", "Ready")[1] == "TestRunning",
    )
    mine = ["--filter", "label=controller.trial", "--filter", f"label=controller.instance={project.instance}"]

    def containers() -> list[str]:
        return subprocess.run(["docker", "ps", "-aq", *mine], capture_output=True, text=True, timeout=60).stdout.split()

    wait_for("its container runs", containers)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert containers() == []


def test_sigterm_ends_the_service_and_not_its_jobs(service: Service, project: Project, counted: Counted) -> None:
    """SIGTERM ends the service with 0 while the job goes on; the next pass finds it."""
    project.commit({"specs.yaml": documents(project.here(), job("long", counted.command))})
    assert service.push({"ref": "refs/heads/main"}) == 202
    wait_for("the job runs", counted.alive)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert counted.alive()
    project.passes_until("it is found", lambda: project.state("long") == "Running")
    counted.release()
    project.settle()
    assert (project.state("long"), len(counted.lines)) == ("Succeeded", 1)
