"""A cluster to observe and to act on. Every verb is one script: one round trip, however many jobs it is about.

An unclear end of an acting verb is raised as ``AmbiguousError``: whoever asked has to look before asking again.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from controller.clusters.images import ClusterImages
from controller.clusters.observation import read_observation
from controller.clusters.scripts import Answer, Part, Script, compose, read_answer, require_complete
from controller.clusters.storage import ClusterStorage
from controller.clusters.submission import archive, sif_of, submission_files
from controller.clusters.transport import Completed, Progress, Transport
from controller.containers import sif
from controller.containers.paths import path_expression
from controller.model.errors import AmbiguousError, ControllerError, StalledError, TransientError, WaitingError
from controller.model.observed import ClusterFacts, ClusterObservation
from controller.model.plans import IMAGE_GONE, SubmitBatch
from controller.model.resources import Cluster
from controller.model.runs import RunRecord, tag_of
from controller.planning.settle import CANCELLED_OWNER
from controller.schedulers.dialect import Refusal, Scheduler

_LOOK_S = 120.0
_ACT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look should bring back beyond the queue and the spool.

    ``acknowledged`` are spool files that the journal has, ``aside`` those that do not fit; ``runs`` and ``batches`` are
    those whose fate is not known.
    ``accounting_s`` is how far back to ask the accounting, 0 for not at all.
    """

    acknowledged: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    accounting_s: int = 0
    facts: bool = False
    full_scan: bool = False
    sifs: tuple[str, ...] = ()
    """SIF files that specs name by path."""
    trees: tuple[str, ...] = ()
    """Staged trees that runs are about to be submitted with: whether they are whole."""
    outputs: tuple[tuple[str, str], ...] = ()
    """(run, path below its directory) of files that metrics are read from and that did not come with its end."""
    directories: tuple[str, ...] = ()
    """Directories of runs, each as ``RUN PATH``, that what is due is to be given."""


class SubmitEnd(StrEnum):
    """How the submission of one batch ended."""

    SUBMITTED = "submitted"
    ADOPTED = "adopted"
    BUSY = "busy"
    """Someone else is at it, or was and did not say how it ended."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """One batch's end; ``error`` for ``FAILED`` only."""

    end: SubmitEnd
    job_id: str | None = None
    error: ControllerError | None = None


