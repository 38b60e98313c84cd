"""The AppView's service for tests: in this process, asked without a network; or as the command, as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from catalog.appview.service import make_application
from catalog.atproto.lexicon import Lexicons
from catalog.config import AppViewSettings, CatalogSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from catalog.appview.middleware import Gate

PREFIX = "/xrpc/science.alt.dataset."
START_SECONDS = 180.0


class Asked:
    """A service in this process. ``run`` runs a coroutine where it lives."""

    def __init__(self, app: Gate, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.app = app
        self.run = run

    def send(
        self,
        path: str,
        *,
        method: str = "GET",
        head: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> httpx.Response:
        """A request, and what came back; compressed bodies are unpacked, as clients do."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(client, 1234))
            async with httpx.AsyncClient(transport=transport, base_url="http://appview.example") as session:
                return await session.request(method, path, headers={"accept-encoding": "identity", **(head or {})})

        found: httpx.Response = self.run(ask())
        return found

    def query(self, name: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever httpx takes
        """A query's answer, which must be one, and as its lexicon says."""
        found = self.send(f"{PREFIX}{name}?{httpx.QueryParams(parameters)}")
        return checked(name, found)


def checked(name: str, found: httpx.Response) -> dict[str, Any]:
    """The answer in a response, held against its lexicon."""
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json()
    assert Lexicons.load().validate_answer(f"science.alt.dataset.{name}", answer) == ()
    return answer


@contextmanager
def asking(store: Path, folder: Path, **settings: Any) -> Iterator[Asked]:  # noqa: ANN401 - AppViewSettings's
    """A service over a store; ``folder`` is for its counts."""
    folder.mkdir(exist_ok=True)
    app = make_application(CatalogSettings(store=store, appview=AppViewSettings(**settings)), folder)
    inner: Any = app._app
    # A thread of its own: in this one the browser's loop may be running since some other test.
    with ThreadPoolExecutor(1) as thread, asyncio.Runner() as runner:

        def run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it answers
            return thread.submit(runner.run, work).result()

        life = inner.router.lifespan_context(inner)
        run(life.__aenter__())
        yield Asked(app, run)
        run(life.__aexit__(None, None, None))
        thread.submit(runner.close).result()


@contextmanager
def listening(store: Path, folder: Path) -> Iterator[str]:
    """A service over a store in a thread of this process, for clients in others; yields its URL."""
    folder.mkdir(exist_ok=True)
    app = make_application(CatalogSettings(store=store, appview=AppViewSettings()), folder)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    server.config.load()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join()


class Served:
    """The command as a process. ``url`` is where it listens; ``lines`` what it logged, as objects."""

    def __init__(self, config: Path, *more: str, environment: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "catalog", "appview", "--config", str(config), "--json"]
        self.process = subprocess.Popen(
            [*command, *(more if "--address" in more else ("--address", "127.0.0.1:0", *more))],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.raw: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(START_SECONDS):
            self.process.kill()
            raise AssertionError("\n".join(self.raw))
        self.url = str(next(line["url"] for line in self.lines if line["event"] == "listening"))
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line.rstrip("\n"))
            if '"listening"' in line:
                self._listening.set()
        self._listening.set()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw]

    def query(self, name: str, /, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever httpx takes
        return checked(name, self.client.get(f"{PREFIX}{name}", params=parameters))

    def until_ready(self, *, behind: int | None = None) -> None:
        """Until it answers queries; with ``behind`` until the index is so close to the store."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                found = self.client.get("/readyz")
            except httpx.TransportError:
                found = None
            if found is not None and found.status_code == 200 and behind in (None, found.json()["behind"]):
                return
            assert self.process.poll() is None, "\n".join(self.raw)
            assert time.monotonic() < deadline, "\n".join(self.raw[-20:])
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(60)
        assert self.process.stderr is not None
        if not self._reader.is_alive():
            self.process.stderr.close()
        return code


@contextmanager
def serving(config: Path, *more: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """The command while the block runs."""
    served = Served(config, *more, environment=environment)
    try:
        yield served
    finally:
        served.end()
