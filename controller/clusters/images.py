"""Images on a cluster: what is uploaded for them, and the SIF that is made of it there, at once or by a job.

Every verb is one script, as everywhere; see ``remote/images.sh`` for what they share. Must not know where an image
comes from or when it is wanted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO, BinaryIO, Protocol

from controller.clusters.scripts import UNTOUCHED_SHELL, Answer, Script, compose, remote_file, root_expression
from controller.clusters.transport import Progress
from controller.containers import sif
from controller.model.errors import AmbiguousError, ControllerError, StalledError, TransientError, WaitingError
from controller.model.resources import Cluster, Resources
from controller.model.runs import conversion_tag
from controller.schedulers.dialect import Refusal, Scheduler, SubmitRequest

_ASK_S = 120.0
_CONVERT_S = 7200.0
_MEMORY_MIB = 2048
_WALLTIME_S = 3600
_BUSY = frozenset({"ConversionBusy", "UploadBusy"})
_LASTING = frozenset({"EnvironmentLost"})
"""What another try would end with as well: the image itself has to be changed."""


class Ask(Protocol):
    """How a script is run on the cluster and its answer read."""

    def __call__(
        self, script: Script, payload: bytes | BinaryIO, *, timeout_s: float, progress: Progress | None = None
    ) -> Answer: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file on its way to the cluster."""

    file: IO[bytes]
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a SIF is made from: an upload (its SHA-256), or a reference with a digest in a registry."""

    upload: str = ""
    is_sif: bool = False
    """The upload is a SIF already."""
    reference: str = ""
    insecure: bool = False
    """The registry is reached by http."""
    name: str = ""
    """The image's name in the specs, for the mark that this instance uses it; "" for no mark."""


class ConversionEnd(StrEnum):
    """What came of asking for a conversion by a job."""

    SUBMITTED = "submitted"
    BUSY = "busy"
    """Somebody else is at it."""
    PRESENT = "present"
    CLEARED = "cleared"


