"""A tiny HTTP server for what a real one doesn't do: lies, floods, drips and redirects."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Asked", "Fake", "QuietServer", "answer", "fake_server", "forward", "serving"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as the fake got it; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Fake:
    """A running fake: its URL without a slash, and all it was asked. ``routes`` may change while it runs."""

    url: str
    routes: dict[str, Callable[[BaseHTTPRequestHandler, Asked], None]]
    asked: list[Asked] = field(default_factory=list)

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [asked.path for asked in self.asked]


def answer(handler: BaseHTTPRequestHandler, value: object, status: int = 200, **headers: str) -> None:
    """Answer JSON, or bytes as they are; ``Retry_After="1"`` is a header."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    handler.send_response(status)
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class QuietServer(ThreadingHTTPServer):
    """A client that hangs up is what some tests are about, and nothing to print."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a broken connection, and everything of a fault of the fake."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # socketserver's own types


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[Callable[[Path], str]]:
    """Yield ``start(directory)``, which serves a folder with this handler and returns the base URL, with a slash."""
    servers: list[QuietServer] = []

    def start(directory: Path) -> str:
        servers.append(QuietServer(("127.0.0.1", 0), partial(handler, directory=str(directory))))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def forward(handler: BaseHTTPRequestHandler, upstream: str) -> tuple[int, str, bytes]:
    """Return the real server's response to this GET: status, content type, body."""
    request = Request(upstream + handler.path, headers={"Accept": handler.headers.get("Accept", "*/*")})  # noqa: S310 - loopback
    try:
        with urlopen(request, timeout=60) as answered:  # noqa: S310
            return answered.status, answered.headers.get("Content-Type", ""), answered.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type", ""), error.read()


@contextmanager
def fake_server(
    routes: dict[str, Callable[[BaseHTTPRequestHandler, Asked], None]], *, upstream: str | None = None
) -> Iterator[Fake]:
    """Serve ``routes`` by path on a free loopback port; every other path is ``upstream``'s, or a 404."""
    fake = Fake(url="", routes=routes)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        disable_nagle_algorithm = True  # else each body waits until its headers are acknowledged: 40 ms

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            fake.asked.append(asked)
            route = fake.routes.get(parts.path)
            try:
                if route is None and upstream is not None:
                    status, kind, body = forward(self, upstream)
                    answer(self, body, status, Content_Type=kind)
                elif route is None:
                    answer(self, {"error": "NotFound", "message": "no such route"}, 404)
                else:
                    route(self, asked)
            except OSError:
                self.close_connection = True  # the client hung up, as it should

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815 — the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
