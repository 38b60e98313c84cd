"""A server of files by HTTP ranges, for pages of another origin."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes import Asked, Fake, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler


@dataclass(slots=True, kw_only=True)
class RangeFiles:
    """Files by path. Those in ``whole`` are served without ranges, those in ``closed`` without CORS.

    ``requests`` are the paths with the bytes that were sent, ``moments`` their times in seconds since 1970.
    """

    fake: Fake
    files: dict[str, bytes] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    requests: list[tuple[str, int]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)

    def add(self, name: str, content: bytes) -> str:
        """Serve a file; return its URL."""
        self.files[f"/{name}"] = content
        self.fake.routes[f"/{name}"] = self._answer
        return f"{self.fake.url}/{name}"

    def _answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        raw = self.files[asked.path]
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", asked.headers.get("range", ""))
        start, stop, status = 0, len(raw), 200
        if wanted and asked.path not in self.whole:
            start, stop, status = int(wanted[1]), min(len(raw), int(wanted[2]) + 1), 206
        if start >= len(raw) > 0:
            status = 416
        body = raw[start:stop] if status != 416 else b""
        handler.send_response(status)
        if asked.path not in self.closed:
            handler.send_header("Access-Control-Allow-Origin", "*")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if asked.method != "HEAD":
            self.requests.append((asked.path, len(body)))
            self.moments.append(time.time())
            handler.wfile.write(body)


@contextmanager
def range_files() -> Iterator[RangeFiles]:
    """Start such a server on a loopback port."""
    with fake_server({}) as fake:
        yield RangeFiles(fake=fake)
