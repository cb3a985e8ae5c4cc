"""A conversion that is in a job's hands: under way, failed, or over without a word, judged from one look.

Must not plan anything: what follows from it is for ``provision``.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.images import Image
from controller.model.observed import ENDED, ClusterObservation, Conversion, JobRecord
from controller.model.resources import Cluster
from controller.model.runs import conversion_tag
from controller.planning.verdicts import Wait

CONVERTING = "Converting"
_QUIET_S = 10.0
"""How long a conversion has to be unchanged before its job's absence counts: the queue was read a moment earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``wait``: it goes on. Otherwise it is over: ``over`` is its job ("-" for none), ``why`` the scheduler's word."""

    wait: Wait | None = None
    over: str = ""
    why: str = ""


def judged(image: Image, cluster: Cluster, seen: ClusterObservation, *, grace_s: float) -> Verdict | None:
    """Return how the conversion of an image by a job stands; None when there is none."""
    if seen.conversions is None:
        message = f"cluster {cluster.name}: its conversions could not be listed"
        return Verdict(wait=Wait("ClusterUnknown", message))
    conversion = seen.conversions.get(image.identity)
    if conversion is None:
        return None
    if conversion.failure:
        # Whoever asks for it next takes the failure up, and begins anew.
        return Verdict(over=conversion.job_id or "-", why=conversion.failure)
    if seen.queue is None:
        return Verdict(wait=Wait("ClusterUnknown", f"cluster {cluster.name}: its queue could not be read"))
    job = _job_of(conversion, seen.queue)
    where = f"image {image.name} is converted to SIF on cluster {cluster.name}"
    if job is not None and job.state not in ENDED:
        word = f"{job.word} ({job.reason})" if job.reason else job.word
        more = f": {job.message}" if job.message else ""
        return Verdict(wait=Wait(CONVERTING, f"{where} by job {job.job_id}, {word}{more}"))
    if conversion.job_id is None:
        if conversion.age_s < grace_s:
            return Verdict(wait=Wait(CONVERTING, f"{where}; not known yet whether its job was submitted"))
        return Verdict(over="-", why="it was never submitted")
    if conversion.age_s < _QUIET_S:
        return Verdict(wait=Wait(CONVERTING, f"{where} by job {conversion.job_id}"))
    return Verdict(over=conversion.job_id, why=job.word if job is not None else "it is no longer in the queue")


def _job_of(conversion: Conversion, queue: tuple[JobRecord, ...]) -> JobRecord | None:
    """Return its job: by number, and by name, since numbers are used again; by name alone while there is no number."""
    tag = conversion_tag(conversion.instance, conversion.identity)
    named = [job for job in queue if job.tag.lower() == tag]
    if conversion.job_id is not None:
        return next((job for job in named if job.job_id == conversion.job_id), None)
    return next((job for job in named if job.state not in ENDED), None)
