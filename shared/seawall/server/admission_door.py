"""The door of API servers: AdmissionReview in, decision out.

It stands before the rest of the application, because it is asked hundreds of times a second and every pod waits for it.
A URL of a webhook may have no query and no credentials, and managed clusters cannot be given a client certificate to
show: so the secret is a bearer token (from the API server's `kubeConfigFile`) or the last part of the path.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING

from seawall.admission import review
from seawall.domain.errors import InputError, MalformedEvent, SeawallError, TooLarge, Unauthenticated

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from seawall.admission.review import Answer, Review
    from seawall.app.admit import Admission
    from seawall.server.metrics import Metrics

log = logging.getLogger(__name__)

PATH = "/v1/admission"
MAX_BYTES = 8 << 20
"""A review holds an object twice, and etcd takes 1.5 MiB of one."""


class AdmissionDoor:
    """ASGI middleware that answers `PATH` itself."""

    def __init__(self, app: ASGIApp, admission: Admission, token: str, metrics: Metrics) -> None:
        self._app, self._admission, self._token, self._metrics = app, admission, token.encode(), metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == PATH or path.startswith(PATH + "/")):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        try:
            self._let_in(scope, path)
            asked = review.read(await _body(receive))
            answer = await self._decide(asked)
            body, status = review.write(asked.uid, answer), 200
            verdict = "unknown" if answer.unknown else "allowed" if answer.allowed else "denied"
            if not answer.allowed:
                log.warning("not admitted", extra={"object": asked.what, "namespace": asked.namespace, "reasons": answer.reasons})  # fmt: skip
        except SeawallError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 503)
            problem = {"type": "about:blank", "title": type(error).__name__, "status": status, "detail": error.message}
            body, verdict = json.dumps(problem).encode(), "refused"
        kind = b"application/json" if status == 200 else b"application/problem+json"
        self._metrics.admissions.labels(verdict).inc()
        self._metrics.admission_seconds.observe(time.perf_counter() - began)
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _let_in(self, scope: Scope, path: str) -> None:
        scheme, _, shown = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            shown = path[len(PATH) + 1 :].encode()
        if not hmac.compare_digest(shown.strip(), self._token):
            raise Unauthenticated("the admission door: the token is missing or wrong")
        if scope["method"] != "POST":
            raise InputError("an AdmissionReview is posted")

    async def _decide(self, asked: Review) -> Answer:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._admission.limits.answer_s
        try:
            while pending := self._admission.waiting(asked):
                left = until - loop.time()
                if left <= 0:
                    break
                waiting = [asyncio.wrap_future(future) for future in pending]
                for future in waiting:
                    future.add_done_callback(_seen)
                await asyncio.wait(waiting, timeout=left)
        except InputError:
            pass  # an image that is no reference: the decision says so
        return self._admission.decide(asked)


_STATUS = ((Unauthenticated, 401), (TooLarge, 413), (InputError, 400))


def _seen(future: asyncio.Future[object]) -> None:
    if not future.cancelled():
        future.exception()


async def _body(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedEvent("the caller went away")
        parts += message.get("body", b"")
        if len(parts) > MAX_BYTES:
            raise TooLarge(f"the review has more than {MAX_BYTES} bytes")
        if not message.get("more_body", False):
            return bytes(parts)
