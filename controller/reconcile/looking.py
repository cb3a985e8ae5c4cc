"""What exists: every cluster and the engine looked at side by side, and the records brought up to date."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass, replace

from controller.clusters.cluster import ClusterClient, Look
from controller.containers.engine import Engine
from controller.model.conditions import ACTIVE, TaskState
from controller.model.images import Build, Image, SifFile
from controller.model.observed import ClusterFacts, ClusterObservation, Observed
from controller.model.resources import Desired, Job, Metric
from controller.model.runs import RunRecord
from controller.model.sites import cluster_in, instance_in
from controller.planning.absorb import absorb, acknowledged, strangers, unreadable
from controller.planning.carried import Carried
from controller.planning.history import latest_by_task
from controller.planning.lacking import PUT_AGAIN
from controller.planning.results import unread
from controller.planning.trials import gate_of
from controller.planning.wanted import WANTED_AGAIN
from controller.reconcile.clusterfacts import marked, merged, remembered, too_large
from controller.reconcile.trials import trials_of
from controller.store.journal import Journal

Seen = Mapping[str, ClusterObservation]
"""What was seen, by the name of a cluster or of a site."""
_FACTS_FOR_S = 86400.0
_MOST_OUTPUTS = 16
"""Files of up to 1 MiB that one look reads: the answer is kept in memory."""
_LONGEST_S = 90 * 86400
"""How far back accounting is asked at most: all of it that a site keeps within reach."""
_QUEUE_REMEMBERS_S = 240.0
"""Below SLURM's MinJobAge (300 s by default): for so long an ended job is still in the queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at everything: what was seen, the records after it, and the spool files to acknowledge next time."""

    observed: Observed
    records: Mapping[str, RunRecord]
    acknowledged: Mapping[str, tuple[str, ...]]
    strangers: frozenset[str]
    """Clusters on which runs of ours are that no record is known for."""


def look(
    desired: Desired,
    journal: Journal,
    client_of: Callable[[str], ClusterClient],
    engine: Engine,
    *,
    instance: str,
    now: float,
    grace_s: float,
    records: Mapping[str, RunRecord],
    vet: Callable[[Seen], tuple[Seen, Mapping[str, RunRecord]]] | None = None,
    anew: Collection[str] = (),
    whole: Collection[str] = (),
    carried: Carried | None = None,
    directories: Callable[[Mapping[str, RunRecord]], Mapping[str, tuple[str, ...]]] = lambda records: {},
) -> Sight:
    """Look at everything once, all clusters at the same time. Writes nothing.

    ``vet`` replaces what was seen of a cluster that may not be acted on, before anything is concluded from it, and
    returns the records with where each run is. ``anew`` names clusters whose versions and limits are asked for anew,
    ``whole`` those where every run is read; ``carried`` says what runs count for that were begun under other names,
    ``directories`` which of the runs' directories are asked for (place -> ``RUN PATH`` of each).
    """
    carried = carried or Carried(desired)
    metrics = {name: job.results.metrics for job in desired.jobs.values() for name in (*job.was, job.name)}
    latest = latest_by_task(records.values())
    names = [*desired.clusters, *desired.retired]
    needed = directories(records)
    asks = {
        name: _ask_of(
            client_of(name),
            name,
            journal,
            records,
            now,
            _images_on(desired, name),
            _trees_on(desired, latest, name),
            _outputs_on(name, records, metrics),
            needed.get(name, ()),
            anew=name in anew,
            whole=name in whole,
        )
        for name in names
    }
    together = _by_login(desired)
    with ThreadPoolExecutor(max_workers=max(1, min(16, len(names)))) as pool:
        looks = [pool.submit(copy_context().run, _look_at, [asks[name] for name in group]) for group in together]
        found = {name: seen for future in looks for name, seen in future.result().items()}
    observations: Seen = {name: found[name] for name in names}
    if vet is not None:
        observations, records = vet(observations)
    engine_seen = engine.observe() if _engine_matters(desired, observations, journal) else None
    updated = dict(records)
    acks, unknown = {}, set()
    for name, observation in observations.items():
        whose = instance_in(name) or instance
        mine = absorb(records.values(), observation, instance=whose, now=now, grace_s=grace_s, metrics=metrics)
        updated |= mine
        # What another instance has begun is its own to take note of, and to clear away.
        theirs = bool(instance_in(name))
        acks[name] = () if theirs else acknowledged(observation, mine)
        if not theirs and observation.reachable and strangers(observation, updated, instance=whose):
            unknown.add(name)
    return Sight(
        observed=Observed(engine=engine_seen, clusters=observations),
        records=_with_removal(carried.records(updated), desired),
        acknowledged=acks,
        strangers=frozenset(unknown),
    )


