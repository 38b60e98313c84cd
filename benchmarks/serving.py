"""Serve a site on loopback like a static host: compressed, with cache headers, counting every byte."""

from __future__ import annotations

import gzip
import mimetypes
import threading
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Served", "serving"]

_TEXT: Final = (".html", ".css", ".js", ".json", ".xml", ".svg", ".txt", ".ttl", ".webmanifest")
"""The files that hosts compress. They send the index's own files, which are compressed already, unchanged."""


class Served(ThreadingHTTPServer):
    """The server. ``bytes`` counts by path what went out, heads and bodies, also to workers."""

    daemon_threads = True

    def __init__(self, site: Path) -> None:
        self.site = site.resolve()
        self.bytes: Counter[str] = Counter()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def base(self) -> str:
        """The site's address, with a closing slash."""
        return f"http://127.0.0.1:{self.server_port}/"

    def taken(self) -> Counter[str]:
        """Return the bytes sent since the last call."""
        with self.lock:
            found, self.bytes = self.bytes, Counter()
        return found


@lru_cache(maxsize=500)
def _body(file: Path, *, packed: bool) -> bytes:
    raw = file.read_bytes()
    return gzip.compress(raw, 6, mtime=0) if packed else raw


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Served

    def do_GET(self) -> None:
        """Send a file, or say that there is none."""
        path = unquote(urlsplit(self.path).path)
        file = (self.server.site / path.lstrip("/")).resolve()
        if file.is_dir():
            file /= "index.html"
        found = file.is_file() and file.is_relative_to(self.server.site)
        packed = found and file.suffix in _TEXT and "gzip" in self.headers.get("Accept-Encoding", "")
        body = _body(file, packed=packed) if found else b"not here\n"
        self._status = 200 if found else 404
        head = [("Content-Length", str(len(body))), ("Cache-Control", "max-age=600"), ("Vary", "Accept-Encoding")]
        head.append(("Content-Type", mimetypes.guess_type(file.name)[0] or "application/octet-stream"))
        if packed:
            head.append(("Content-Encoding", "gzip"))
        self.send_response(self._status)
        for name, value in head:
            self.send_header(name, value)
        sent = len(body) + sum(map(len, getattr(self, "_headers_buffer", []))) + 2
        with self.server.lock:
            self.server.bytes[path] += sent
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Nothing: the numbers are what is wanted."""


@contextmanager
def serving(site: Path) -> Iterator[Served]:
    """Serve a folder while the block runs."""
    server = Served(site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
