"""The pages of the HTTP port: the webhook, health, readiness, metrics.

Imports Starlette, so it is imported only when the port was asked for. A request is answered at once: a
webhook asks for a pass and does not wait for it. What must not be in here: sockets, threads (``listener``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.model.errors import ConfigurationError
from controller.service.metrics import CONTENT_TYPE, Metrics
from controller.service.pacing import Health, Progress
from controller.service.secret import SecretFile
from controller.service.webhook import Verdict, has_credentials, is_authentic, judge

BODY_LIMIT = 1024 * 1024
BODY_TIMEOUT_S = 10.0

log = structlog.get_logger()

_ANSWERS: dict[Verdict, tuple[int, str]] = {
    Verdict.ACCEPTED: (202, "A pass will begin soon."),
    Verdict.IGNORED: (200, "Not a push to the branch that specs are read from; nothing to do."),
    Verdict.PING: (200, "The secret is right."),
    Verdict.UNAUTHORIZED: (401, "Signature or token missing or wrong; set the same secret on both sides."),
    Verdict.TOO_LARGE: (413, f"The body is over {BODY_LIMIT} bytes; the next tick will find the push."),
    Verdict.INCOMPLETE: (408, "The body did not arrive in time."),
    Verdict.UNAVAILABLE: (503, "The secret cannot be read on the controller's side; see its log."),
}


class Loop(Protocol):
    """The part of ``Service`` that the pages need."""

    def request_pass(self, reason: str) -> None:
        """Ask for a pass soon."""

    def health(self) -> Health:
        """Whether the loop is alive."""

    @property
    def progress(self) -> Progress:
        """What the loop knows of its passes."""


class _Refused(Exception):
    """Ends the handling of a request with an answer."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.verdict = verdict


class Webhook:
    """The webhook's page."""

    def __init__(
        self,
        *,
        request_pass: Callable[[str], None],
        secret: SecretFile,
        watched_ref: str | None,
        own_refs: Collection[str],
        count: Callable[[Verdict], None],
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._request_pass = request_pass
        self._secret = secret
        self._watched_ref = watched_ref
        self._own_refs = own_refs
        self._count = count
        self._body_timeout_s = body_timeout_s

    async def page(self, request: Request) -> Response:
        """Answer a webhook."""
        try:
            verdict = await self._judge(request)
        except _Refused as refused:
            verdict = refused.verdict
        self._count(verdict)
        if verdict is Verdict.ACCEPTED:
            self._request_pass("webhook")
        status, message = _ANSWERS[verdict]
        log.debug("webhook_received", result=verdict.value)
        return JSONResponse({"result": verdict.value, "message": message}, status_code=status)

    async def _judge(self, request: Request) -> Verdict:
        if not has_credentials(request.headers):
            return Verdict.UNAUTHORIZED
        try:
            secret = self._secret.read()
        except ConfigurationError as error:
            log.error("webhook_secret_unreadable", reason=error.reason, message=error.message)
            return Verdict.UNAVAILABLE
        body = await self._body(request)
        if not is_authentic(request.headers, body, secret):
            return Verdict.UNAUTHORIZED
        return judge(request.headers, body, self._watched_ref, self._own_refs)

    async def _body(self, request: Request) -> bytes:
        """The body, of which no more than the limit and one chunk is ever held."""
        announced = request.headers.get("content-length", "")
        if len(announced) > 9 or (announced.isdecimal() and int(announced) > BODY_LIMIT):
            raise _Refused(Verdict.TOO_LARGE)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > BODY_LIMIT:
                        raise _Refused(Verdict.TOO_LARGE)
        except (TimeoutError, ClientDisconnect) as error:
            raise _Refused(Verdict.INCOMPLETE) from error
        return bytes(body)


def build_app(
    loop: Loop,
    metrics: Metrics,
    *,
    secret: SecretFile | None,
    watched_ref: str | None = None,
    own_refs: Collection[str] = (),
    body_timeout_s: float = BODY_TIMEOUT_S,
) -> Starlette:
    """Put the pages together. Without a secret there is no webhook page, as nobody could be told apart."""

    async def healthz(_request: Request) -> Response:
        state = loop.health()
        answer = {
            "status": "ok" if state.healthy else "unhealthy",
            "reason": state.reason,
            "message": state.message,
            **state.details,
        }
        return JSONResponse(answer, status_code=200 if state.healthy else 503)

    async def readyz(_request: Request) -> Response:
        progress = loop.progress
        ready = progress.completed > 0 and not progress.stopping
        return JSONResponse({"status": "ok" if ready else "not ready"}, status_code=200 if ready else 503)

    async def metrics_page(_request: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_page)]
    if secret is not None:
        webhook = Webhook(
            request_pass=loop.request_pass,
            secret=secret,
            watched_ref=watched_ref,
            own_refs=own_refs,
            count=metrics.webhook,
            body_timeout_s=body_timeout_s,
        )
        routes.append(Route("/webhook", webhook.page, methods=["POST"]))
    return Starlette(routes=routes)