class ClusterImages:
    """The images of one cluster."""

    def __init__(self, cluster: Cluster, scheduler: Scheduler, ask: Ask, *, instance: str) -> None:
        self._cluster = cluster
        self._scheduler = scheduler
        self._ask = ask
        self._instance = instance

    def upload(self, upload: Upload, *, progress: Callable[[int], None] = lambda sent: None) -> None:
        """Upload a file, from where an earlier try was interrupted; it is there whole, or not at all.

        ``progress`` gets the bytes that are there.

        Raises:
            WaitingError: somebody else uploads it right now (``UploadBusy``).
            TransientError: ``DiskFull``, or it did not arrive whole (``UploadFailed``): the next goes on from there.
        """
        offset = self._upload(upload, 0, progress)
        if offset is not None and self._upload(upload, offset, progress) is not None:
            raise TransientError("UploadFailed", f"cluster {self._cluster.name}: the upload was changed meanwhile")

    def _upload(self, upload: Upload, offset: int, progress: Callable[[int], None]) -> int | None:
        """Send what is behind ``offset``; return where to go on instead, None when all is there."""
        upload.file.seek(offset)
        script = self._script("upload", sum=upload.sha256, size=str(upload.size), offset=str(offset))
        answer = self._run(script, upload.file, timeout_s=_CONVERT_S, progress=lambda sent: progress(offset + sent))
        return next((int(words[1]) for words in answer.words if words[0] == "arrived"), None)

    def convert(self, identity: str, material: Material) -> None:
        """Make the SIF on the log-in node, check it, record its hash, and put it in place.

        Raises:
            WaitingError: another controller is at it right now (``ConversionBusy``).
            TransientError: it failed; nothing half-made is left under the image's name.
        """
        script = self._script("convert", parts=("images",), **self._recipe(identity, material))
        self._run(script, b"", timeout_s=_CONVERT_S)

    def submit_conversion(self, identity: str, material: Material, *, scheduler_version: str = "") -> ConversionEnd:
        """Have a job make the SIF.

        Raises:
            StalledError: the scheduler has refused the job, and will refuse the same again.
            TransientError, WaitingError: it takes no more jobs now, or an earlier conversion has just failed.
            AmbiguousError: it may have been submitted.
        """
        request = SubmitRequest(
            tag=conversion_tag(self._instance, identity),
            count=1,
            resources=_modest(self._cluster.defaults),
            scheduler_version=scheduler_version,
        )
        return self._conversion(identity, material, self._scheduler.submit_line(request))

    def clear_conversion(self, identity: str, *, over: str, why: str) -> None:
        """Make room for another after a conversion whose job is over; ``over`` is "-" for a submit that became none.

        Raises:
            TransientError: what it failed of, so that this is remembered; it is cleared away all the same.
        """
        self._conversion(identity, Material(), "", over=over, why=why)

    def _conversion(
        self, identity: str, material: Material, submit_line: str, *, over: str = "", why: str = ""
    ) -> ConversionEnd:
        script = self._script(
            "convert_submit",
            parts=("images",),
            **self._recipe(identity, material),
            submit_line=submit_line,
            job_id_pattern=self._scheduler.job_id_pattern,
            gone=over,
        )
        answer = self._run(script, self._job_script(identity, material).encode(), timeout_s=_ASK_S)
        for words in answer.words:
            match words[0]:
                case "submitted" | "busy" | "present" | "cleared":
                    return ConversionEnd(words[0])
                case "failed":
                    reason, _, message = " ".join(words[1:]).partition(" ")
                    if reason == "ConversionLost":
                        message = f"job {over}, which converted the image, ended without a SIF: {why}. {message}"
                    raise self._error(TransientError(reason, message.strip()))
                case "refused":
                    code, _, text = words[2].partition(" ")
                    error = self._refused(int(code), text)
                    if not isinstance(error, AmbiguousError):
                        # Known to have become no job: nobody has to wait until it might have.
                        with suppress(ControllerError):
                            self.clear_conversion(identity, over="-", why=error.reason)
                    raise error
        raise AmbiguousError("AnswerCutOff", f"cluster {self._cluster.name}: no word on the conversion's job")

    def _refused(self, code: int, text: str) -> ControllerError:
        failure = self._scheduler.explain_failure(code, text)
        message = f"cluster {self._cluster.name}: the job that is to convert the image: {failure.message}"
        if failure.kind is Refusal.AMBIGUOUS:
            return AmbiguousError(failure.reason, message)
        if failure.kind is Refusal.WAIT:
            return WaitingError(failure.reason, message, retry_after_s=max(60.0, failure.retry_after_s))
        return StalledError(failure.reason, message)

    def _recipe(self, identity: str, material: Material) -> dict[str, str]:
        setup, containers = self._cluster.setup, self._cluster.containers
        source = sif.pulled(material.reference) if material.reference else sif.ARCHIVE
        build = sif.build_command(setup, containers, source, insecure=material.insecure)
        return {
            "identity": identity,
            "name": material.name,
            "upload": material.upload,
            "squash": "as-it-is" if material.is_sif else sif.WAYS,
            "build_command": sif.take_command() if material.is_sif else build,
            "check_command": sif.check_command(setup, containers),
        }

    def _job_script(self, identity: str, material: Material) -> str:
        recipe = self._recipe(identity, material)
        return "\n".join(
            [
                UNTOUCHED_SHELL,
                'export HOME="${HOME:-$(cd ~ && pwd)}" USER="${USER:-$(id -un)}"',
                self._scheduler.identity,
                f"instance={shlex.quote(self._instance)} nonce=job-$job_id login_option=${{login_option:-}}",
                f"root_expression={shlex.quote(root_expression(self._cluster.workdir))}",
                remote_file("prelude.sh"),
                *(f"{name}={shlex.quote(value)}" for name, value in recipe.items()),
                remote_file("images.sh"),
                remote_file("convert_job.sh"),
            ]
        )

    def _script(self, verb: str, /, *, parts: tuple[str, ...] = (), **variables: str) -> Script:
        return compose(
            verb,
            self._scheduler,
            cluster=self._cluster,
            instance=self._instance,
            variables=variables,
            parts=parts,
        )

    def _run(
        self, script: Script, payload: bytes | IO[bytes], *, timeout_s: float, progress: Progress | None = None
    ) -> Answer:
        try:
            return self._ask(script, payload, timeout_s=timeout_s, progress=progress)  # type: ignore[arg-type]
        except AmbiguousError:
            raise
        except (StalledError, TransientError) as error:
            raise self._error(error) from error

    def _error(self, error: ControllerError) -> ControllerError:
        """Hardly anything of this needs a person before it is tried again; what is busy is only to be waited for."""
        message = f"cluster {self._cluster.name}: {error.message}"
        if error.reason in _BUSY:
            return WaitingError(error.reason, message, retry_after_s=15)
        if error.reason in _LASTING:
            return StalledError(error.reason, message)
        return TransientError(error.reason, message)


def _modest(defaults: Resources) -> Resources:
    """What a conversion asks for: where the cluster's jobs go by default, no GPU, room enough for a large image."""
    return replace(
        defaults,
        gpus=None,
        nodes=None,
        memory_mib=max(defaults.memory_mib or 0, _MEMORY_MIB),
        walltime_s=defaults.walltime_s or _WALLTIME_S,
        extra=tuple(
            option for option in defaults.extra if not re.match(r"--(array|gpus|gres|wait|dependency)", option)
        ),
    )
