"""A listener on this machine for the redirect that ends a login in the browser. https://www.rfc-editor.org/rfc/rfc8252"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from catalog.atproto.oauth import LOGIN_SECONDS, REDIRECT_PATH
from catalog.errors import SessionError

if TYPE_CHECKING:
    from types import TracebackType

_MAX_ADDRESS: Final = 8000
_READ_SECONDS: Final = 10
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>catalog login</title>
<p>The answer of your server has arrived. You can close this page and return to the terminal.</p></html>"""
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}


class Listener:
    """A listener on a free port of 127.0.0.1; a context manager.

    ``redirect_uri`` is its address. It answers only the redirect of this login, once, and every other request by 404:
    other pages in the browser can reach it as well.
    """

    def __init__(self, ports: Sequence[int] = ()) -> None:
        """Try ``ports`` first. Raises :class:`SessionError` if no port can be opened."""
        self._answers: Queue[str] = Queue()
        self._accepts: Callable[[str], bool] = lambda _address: False
        self._lock = threading.Lock()
        self._server = self._bind(ports)
        self.redirect_uri = f"http://127.0.0.1:{self._server.server_port}{REDIRECT_PATH}"

    def _bind(self, ports: Sequence[int]) -> ThreadingHTTPServer:
        handler = _handler(self._take)
        for port in (*ports, 0):
            try:
                return _Server(("127.0.0.1", port), handler)
            except OSError as error:
                refused = error
        raise SessionError(f"no port of 127.0.0.1 can be opened: {refused.strerror or refused}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, accepts: Callable[[str], bool], *, seconds: float = LOGIN_SECONDS) -> str:
        """Return the first address that ``accepts`` takes. Raises :class:`SessionError` if none arrives in time."""
        self._accepts = accepts
        try:
            return self._answers.get(timeout=seconds)
        except Empty:
            message = f"no answer from the browser in {seconds / 60:.0f} minutes"
            raise SessionError(message, hint="run `catalog login` again; --no-browser prints the address") from None
        finally:
            self._accepts = lambda _address: False

    def paste(self, address: str) -> bool:
        """Take an address that the user copied from the browser. Return whether it is the awaited one."""
        return self._take(address)

    def _take(self, address: str) -> bool:
        with self._lock:
            if len(address) > _MAX_ADDRESS or not self._accepts(address):
                return False
            self._accepts = lambda _address: False
            self._answers.put(address)
            return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False  # on Windows another program could take the port as well

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser may hang up as it likes."""


def _handler(take: Callable[[str], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_SECONDS
        server_version = "catalog"
        sys_version = ""

        def do_GET(self) -> None:
            taken = urlsplit(self.path).path == REDIRECT_PATH and take(self.path)
            body = _PAGE.encode() if taken else b"Not the answer to this login."
            self.send_response(200 if taken else 404)
            for name, text in {**_HEADERS, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
            """Log nothing: the address has the code."""

    return Handler
