"""What the metrics keep between passes."""

from __future__ import annotations

from controller.model.conditions import TaskState
from controller.service.metrics import Metrics
from tests.unit.service.fakes import summary


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_cluster_that_is_gone_is_reported_no_more() -> None:
    metrics = Metrics(version="1")
    metrics.pass_ended(summary(clusters={"a": True, "b": False}))
    metrics.pass_ended(summary(clusters={"a": False}))
    assert sample(metrics, "controller_cluster_reachable", cluster="a") == 0
    assert sample(metrics, "controller_cluster_reachable", cluster="b") is None


def test_a_state_that_no_task_is_in_any_more_goes_back_to_zero() -> None:
    metrics = Metrics(version="1")
    metrics.pass_ended(summary(tasks={TaskState.RUNNING: 4}))
    metrics.pass_ended(summary(tasks={TaskState.SUCCEEDED: 4}))
    assert sample(metrics, "controller_tasks", state="Running") == 0
    assert sample(metrics, "controller_tasks", state="Succeeded") == 4


def test_a_pass_that_ended_early_does_not_pretend_that_the_tasks_are_gone() -> None:
    metrics = Metrics(version="1")
    metrics.pass_ended(summary(tasks={TaskState.RUNNING: 4}, clusters={"a": True}))
    metrics.pass_ended(summary(error_reason="StatusPushRejected"))
    assert sample(metrics, "controller_tasks", state="Running") == 4
    assert sample(metrics, "controller_cluster_reachable", cluster="a") == 1
    assert sample(metrics, "controller_passes_total", result="failed") == 1


def test_every_result_is_there_from_the_start() -> None:
    metrics = Metrics(version="1")
    assert sample(metrics, "controller_passes_total", result="failed") == 0
    assert sample(metrics, "controller_webhooks_total", result="unauthorized") == 0


def test_two_registries_do_not_know_each_other() -> None:
    first, second = Metrics(version="1"), Metrics(version="1")
    first.pass_ended(summary())
    assert sample(second, "controller_passes_total", result="completed") == 0
