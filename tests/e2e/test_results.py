"""Metrics that programs really write: large files, odd ones, and what is said where one cannot be read."""

from __future__ import annotations

from tests.e2e.harness import Project, condition, documents, job

BIG = """python3 -c "
import json
json.dump({'steps': ['x' * 40] * 2000, 'final': {'loss': 0.5}}, open('big.json', 'w'))
open('huge.json', 'w').write('[' + '1,' * 1000000 + '1]')
open('bom.json', 'wb').write(b'\\xef\\xbb\\xbf' + b'{\\"eval.loss\\": 3}')
open('lines.json', 'w').write('{}\\n{}\\n')
" """
METRICS = {
    "loss": {"json": "big.json", "path": "final.loss"},
    "dotted": {"json": "bom.json", "path": "eval.loss"},
    "huge": {"json": "huge.json", "path": "0"},
    "lines": {"json": "lines.json", "path": "loss"},
    "absent": {"json": "absent.json", "path": "loss"},
}


def test_each_metric_is_read_or_says_why_not(project: Project) -> None:
    """A file of 80 kB is read, in a later pass; the others say why not, on the job and to what needs them."""
    reads = job("reads", "printf %s ${{ needs.big.results.loss }}", needs=["big"])
    lacks = job("lacks", "printf %s ${{ needs.big.results.huge }}", needs=["big"])
    big = job("big", BIG, results={"metrics": METRICS})
    project.commit({"specs.yaml": documents(project.here(), big, reads, lacks)})
    project.settle()
    task = project.task("big")
    assert task["state"] == "Succeeded"
    assert task["results"] == {"loss": "0.5", "dotted": "3"}
    reasons = {name: said.partition(":")[0] for name, said in task["result_faults"].items()}
    assert reasons == {"huge": "TooLarge", "lines": "JsonLines", "absent": "FileMissing"}
    assert project.controller("logs", "reads", expect=0).out == "0.5"

    status, reason, message = condition(project.resource("Job", "big"), "Ready")
    assert (status, reason) == ("True", "Succeeded")
    assert "the result absent of big cannot be read: FileMissing: there is no file absent.json" in message
    waits = project.task("lacks")
    assert (waits["state"], waits["reason"]) == ("Waiting", "ResultMissing")
    assert "TooLarge: huge.json has 2000003 bytes" in waits["message"]
    assert "controller rerun big" in waits["message"]
    assert project.condition("Job", "lacks", "Stalled")[:2] == ("True", "ResultMissing")
    told = project.controller("status", "big", expect=0).out
    assert "(TooLarge)" in told
    assert "big: the result lines cannot be read: JsonLines" in told
    assert project.one_pass()["status_commit"] is None