class ClusterClient:
    """One cluster through one transport."""

    def __init__(self, cluster: Cluster, transport: Transport, scheduler: Scheduler, *, instance: str) -> None:
        self.cluster = cluster
        self.scheduler = scheduler
        self._transport = transport
        self._instance = instance
        self.storage = ClusterStorage(cluster.name, self._script, self._ask)
        self.images = ClusterImages(cluster, scheduler, self._ask, instance=instance)

    def observe(self, look: Look) -> ClusterObservation:
        """Look once. Whatever goes wrong becomes an Unknown part of the observation."""
        return self.observe_with(look, ())[0]

    def observe_with(self, look: Look, others: Sequence[tuple[ClusterClient, Look]]) -> tuple[ClusterObservation, ...]:
        """Look at this cluster, and at other work directories that the same login reaches, in one round trip."""
        asked = [(self, look), *others]
        scripts = [client._look_script(each) for client, each in asked]
        # One after the other, each in a shell of its own that reads its own lines, and with marks of its own.
        texts = [f"(\n{script.text}\n) <<'{script.nonce}'\n{lines}{script.nonce}\n" for script, lines in scripts]
        alone = not others
        try:
            done = self._transport.run(
                scripts[0][0].text if alone else "".join(texts),
                payload=scripts[0][1].encode() if alone else b"",
                timeout_s=_LOOK_S,
            )
        except ControllerError as error:
            return tuple(client._not_seen(error) for client, _ in asked)
        return tuple(
            client._seen(done, script, each) for (client, each), (script, _) in zip(asked, scripts, strict=True)
        )

    def _look_script(self, look: Look) -> tuple[Script, str]:
        """Return the script of a look, and the lines that it reads."""
        lines = [f"ack {name}" for name in look.acknowledged]
        lines += [f"aside {name}" for name in look.aside]
        lines += [f"run {run}" for run in look.runs]
        lines += [f"batch {batch}" for batch in look.batches]
        lines += [f"tree {tree}" for tree in look.trees]
        lines += [f"directory {each}" for each in look.directories]
        lines += [f"output {run} {path}" for run, path in look.outputs]
        facts = f"{self.scheduler.facts_command()}; {self._container_facts()}" if look.facts else ""
        # Each in a shell of its own, which a variable that is not set there ends: then there is no path.
        paths = "\n".join(f"sifs+=(\"$(printf '%s' {path_expression(path)} 2>/dev/null)\")" for path in look.sifs)
        script = self._script(
            "observe",
            parts=("manifest",),
            queue_command=self.scheduler.queue_command(),
            accounting_command=self.scheduler.accounting_command(look.accounting_s) if look.accounting_s else "",
            facts_command=facts,
            full_scan="1" if look.full_scan else "0",
            sif_paths=paths,
        )
        return script, "".join(f"{line}\n" for line in lines)

    def _seen(self, done: Completed, script: Script, look: Look) -> ClusterObservation:
        try:
            answer = require_complete(read_answer(done.stdout, script.nonce), self.cluster.name, done.stderr)
        except ControllerError as error:
            return self._not_seen(error)
        return read_observation(self.cluster.name, answer, self.scheduler, sifs=look.sifs)

    def _not_seen(self, error: ControllerError) -> ClusterObservation:
        return ClusterObservation(
            cluster=self.cluster.name, reachable=False, error_reason=error.reason, error=error.message
        )

    def submit(self, batches: Sequence[tuple[SubmitBatch, int]], facts: ClusterFacts) -> Mapping[str, Submitted]:
        """Submit batches, each with the number of its tries that are known to have failed.

        Raises:
            AmbiguousError: the answer never came: any of them may have been submitted.
            StalledError, TransientError: nothing was begun.
        """
        payload = archive(
            (
                batch.batch,
                submission_files(
                    batch,
                    self.scheduler,
                    root=facts.root,
                    instance=self._instance,
                    scheduler_version=facts.scheduler_version,
                ),
            )
            for batch, _ in batches
        )
        script = self._script(
            "submit",
            batches="\n".join(f"{batch.batch} {tries} {sif_of(batch.image) or '-'}" for batch, tries in batches),
            images="\n".join(
                sorted({f"{sif} {b.image.name}" for b, _ in batches if b.image and (sif := sif_of(b.image))})
            ),
            trees="\n".join(sorted({b.job.files.tree for b, _ in batches if b.job.files})),
            parts=("fresh",),
            job_id_pattern=self.scheduler.job_id_pattern,
        )
        answer = self._ask(script, payload, timeout_s=_ACT_S)
        return {words[1]: self._submitted(words) for words in answer.words if len(words) > 1}

    def own(self, owner: str, *, seen: str, force: bool) -> str:
        """Write this instance's ``owner.json`` unless it has changed since ``seen``; return what it says then.

        Raises:
            AmbiguousError, StalledError, TransientError: it may not be written.
        """
        script = self._script("own", owner=owner, seen=seen, force="1" if force else "0")
        answer = self._ask(script, b"", timeout_s=_LOOK_S)
        part = answer.parts.get("owner")
        if part is None or part.exit_code != 0:
            said = part.fault if part is not None else ""
            raise TransientError("WorkdirUnwritable", f"cluster {self.cluster.name}: owner.json: {said}")
        return part.text.strip()

    def cancel(self, records: Sequence[RunRecord]) -> Mapping[str, str]:
        """Cancel runs; return who holds each run's claim now, by run id.

        A run held by ``cancelled`` never starts, whatever becomes of its job. One that is held by a job which the
        scheduler does not have in its queue is left out: nothing was hit.

        Raises:
            AmbiguousError, TransientError: some or all may not be cancelled.
        """
        lines, targets = [], dict[str, str]()
        for record in records:
            target = self.scheduler.target(record.job_id, record.index, array=record.array) if record.job_id else "-"
            targets[record.id] = target
            lines.append(f"{record.id} {target} {tag_of(self._instance, record.batch)} {record.cancel_reason}\n")
        script = self._script("cancel", cancel_command=self.scheduler.cancel_command())
        answer = self._ask(script, "".join(lines).encode(), timeout_s=_ACT_S)
        part = answer.parts.get("cancel")
        if part is not None and part.exit_code != 0:
            raise TransientError("CancelFailed", f"cluster {self.cluster.name}: {part.fault or part.text.strip()}")
        hit = set(part.text.split()) if part is not None else set()
        holders = {words[1]: words[2] if len(words) > 2 else "" for words in answer.words if words[0] == "claim"}
        return {run: holder for run, holder in holders.items() if holder == CANCELLED_OWNER or targets.get(run) in hit}

    def stage(self, trees: Sequence[str], tar: BinaryIO) -> None:
        """Put file sets in place from a tar of ``<tree>/...`` directories, each with its ``<tree>.manifest``.

        Raises:
            TransientError: some did not get there.
        """
        answer = self._ask(
            self._script("stage", parts=("fresh", "manifest"), trees="\n".join(trees)), tar, timeout_s=_ACT_S
        )
        staged = {words[1] for words in answer.words if words[0] == "staged"}
        if missing := set(trees) - staged:
            raise TransientError(
                "UploadFailed",
                f"cluster {self.cluster.name}: {len(missing)} sets of files are not in place (disk full?)",
            )

    def read_output(self, run: str, stream: str, *, offset: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes of a run's ``stdout`` or ``stderr`` from ``offset``; negative: from the end.

        Raises:
            StalledError: there is no such file (``NoOutput``).
        """
        script = self._script("read", run=run, stream=stream, offset=str(offset), limit=str(limit))
        answer = self._ask(script, b"", timeout_s=_LOOK_S)
        part = answer.parts["output"]
        if part.exit_code != 0:
            raise StalledError("NoOutput", part.fault or "there is no output yet")
        return b64decode(part.text)

    def has_ended(self, run: str) -> bool:
        """Whether a run has said that it ended, or that it was stopped."""
        for name in ("exit.json", "stopped.json"):
            try:
                self.read_output(run, name, offset=0, limit=1)
            except StalledError:
                continue
            return True
        return False

    def trace(self, run: str) -> Mapping[str, Part]:
        """Return what is left of a run, part by part as ``remote/trace.sh`` says it; see ``provenance``.

        Raises:
            StalledError, TransientError: the cluster could not be asked.
        """
        return self._ask(self._script("trace", parts=("manifest",), run=run), b"", timeout_s=_LOOK_S).parts

    def close(self) -> None:
        """Let go of the connection."""
        self._transport.close()

    def _container_facts(self) -> str:
        if self.cluster.containers == "none":
            return "true"
        return sif.facts_command(self.cluster.setup, self.cluster.containers)

    def _script(self, verb: str, /, *, parts: tuple[str, ...] = (), **variables: str) -> Script:
        return compose(
            verb,
            self.scheduler,
            cluster=self.cluster,
            instance=self._instance,
            variables=variables,
            parts=parts,
        )

    def _ask(
        self, script: Script, payload: bytes | BinaryIO, *, timeout_s: float, progress: Progress | None = None
    ) -> Answer:
        done = self._transport.run(script.text, payload=payload, timeout_s=timeout_s, progress=progress)
        answer = read_answer(done.stdout, script.nonce)
        return require_complete(answer, self.cluster.name, done.stderr)

    def _submitted(self, words: tuple[str, ...]) -> Submitted:
        rest = words[2] if len(words) > 2 else ""
        match words[0]:
            case "submitted":
                return Submitted(end=SubmitEnd.SUBMITTED, job_id=rest)
            case "adopted":
                return Submitted(end=SubmitEnd.ADOPTED, job_id=rest)
            case "refused":
                code, _, text = rest.partition(" ")
                return self._refused(int(code), text)
            case "imageless":
                return Submitted(end=SubmitEnd.FAILED, error=TransientError(IMAGE_GONE, rest))
            case "unwritten":
                return Submitted(end=SubmitEnd.FAILED, error=TransientError("UploadFailed", rest))
            case _:
                return Submitted(end=SubmitEnd.BUSY)

    def _refused(self, code: int, text: str) -> Submitted:
        failure = self.scheduler.explain_failure(code, text)
        error: ControllerError
        match failure.kind:
            case Refusal.REFUSED:
                error = StalledError(failure.reason, failure.message)
            case Refusal.WAIT:
                error = WaitingError(failure.reason, failure.message, retry_after_s=failure.retry_after_s)
            case Refusal.AMBIGUOUS:
                error = AmbiguousError(failure.reason, failure.message)
        return Submitted(end=SubmitEnd.FAILED, error=error)
