"""The outermost ASGI middleware: rate limits, CORS, metrics, and a log line for each request.

An unexpected exception becomes an XRPC error without details; the log has them.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catalog.appview.logs import MOST_TEXT, note
from catalog.appview.metrics import OTHER
from catalog.appview.rate_limit import Buckets, client_of
from catalog.appview.xrpc import METHODS, PREFIX, Problem

if TYPE_CHECKING:
    from catalog.appview.metrics import Metrics
    from catalog.appview.rate_limit import Share
    from catalog.config import AppViewSettings

_Scope: TypeAlias = "MutableMapping[str, Any]"
_Send: TypeAlias = "Callable[[MutableMapping[str, Any]], Awaitable[None]]"
_Receive: TypeAlias = "Callable[[], Awaitable[MutableMapping[str, Any]]]"
_App: TypeAlias = "Callable[[_Scope, _Receive, _Send], Awaitable[None]]"
_Head: TypeAlias = "list[tuple[bytes, bytes]]"

CLIENT: Final = "catalog.client"
"""Key of the client's address in a request's scope."""
LONGEST_ADDRESS: Final = 16_384
"""Bytes of path and parameters."""
_UNLIMITED: Final = frozenset({"/metrics", "/healthz", "/readyz", "/xrpc/_health"})
"""The addresses for monitoring."""
_EXPOSED: Final = b"ETag, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy, Retry-After"
_ALWAYS: Final = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"86400"),
)


def method_of(path: str) -> str:
    """Return the query of a path, by its name in the metrics."""
    name = path.removeprefix(f"/xrpc/{PREFIX}")
    return name if name != path and name in METHODS else OTHER


class Gate:
    """The middleware. One event loop's."""

    def __init__(self, app: _App, settings: AppViewSettings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._origins = frozenset(settings.origins)
        self._proxies = settings.trusted_proxies
        self._buckets = Buckets(settings.requests, settings.seconds) if settings.requests else None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            await _Passage(self, scope).serve(self._app, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    def share(self, client: str, path: str) -> Share | None:
        """Take a request out of the client's bucket; None where nothing is limited."""
        if self._buckets is None or path in _UNLIMITED:
            return None
        return self._buckets.take(client, time.monotonic())

    def limits(self, share: Share) -> _Head:
        """Return the headers with the rest of a client's rate limit."""
        assert self._buckets is not None  # noqa: S101 - or there were no share
        most, seconds = self._buckets.requests, self._buckets.seconds
        head = [
            (b"ratelimit-limit", b"%d" % most), (b"ratelimit-remaining", b"%d" % share.left),
            (b"ratelimit-reset", b"%d" % share.reset), (b"ratelimit-policy", b"%d;w=%d" % (most, seconds)),
        ]  # fmt: skip
        return head if share.allowed else [*head, (b"retry-after", b"%d" % share.wait)]

    def cross_origin(self, origin: bytes) -> _Head:
        """Return the headers that let web pages of other origins read the answer."""
        if "*" in self._origins:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        if origin.decode("latin-1") not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin), (b"vary", b"Origin"),
            (b"access-control-expose-headers", _EXPOSED),
        ]  # fmt: skip

    def client(self, scope: _Scope, head: dict[bytes, bytes]) -> str:
        """Return the address of the client."""
        peer = scope.get("client")
        forwarded = head.get(b"x-forwarded-for", b"").decode("latin-1")
        return client_of(peer[0] if peer else None, forwarded, self._proxies)

    def done(self, method: str, status: int, seconds: float, sent: int) -> None:
        """Count a request."""
        self._metrics.count(method, status, seconds, sent)


class _Passage:
    """One request in progress."""

    def __init__(self, gate: Gate, scope: _Scope) -> None:
        self._gate = gate
        self._scope = scope
        self._begun = time.perf_counter()
        # Of repeated headers the first counts, except for X-Forwarded-For, which proxies may rewrite or append to.
        self._head: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            both = self._head.get(name)
            if both is None:
                self._head[name] = value
            elif name == b"x-forwarded-for":
                self._head[name] = both + b"," + value
        self._status = 0
        self._sent = 0
        self._more: _Head = []

    async def serve(self, app: _App, receive: _Receive, send: _Send) -> None:
        gate, scope = self._gate, self._scope
        scope[CLIENT] = self._client = gate.client(scope, self._head)
        self._more = gate.cross_origin(self._head.get(b"origin", b""))
        share = gate.share(self._client, scope["path"])
        if share is not None:
            self._more += gate.limits(share)
        out = self._out(send)
        try:
            if len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"]) > LONGEST_ADDRESS:
                await _tell(out, Problem(status=414, name="InvalidRequest", message="the address is too long"))
            elif share is not None and not share.allowed:
                wait = f"too many requests; ask again in {share.wait} s"
                await _tell(out, Problem(status=429, name="RateLimitExceeded", message=wait))
            elif scope["method"] == "OPTIONS":
                await out({"type": "http.response.start", "status": 204, "headers": [*_PREFLIGHT]})
                await out({"type": "http.response.body", "body": b""})
            else:
                await app(scope, receive, out)
        except Exception:  # noqa: BLE001 - logged here, and not shown to the client
            note("failed", {"path": scope["path"][:MOST_TEXT]}, level=logging.ERROR)
            if not self._status:
                await _tell(out, Problem(status=500, name="InternalServerError", message="something went wrong here"))
        finally:
            self._close()

    def _out(self, send: _Send) -> _Send:
        async def out(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *_ALWAYS, *self._more]}
            elif message["type"] == "http.response.body":
                body = b"" if self._scope["method"] == "HEAD" else message.get("body", b"")
                self._sent += len(body)
                message = {**message, "body": body}
            await send(message)

        return out

    def _close(self) -> None:
        path, seconds = self._scope["path"], time.perf_counter() - self._begun
        method = method_of(path)
        # A client that went away before an answer was there.
        status = self._status or 499
        self._gate.done(method, status, seconds, self._sent)
        note(
            "request",
            {
                "method": self._scope["method"],
                "path": path[:MOST_TEXT],
                "query": self._scope["query_string"][:MOST_TEXT].decode("latin-1"),
                "status": status,
                "ms": round(seconds * 1e3, 2),
                "bytes": self._sent,
                "client": self._client,
            },
        )


async def _tell(send: _Send, problem: Problem) -> None:
    body = json.dumps(problem.body()).encode()
    head = [
        (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": problem.status, "headers": head})
    await send({"type": "http.response.body", "body": body})
