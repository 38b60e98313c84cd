"""The processes of the service: one or several uvicorn workers, which read, and the follower, which writes.

The follower (:mod:`catalog.appview.worker`) is restarted when it dies. A single worker runs in this process.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

import uvicorn
from uvicorn.supervisors import Multiprocess

from catalog.appview.index import Index
from catalog.appview.logs import note, set_up_logs
from catalog.appview.service import ENVIRONMENT, index_folder
from catalog.errors import InvalidConfig

if TYPE_CHECKING:
    from catalog.config import CatalogSettings

    _Socket = TypeVar("_Socket", bound=socket.socket)

GRACE_SECONDS: Final = 20
"""Limit on the requests under way when the service ends."""
_BACKLOG: Final = 1024
_MOST_CONNECTIONS: Final = 1000
_IDLE_SECONDS: Final = 30
_AGAIN_SECONDS: Final = 1.0
_MOST_AGAIN_SECONDS: Final = 30.0
_FOLLOWER: Final = "catalog.appview.worker"


class _Place(socket.socket):
    """A bound address on which each process listens with its own socket, where the system supports that.

    On a shared socket one process takes nearly all connections: of 32 one had all. Linux divides them among sockets of
    one address (SO_REUSEPORT, socket(7)).
    """

    def divide(self) -> None:
        """Let others listen here. Only now: before, a second service would not have failed to bind the port."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _passed(place: _Place) -> tuple[Callable[..., socket.socket], tuple[object, ...]]:
    return _listening, (place.family, place.getsockname())


def _listening(family: int, address: Any) -> socket.socket:  # noqa: ANN401 - of IPv4 or of IPv6
    sock = _socket(socket.socket, family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(address)
    sock.listen(_BACKLOG)
    return sock


def _socket(kind: type[_Socket], family: int) -> _Socket:
    sock = kind(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. asyncio sets it only where it sees that a socket is of TCP, and without it small answers,
    # whose head and body are two packets, wait 40 ms for the other side's delayed acknowledgement.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


_DIVIDES: Final = sys.platform == "linux"
if _DIVIDES:
    reduction.register(_Place, _passed)


def listen(address: str) -> socket.socket:
    """Return a socket on ``host:port``; port 0 is any free one. Raises :class:`InvalidConfig`."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise InvalidConfig(f"{address[:100]!r} is no address", where="--address", hint="for example 127.0.0.1:8080")
    sock = _socket(_Place if _DIVIDES else socket.socket, socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.bind((host, int(port)))
    except OSError as error:
        sock.close()
        raise InvalidConfig(f"can't listen there: {error.strerror or error}", where=address) from None
    return sock


def serve(
    config_file: Path, settings: CatalogSettings, sock: socket.socket, *, follows: bool, workers: int, as_json: bool
) -> None:
    """Serve until SIGINT or SIGTERM; then requests under way are finished, and the cursors of streams stored.

    Raises :class:`~catalog.errors.StoreError` when the index can't be opened.
    """
    set_up_logs(as_json=as_json)
    folder = index_folder(settings)
    Index(folder)  # made once, before several do
    host, port = sock.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    with (
        TemporaryDirectory(prefix="catalog-appview-") as counts,
        _follower(config_file, folder, follows=follows, as_json=as_json),
    ):
        about = {"config": str(config_file.resolve()), "json": as_json, "counts": counts}
        os.environ[ENVIRONMENT] = json.dumps(about)
        config = uvicorn.Config(
            "catalog.appview.service:application", factory=True, workers=workers, log_config=None, access_log=False,
            proxy_headers=False, server_header=False, lifespan="on", timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS, limit_concurrency=_MOST_CONNECTIONS, ws="none", backlog=_BACKLOG,
            http="h11",  # httptools takes heads of any length
        )  # fmt: skip
        listening = {"url": url, "pid": os.getpid(), "workers": workers, "follows": follows}
        if workers > 1 and isinstance(sock, _Place):
            sock.divide()
            Thread(target=_log_once_open, args=(sock.getsockname()[:2], listening), daemon=True).start()
        else:
            sock.listen(_BACKLOG)
            note("listening", listening)
        with _politely():
            if workers > 1:
                Multiprocess(config, sockets=[sock]).run()
            else:
                uvicorn.Server(config).run(sockets=[sock])
    note("ended")


def _log_once_open(address: tuple[str, int], listening: dict[str, object]) -> None:
    while True:
        try:
            socket.create_connection(address).close()
        except OSError:
            time.sleep(_AGAIN_SECONDS / 20)
        else:
            return note("listening", listening)


@contextmanager
def _politely() -> Iterator[None]:
    """Ignore the signals that uvicorn raises again after it has ended."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _follower(config_file: Path, folder: Path, *, follows: bool, as_json: bool) -> Iterator[None]:
    """Run the follower, and restart it whenever it dies."""
    if not follows:
        yield
        return
    stop, running = Event(), _Running()
    command = [sys.executable, "-m", _FOLLOWER, str(config_file.resolve()), str(folder)]
    keeper = Thread(target=_keep, args=([*command, *(["--json"] if as_json else [])], stop, running), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        running.end()
        keeper.join()


class _Running:
    """The current process of the follower."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """End the process by closing its standard input."""
        process = self.process
        if process is not None and process.stdin is not None:
            with suppress(BrokenPipeError):  # it ended by itself
                process.stdin.write(b"end\n")
                process.stdin.close()
            try:
                process.wait(GRACE_SECONDS + 10)
            except subprocess.TimeoutExpired:
                process.kill()


def _keep(command: list[str], stop: Event, running: _Running) -> None:
    pause = _AGAIN_SECONDS
    while not stop.is_set():
        begun = time.monotonic()
        code: int | str
        try:
            running.process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - ourselves
        except OSError as error:  # no memory, or too many processes: for the moment
            code = str(error)
        else:
            if stop.is_set():
                running.end()
            code = running.process.wait()
        if not stop.is_set():
            pause = _AGAIN_SECONDS if time.monotonic() - begun > _MOST_AGAIN_SECONDS else pause * 2
            pause = min(pause, _MOST_AGAIN_SECONDS)
            note("follower ended", {"code": code, "again_in_seconds": pause}, level=logging.WARNING)
            stop.wait(pause)