def _engine_matters(desired: Desired, observations: Mapping[str, ClusterObservation], journal: Journal) -> bool:
    """Whether an image that has to be built is missing somewhere, or one has yet to pass its test."""
    settled = {key for key, trial in trials_of(desired, journal).items() if trial.settled}
    for image in desired.images.values():
        gate = gate_of(image)
        if gate is not None and gate not in settled:
            return True
        if not isinstance(image.origin, Build):
            continue
        clusters = {job.cluster for job in desired.jobs.values() if job.image == image.name}
        if not clusters or any(image.identity not in (observations[name].images or {}) for name in clusters):
            return True
    return False


def _images_on(desired: Desired, cluster: str) -> list[Image]:
    """Return the images that jobs on a cluster name."""
    names = {job.image for job in desired.jobs.values() if job.cluster == cluster and job.image is not None}
    return [desired.images[name] for name in sorted(names)]


def _trees_on(desired: Desired, latest: Mapping[tuple[str, str, str], RunRecord], cluster: str) -> tuple[str, ...]:
    """Return the staged files of jobs on a cluster that may submit a run now: those are looked at one by one."""
    trees: dict[str, None] = {}
    for job in desired.jobs.values():
        if job.cluster == cluster and job.files is not None and job.files.tree not in trees:
            last = (latest.get((job.name, task.key, task.digest)) for task in job.tasks)
            if any(record is None or _may_run_again(job, record) for record in last):
                trees[job.files.tree] = None
    return tuple(trees)


def _may_run_again(job: Job, record: RunRecord) -> bool:
    """Whether another submission of a task may be due, as far as its last run tells."""
    failed = record.state is TaskState.FAILED
    return (
        record.lapsed
        or (record.state is TaskState.CANCELLED and record.reason in WANTED_AGAIN)
        or (failed and (record.reason in PUT_AGAIN or record.run.attempt <= job.retries.max))
    )


def _outputs_on(
    cluster: str, records: Mapping[str, RunRecord], metrics: Mapping[str, Mapping[str, Metric]]
) -> tuple[tuple[str, str], ...]:
    """Return the files that metrics are still to be read from, (run, path) each, as many as one look may bring."""
    found: dict[tuple[str, str], None] = {}
    for key, record in records.items():
        if record.result_faults and record.where == cluster:
            asked = metrics.get(record.run.job, {})
            for name in sorted(unread(record.result_faults) & asked.keys()):
                found[key, asked[name].file] = None
                if len(found) == _MOST_OUTPUTS:
                    return tuple(found)
    return tuple(found)


def remember(sight: Sight, journal: Journal, *, before: Mapping[str, RunRecord], now: float) -> None:
    """Write what was seen into the journal; from then on the spool files may be taken away."""
    journal.save_runs(record for key, record in sight.records.items() if before.get(key) != record)
    journal.clear_failures([key for key in journal.failures() if _is_past(key, sight.observed)])
    for name, observation in sight.observed.clusters.items():
        if not observation.reachable or observation.facts is None:
            continue
        journal.save_fact(f"acknowledged:{name}", json.dumps(sight.acknowledged[name]))
        journal.save_fact(f"aside:{name}", json.dumps(unreadable(observation)))
        journal.save_fact(f"looked:{name}", str(now))
        # A scan that could not be read, or runs that nobody knows: look at everything next time.
        complete = name not in sight.strangers and "everything" not in observation.faults
        journal.save_fact(f"scanned:{name}", "1" if complete else "0")
        kept = observation.facts
        if kept.initialised:
            roots = dict.fromkeys((*marked(journal, name), kept.root))
            journal.save_fact(f"marked:{name}", json.dumps(list(roots)))
        if "facts" not in observation.faults:
            journal.save_fact(f"facts:{name}", json.dumps({**asdict(kept), "at": now if kept.asked else None}))


def last_looks(journal: Journal, desired: Desired) -> dict[str, float]:
    """Return when each cluster last answered, as far as the journal knows."""
    looks = {name: journal.fact(f"looked:{name}") for name in (*desired.clusters, *desired.retired)}
    return {name: float(at) for name, at in looks.items() if at is not None}


