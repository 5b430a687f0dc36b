"""The checks before the application: a request's host, its size, and how many are under way.

And what every answer carries: headers that keep a browser from loading, framing, guessing or passing on anything.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response

from lastfm_dask.serve.problems import Problem, json_bytes
from lastfm_dask.serve.questions import MAX_QUERY_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lastfm_dask.serve.metrics import Metrics

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that answer under any load: monitoring calls them."""
_PREFLIGHT_S = "600"
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    `hosts` are names that a Host header may have beside `localhost` and addresses; `*` allows every name. `origins`
    are other sites whose pages may read the answers.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def allows_host(self, header: str) -> bool:
        """Say whether a Host header names this server: localhost, an address, or a name that was allowed.

        A page of another site can make its own name lead here, but not an address.
        """
        host = header.strip().lower()
        name = host[1 : host.find("]")] if host.startswith("[") else host.rpartition(":")[0] or host
        name = name.removesuffix(".")
        if name == "localhost" or name in self.hosts or "*" in self.hosts:
            return bool(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class Guard:
    """The outermost layer of the application.

    Parameters
    ----------
    app : ASGI application
        What answers.
    access : Access
        Who may ask.
    metrics : Metrics
        Counts requests; its plan bounds those in flight.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self.app = app
        self.access = access
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass a lifespan on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        answer = _Answer(send, self._cors(scope))
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, answer.send)
            self._count(scope, answer)
            return
        self.metrics.in_flight += 1
        try:
            await self.app(scope, receive, answer.send)
        finally:
            self.metrics.in_flight -= 1
            self._count(scope, answer)

    def _count(self, scope: Scope, answer: _Answer) -> None:
        route = getattr(scope.get("route"), "path", _OTHER)
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else _OTHER
        self.metrics.count(route, method, answer.status, time.perf_counter() - answer.began)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.access.allows_host(hosts[0]):
            return self._refuse(
                Problem(400, "bad_host", "the Host header does not name this server: see --allow-host")
            )
        if len(scope.get("query_string", b"")) > MAX_QUERY_BYTES:
            message = f"the query string is longer than {MAX_QUERY_BYTES} bytes: send a body by POST"
            return self._refuse(Problem(414, "query_too_long", message))
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return Response(status_code=204)
        if self.metrics.in_flight >= self.metrics.plan.max_requests and scope["path"] not in ALWAYS_ANSWERED:
            message = f"{self.metrics.in_flight} requests are under way, as many as are allowed: ask again in a second"
            return self._refuse(Problem(503, "busy", message, retry_after_s=1))
        return None

    def _refuse(self, problem: Problem) -> Response:
        self.metrics.refused[problem.code] += 1
        return problem_response(problem)

    def _cors(self, scope: Scope) -> dict[str, str]:
        if not self.access.origins:
            return {}
        origin = Headers(scope=scope).get("origin")
        if origin not in self.access.origins:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin or "",
            "Access-Control-Allow-Methods": "GET, HEAD, POST",
            "Access-Control-Allow-Headers": "Content-Type",
            "Access-Control-Max-Age": _PREFLIGHT_S,
            "Cross-Origin-Resource-Policy": "cross-origin",
        }


class _Answer:
    """Sends an answer with our headers, and remembers its status."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.began = time.perf_counter()
        self.status = 500

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, **self._headers}.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def problem_response(problem: Problem) -> Response:
    """Return a problem as JSON."""
    headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
    return json_response(problem.to_dict(), problem.status, headers)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a value as JSON."""
    return Response(json_bytes(value), status, headers, "application/json")


def text_response(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Response:
    """Return a text."""
    return PlainTextResponse(text, status, media_type=content_type)
