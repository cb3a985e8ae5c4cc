"""Malformed sweeps, needs and workflows and what is said of them, as in ``bad_inputs``."""

from __future__ import annotations

from tests.unit.specs.bad_inputs import command, job

SWEEP = """\
---
kind: Job
name: sweep
cluster: good
command: x ${{ matrix.a }}
matrix: {a: [1, 2]}
results: {metrics: {loss: {json: m.json}}}
"""
WORKFLOW = "---\nkind: Workflow\nname: w\ncluster: good\nsteps: {a: {command: x}}\n"


def matrix(text: str) -> str:
    return command("echo ${{ matrix.lr }}") + f"matrix: {text}\n"


def needing(needs: str, text: str = "x") -> str:
    return f"kind: Job\nname: bad\ncluster: good\nneeds: {needs}\ncommand: {text}\n"


def other(name: str, fields: str) -> str:
    return f"---\nkind: Job\nname: {name}\ncluster: good\ncommand: x\n{fields}\n"


def steps(text: str, extra: str = "") -> str:
    return f"kind: Workflow\nname: bad\ncluster: good\n{extra}steps:\n{text}\n"


INPUTS: dict[str, tuple[bytes | str, list[str]]] = {
    "matrix is a list": (job("matrix: [lr]"), ['5:9: "matrix" must be a mapping, not a list']),
    "empty matrix": (job("matrix: {}"), ['5:9: "matrix" must have at least one axis']),
    "axis without values": (matrix("{lr: []}"), ['5:14: "matrix.lr" must have at least one value']),
    "axis with one scalar": (
        matrix("{lr: 0.1}"),
        ['5:14: "matrix.lr" must be a list or {range: [first, last]}, not a number'],
    ),
    "axis with null": (matrix("{lr: [0.1, null]}"), ['5:20: "matrix.lr[1]" is empty']),
    "axis with nested list": (
        matrix("{lr: [[1, 2]]}"),
        ['5:15: "matrix.lr[0]" must be a string, a number, true or false, not a list'],
    ),
    "axis with bad name": (
        matrix("{lr: [1], l-r: [1]}"),
        ['5:19: "l-r" in matrix: a name must be letters, digits and "_", at most 63, not beginning with a digit'],
    ),
    "axis with a taken name": (
        matrix("{lr: [1], task: [1]}"),
        ['5:19: "task" in matrix: the name is taken by a column of the table of results'],
    ),
    "misspelt range": (
        matrix("{lr: {rang: [1, 2]}}"),
        ['5:15: unknown field "rang" in matrix.lr; did you mean "range"?'],
    ),
    "range of one": (
        matrix("{lr: {range: [1]}}"),
        ['5:22: "matrix.lr.range" must be two or three numbers: {range: [first, last, step]}'],
    ),
    "range of words": (
        matrix("{lr: {range: [1, b]}}"),
        ['5:22: "matrix.lr.range" must be two or three numbers: {range: [first, last, step]}'],
    ),
    "range that is empty": (
        matrix("{lr: {range: [5, 1]}}"),
        ['5:22: "matrix.lr.range" is empty: 5 to 1 in steps of 1'],
    ),
    "range without step": (matrix("{lr: {range: [1, 5, 0]}}"), ['5:22: "matrix.lr.range" has a step of 0']),
    "range without end": (
        matrix("{lr: {range: [1, .inf]}}"),
        ['5:22: "matrix.lr.range" must be two or three numbers: {range: [first, last, step]}'],
    ),
    "too many points": (
        matrix("{lr: {range: [1, 1000000000]}, b: {range: [1, 1000]}}"),
        ['5:9: "matrix" has 1000000000000 points, more than the 100000 that a job may have'],
    ),
    "value twice": (matrix("{lr: [0.1, 0.2, 0.1]}"), ['5:25: "matrix.lr[2]" is there twice: "0.1"']),
    "value with a look-up": (
        matrix("{lr: ['${{ job.name }}']}"),
        ['5:15: "matrix.lr[0]" must not hold "${{": nothing is looked up in a matrix'],
    ),
    "value that is too long": (
        matrix("{lr: ['" + "x" * 201 + "']}"),
        ['5:15: "matrix.lr[0]" must have at most 200 characters, not 201'],
    ),
    "value with NUL": (matrix('{lr: ["a\\0b"]}'), ['5:15: "matrix.lr[0]" must not hold the character U+0000']),
    "exclude of an unknown axis": (
        matrix("{lr: [1, 2], exclude: [{lt: 1}]}"),
        ['5:33: "lt" in matrix.exclude[0] is no axis'],
    ),
    "exclude of an unknown value": (
        matrix("{lr: [0.1, 0.2], exclude: [{lr: 0.3}]}"),
        ['5:41: "matrix.exclude[0].lr" is "0.3", which is no value of axis "lr"'],
    ),
    "exclude that matches nothing": (
        matrix("{lr: [1, 2], b: [1], exclude: [{lr: 1}, {lr: 2, b: 1}, {lr: 2, b: 2}]}"),
        ['5:75: "matrix.exclude[2].b" is "2", which is no value of axis "b"'],
    ),
    "exclude of everything": (
        matrix("{lr: [1, 2], exclude: [{lr: 1}, {lr: 2}]}"),
        ['5:31: "matrix.exclude" leaves no point of the matrix'],
    ),
    "exclude that is no point": (
        matrix("{lr: [1, 2], exclude: [1]}"),
        ['5:32: "matrix.exclude[0]" must be a point such as {lr: 0.1}, not an integer'],
    ),
    "include without an axis": (
        matrix("{lr: [1], b: [1], include: [{lr: 2}]}"),
        ['5:37: "matrix.include[0]" must name every axis of the matrix: b is missing'],
    ),
    "include of a point that is there": (
        matrix("{lr: [1, 2], include: [{lr: 2}]}"),
        ['5:32: "matrix.include[0]" is a point that is there already'],
    ),
    "include that is a mapping": (
        matrix("{lr: [1, 2], include: {lr: 3}}"),
        ['5:31: "matrix.include" must be a list of points, not a mapping'],
    ),
    "unknown axis looked up": (matrix("{lt: [1]}"), ['4:15: unknown name "matrix.lr"; did you mean "matrix.lt"?']),
    "suspended task that is not there": (
        matrix("{lr: [0.1, 0.2]}") + "suspend: [lr=0.3]\n",
        ['6:11: "lr=0.3" in suspend is no task of this job; did you mean "lr=0.2"?'],
    ),
    "suspended tasks without a matrix": (
        job("suspend: [lr=0.3]"),
        ['5:10: "suspend" names tasks, but a job without a matrix has only one'],
    ),
    "rerun of a task that is not there": (
        matrix("{lr: [0.1, 0.2]}") + "rerun: {lr=0.11: x}\n",
        ['6:9: "lr=0.11" in rerun is no task of this job; did you mean "lr=0.1"?'],
    ),
    "rerun of tasks without a matrix": (
        job("rerun: {lr=0.11: x}"),
        ['5:8: "rerun" names tasks, but a job without a matrix has only one'],
    ),
    "metric with the name of an axis": (
        matrix("{lr: [1]}") + "results: {metrics: {lr: {json: a.json}}}\n",
        ['6:21: "lr" in results.metrics: the name is that of an axis, which is a column of the table of results'],
    ),
    "metric with a taken name": (
        job("results: {metrics: {run_dir: {json: a.json}}}"),
        ['5:21: "run_dir" in results.metrics: the name is taken by a column of the table of results'],
    ),
    "metric outside": (
        job("results: {metrics: {a: {json: ../a.json}}}"),
        ['5:31: "results.metrics.a.json" must stay inside the run directory: ".." is not allowed'],
    ),
    "metric with a space": (
        job("results: {metrics: {a: {json: a b.json}}}"),
        ['5:31: "results.metrics.a.json" must be a path of letters, digits and "_./+=@-", not "a b.json"'],
    ),
    "metric without file": (
        job("results: {metrics: {a: {jsn: b.json}}}"),
        ['5:25: unknown field "jsn" in results.metrics.a; did you mean "json"?'],
    ),
    "metric with a dot": (
        job("results: {metrics: {a.b: {json: b.json}}}"),
        ['5:21: "a.b" in results.metrics: a name must be letters, digits, "_" and "-", not beginning with a digit'],
    ),
    "metric in short": (
        job("results: {metrics: {a: out/m.json:loss}}"),
        ['5:24: "results.metrics.a" must be a mapping, not a string ("out/m.json:loss")'],
    ),
    "results from the root": (
        job("results: {files: [/tmp/*]}"),
        ['5:19: "results.files[0]" must be relative to the run directory, not "/tmp/*"'],
    ),
    "retries of a reason": (
        job("retries: {max: 1, on: [NodeFial]}"),
        ['5:24: "retries.on[0]" may not be "NodeFial"; did you mean "NodeFail"?'],
    ),
    "retries without max": (job("retries: {on: [NodeFail]}"), ['5:10: missing field "retries.max"']),
    "too many retries": (job("retries: 101"), ['5:10: "retries" must be at most 100, not 101']),
    "negative retries": (job("retries: {max: -1}"), ['5:16: "retries.max" must be at least 0, not -1']),
    "retries that shrink": (
        job("retries: {max: 1, grow: {memory: 0.5}}"),
        ['5:34: "retries.grow.memory" must be at least 1, not 0.5'],
    ),
    "retries that grow without end": (
        job("retries: {max: 1, grow: {time: .nan}}"),
        ['5:32: "retries.grow.time" must be a finite number, not .nan'],
    ),
    "retries that grow nothing": (
        job("retries: {max: 1, grow: {memory: 2}}"),
        ['5:34: "retries.grow.memory" has nothing to multiply: no resources.memory is set'],
    ),
    "backoff without unit": (
        job("retries: {max: 1, backoff: 30}"),
        ['5:28: "retries.backoff" must be a duration such as 90s, 30m, 4h, 2d or 1h30m, not 30'],
    ),
    "no max_running": (job("max_running: 0"), ['5:14: "max_running" must be at least 1, not 0']),
    "schedule with four fields": (
        job('schedule: "0 3 * *"'),
        ['5:11: "schedule" must have five fields (minute hour day month weekday), not 4'],
    ),
    "schedule with a bad hour": (
        job('schedule: "0 24 * * *"'),
        ['5:11: "schedule" has the hour "24"; that is 0 to 23'],
    ),
    "schedule with a bad weekday": (
        job('schedule: "0 3 * * mun"'),
        ['5:11: "schedule" has the weekday "mun"; that is 0 to 7, or sun to sat'],
    ),
    "schedule that never comes": (
        job('schedule: "0 3 31 feb *"'),
        ['5:11: "schedule" never comes: no such month has a day 31'],
    ),
    "misspelt macro": (job('schedule: "@dayly"'), ['5:11: "schedule" is no schedule']),
    "need that is not there": (
        needing("[goood]"),
        ['4:9: there is no Job or Workflow named "goood"; did you mean "good"?'],
    ),
    "need that is not valid": (
        needing("[worse]") + "---\nkind: Job\nname: worse\ncluster: good\n",
        ["4:9: needs Job/worse, which is not valid", '7:1: missing field "command"'],
    ),
    "need of oneself": (needing("[bad]"), ["4:9: needs go round in a circle: bad -> bad"]),
    "needs in a circle": (
        needing("[a]") + other("a", "needs: [good, b]") + other("b", "needs: [bad]"),
        [
            "4:9: needs go round in a circle: bad -> a -> b -> bad",
            "11:15: needs go round in a circle: a -> b -> bad -> a",
            "17:9: needs go round in a circle: b -> bad -> a -> b",
        ],
    ),
    "circle through a Workflow": (
        needing("[w]") + WORKFLOW.replace("steps", "needs: [bad]\nsteps"),
        ["4:9: needs go round in a circle: bad -> w -> bad", "10:9: needs go round in a circle: w -> bad -> w"],
    ),
    "need of a Job or a Workflow": (
        needing("[good]") + "---\nkind: Workflow\nname: good\ncluster: good\nsteps: {a: {command: x}}\n",
        ['4:9: "good" is the name of a Job and of a Workflow, so it is not clear which is needed'],
    ),
    "need of a scheduled job": (
        needing("[tick]") + other("tick", "schedule: '@daily'"),
        ['4:9: "tick" has a schedule, and nothing can follow its times yet'],
    ),
    "looked up without need": (
        needing("[good]", "x ${{ needs.god.run_dir }}"),
        ['5:12: "needs.god.run_dir": "god" is not in needs; did you mean "good"?'],
    ),
    "looked up without any need": (
        command("x ${{ needs.good.run_dir }}"),
        ['4:12: "needs.good.run_dir": "good" is not in needs'],
    ),
    "unknown value of a need": (
        needing("[good]", "x ${{ needs.good.rundir }}"),
        ['5:12: unknown name "needs.good.rundir"; did you mean "needs.good.run_dir"?'],
    ),
    "directory of a sweep": (
        needing("[sweep]", "x ${{ needs.sweep.run_dir }}") + SWEEP,
        ['5:12: "needs.sweep.run_dir" has no value: job "sweep" has 2 tasks'],
    ),
    "result of a sweep": (
        needing("[sweep]", "x ${{ needs.sweep.results.loss }}") + SWEEP,
        ['5:12: "needs.sweep.results.loss" has no value: job "sweep" has 2 tasks'],
    ),
    "unknown metric": (
        needing("[one]", "x ${{ needs.one.results.los }}") + SWEEP.replace("sweep", "one").replace("[1, 2]", "[1]"),
        ['5:12: job "one" has no metric "los"; did you mean "loss"?'],
    ),
    "metric that is not declared": (
        needing("[good]", "x ${{ needs.good.results.los }}"),
        ['5:12: job "good" has no metric "los"'],
    ),
    "directory on another cluster": (
        needing("[far]", "x ${{ needs.far.run_dir }}")
        + "---\nkind: Cluster\nname: far\n---\nkind: Job\nname: far\ncluster: far\ncommand: x\n",
        ['5:12: "needs.far.run_dir" is of no use here: job "far" runs on far, and this on good'],
    ),
    "workflow looked up without a step": (
        needing("[w]", "x ${{ needs.w.run_dir }}") + WORKFLOW,
        ['5:12: "w" is a Workflow: one of its steps has to be named'],
    ),
    "step of a Job": (
        needing("[good]", "x ${{ needs.good.a.run_dir }}"),
        ['5:12: unknown name "needs.good.a.run_dir": "good" is a Job'],
    ),
    "steps in a Job": (command("x ${{ steps.good.run_dir }}"), ['4:12: unknown name "steps.good.run_dir"']),
    "Workflow without steps": (
        steps("").replace("steps:\n\n", "steps: {}\n"),
        ['4:8: "steps" must have at least 1 field'],
    ),
    "step without command": (
        steps("  a: {comand: x}"),
        ['5:7: unknown field "comand" in steps.a; did you mean "command"?'],
    ),
    "step with a bad name": (
        steps("  A_b: {command: x}"),
        ['5:3: "A_b" in steps: a name must be a-z, 0-9 and dashes, with no dash at either end'],
    ),
    "step that needs a Job": (
        steps("  a: {command: x, needs: [good]}"),
        ['5:27: there is no step named "good" in this Workflow'],
    ),
    "step that needs a misspelt step": (
        steps("  prepare: {command: x}\n  b: {command: x, needs: [prepar]}"),
        ['6:27: there is no step named "prepar" in this Workflow; did you mean "prepare"?'],
    ),
    "steps in a circle": (
        steps("  a: {command: x, needs: [c]}\n  b: {command: x, needs: [a]}\n  c: {command: x, needs: [b]}"),
        [
            "5:27: needs go round in a circle: a -> c -> b -> a",
            "6:27: needs go round in a circle: b -> a -> c -> b",
            "7:27: needs go round in a circle: c -> b -> a -> c",
        ],
    ),
    "step looked up without need": (
        steps("  a: {command: x}\n  b: {command: 'x ${{ steps.a.run_dir }}'}"),
        ['6:19: "steps.a.run_dir": "a" is not in needs'],
    ),
    "step without cluster": (
        steps("  a: {command: x}").replace("cluster: good\n", ""),
        ['4:6: missing field "steps.a.cluster"'],
    ),
    "step with a schedule": (
        steps("  a: {command: x, schedule: '@daily'}"),
        ['5:19: unknown field "schedule" in steps.a'],
    ),
    "step with an unknown image": (
        steps("  a: {command: x}\n  b: {command: x, image: torch}"),
        [
            '6:26: cluster "good" runs no containers (containers: none), so a job on it has no image',
            '6:26: there is no Image named "torch"',
        ],
    ),
    "inherited cluster that is not there": (
        steps("  a: {command: x}\n  b: {command: x}").replace("cluster: good", "cluster: goood"),
        ['3:10: there is no Cluster named "goood"; did you mean "good"?'],
    ),
    "bad look-up in a Workflow's env": (
        steps("  a: {command: x}\n  b: {command: x}", "env: {A: '${{ job.nam }}'}\n"),
        ['4:11: unknown name "job.nam"; did you mean "job.name"?'],
    ),
    "unknown field of a step's resources": (
        steps("  a: {command: x, resources: {cpu: 1}}"),
        ['5:31: unknown field "cpu" in steps.a.resources; did you mean "cpus"?'],
    ),
    "values that make up a look-up": (
        needing("[good]", "x ${{ needs.good.run_dir }}")
        + "env: {A: '$${{ matrix.a }}'}\nmatrix: {a: ['{{ needs.good.run_dir }}']}\n",
        [
            '7:9: in task "a=%7B%7B%20needs.good.run_dir%20%7D%7D", '
            "its texts make up a look-up that is not written in them"
        ],
    ),
}