def _is_past(key: str, observed: Observed) -> bool:
    """Whether a failure to bring an image to a cluster no longer counts: the image is there."""
    words = key.split(":")
    seen = observed.clusters.get(words[1]) if words[0] == "publish" else None
    return seen is not None and words[2] in (seen.images or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """What one place is asked, and what was known of it before."""

    client: ClusterClient
    look: Look
    known: ClusterFacts | None
    marked: tuple[str, ...]
    """Its work directories that have had the mark."""


def _by_login(desired: Desired) -> list[list[str]]:
    """Return the places in groups: what is reached by the login of its cluster is looked at in one round trip."""
    groups = {name: [name] for name in desired.clusters}
    for name, cluster in desired.retired.items():
        own = desired.clusters.get(cluster_in(name))
        if own is not None and own.connection == cluster.connection:
            groups[own.name].append(name)
        else:
            groups[name] = [name]
    return list(groups.values())


def _look_at(asks: Sequence[_Ask]) -> dict[str, ClusterObservation]:
    """Look at places that one login reaches, in one round trip."""
    first, *others = asks
    found = first.client.observe_with(first.look, [(ask.client, ask.look) for ask in others])
    return {
        seen.cluster: seen
        if seen.facts is None
        else replace(seen, facts=merged(ask.known, seen.facts, ask.look.facts, ask.marked))
        for ask, seen in zip(asks, found, strict=True)
    }


def _ask_of(
    client: ClusterClient,
    name: str,
    journal: Journal,
    records: Mapping[str, RunRecord],
    now: float,
    images: Sequence[Image],
    trees: tuple[str, ...],
    outputs: tuple[tuple[str, str], ...],
    directories: tuple[str, ...],
    *,
    anew: bool,
    whole: bool,
) -> _Ask:
    known = json.loads(journal.fact(f"facts:{name}") or "{}")
    asked_at = known.pop("at", None)
    looked = float(journal.fact(f"looked:{name}") or 0)
    active = [record for record in records.values() if record.where == name and record.state in ACTIVE]
    unclear = [r for r in active if r.missing_since is not None or r.job_id is None or r.state is TaskState.UNKNOWN]
    # A person is about to mend a PATH in which no container program was found.
    unboxed = known.get("container_version") == "" and any(not isinstance(i.origin, SifFile) for i in images)
    scanned = journal.fact(f"scanned:{name}") == "1" and not whole
    want = Look(
        acknowledged=tuple(json.loads(journal.fact(f"acknowledged:{name}") or "[]")),
        aside=tuple(json.loads(journal.fact(f"aside:{name}") or "[]")),
        runs=tuple(record.id for record in unclear),
        batches=tuple(sorted({record.batch for record in unclear if record.job_id is None})),
        accounting_s=_accounting_s(active, unclear, looked, now) if scanned or instance_in(name) else _LONGEST_S,
        facts=anew or asked_at is None or now - asked_at > _FACTS_FOR_S or unboxed or too_large(active, known),
        sifs=tuple(sorted({image.origin.path for image in images if isinstance(image.origin, SifFile)})),
        full_scan=not scanned and not instance_in(name),
        trees=trees,
        outputs=outputs,
        directories=directories,
    )
    return _Ask(client=client, look=want, known=remembered(known), marked=marked(journal, name))


def _accounting_s(active: list[RunRecord], unclear: list[RunRecord], looked: float, now: float) -> int:
    """How far back to ask the accounting: not at all while the queue still tells of all that can have ended."""
    if not active or (not unclear and now - looked < _QUEUE_REMEMBERS_S):
        return 0
    if any(record.submitted_at is None and record.job_id is not None for record in active):
        # Found on the cluster, or by its name: when it was submitted nobody has written down.
        return _LONGEST_S
    oldest = min(record.submitted_at or record.intended_at for record in active)
    return int(min(max(now - oldest, 0) + 3600, _LONGEST_S))


def _with_removal(records: dict[str, RunRecord], desired: Desired) -> dict[str, RunRecord]:
    """Keep each active run's ``on_remove`` as its spec says it now: once the spec is gone it is too late to ask."""
    for key, record in records.items():
        job = desired.jobs.get(record.run.job)
        if job is not None and record.on_remove is not job.on_remove and record.state in ACTIVE:
            records[key] = replace(record, on_remove=job.on_remove)
    return records
