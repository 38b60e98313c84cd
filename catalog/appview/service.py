"""The AppView as an ASGI application: routes, responses and their caching.

- An ETag has two parts: the state of store and index, and a digest of the response. A client with the latest state gets
  304 without running the query; one with the same response gets 304 after it.
- Queries take turns in a few threads (:mod:`catalog.appview.fair_queue`); monitoring has a thread of its own.
- Large responses are sent in parts, and a client that stops reading is disconnected after a minute. The bytes that wait
  to be sent are limited.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.metadata import version
from multiprocessing.connection import wait
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from catalog.appview.fair_queue import TooMany, Turns
from catalog.appview.health import DEAD, RUNNING, heartbeat_age, read_health
from catalog.appview.index import FORMAT, Index, directory
from catalog.appview.jsontext import dumped
from catalog.appview.logs import note, set_up_logs
from catalog.appview.metrics import Metrics
from catalog.appview.middleware import CLIENT, Gate
from catalog.appview.openapi import openapi
from catalog.appview.queries import Queries
from catalog.appview.serializers import moment_text
from catalog.appview.statuspage import POLICY, status_page
from catalog.appview.xrpc import PREFIX, Problem, ask_queries, lexicon_of
from catalog.config import load_settings
from catalog.errors import StoreError
from catalog.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from catalog.appview.index import State
    from catalog.appview.serializers import Answer
    from catalog.config import CatalogSettings
    from catalog.store.reader import Position

ENVIRONMENT: Final = "CATALOG_APPVIEW"
"""The variable that tells processes what to serve: JSON with ``config``, ``json`` and ``counts``."""
MOST_WAITING: Final = 200
"""Queries that wait for a thread, in one process."""
_MOST_WAITING_OF_ONE: Final = 100
"""Of one client: behind a proxy that isn't trusted, all are one."""
_THREADS: Final = 2
_STORE_SECONDS: Final = 2.0
"""Limit on waiting for a locked store."""
_RETRY_SECONDS: Final = 2
MOST_OUTGOING: Final = 128_000_000
"""Bytes of large answers that wait to be read, in one process."""
SENDING_SECONDS: Final = 60.0
"""Limit on reading a large response by a client."""
_PART: Final = 256 * 1024
_HEAVY: Final = Lock()
"""Held while a large answer is compressed: one at a time, so that the machine has time for all else."""
_WORTH_PACKING: Final = 1000
_SWITCH_SECONDS: Final = 0.0005
"""The interpreter's switch interval: with Python's 5 ms short answers would wait for long ones."""
_CHANGING: Final = frozenset(PREFIX + name for name in ("getStatistics", "getEntryStats", "describeService"))
"""Answers that change while store and index stay as they are."""
_NOT_READY: Final = Problem(status=503, name="NotReady", message="the index is being built; ask again soon")
_BUSY: Final = Problem(status=503, name="NotReady", message="too many requests at once; ask again soon")
_NO_STORE: Final = Problem(status=503, name="NotReady", message="the catalog can't be read just now; ask again soon")


def index_folder(settings: CatalogSettings) -> Path:
    """The folder of the search index."""
    named = settings.appview.index
    return directory(settings.store) if named is None else named / f"v{FORMAT}"


def application() -> Gate:
    """Return the application that the environment variable describes; called by uvicorn's processes."""
    about = json.loads(os.environ[ENVIRONMENT])
    set_up_logs(as_json=about["json"])
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = make_application(load_settings(Path(about["config"])), Path(about["counts"]))
    gc.freeze()  # what is here now stays: not to be searched for garbage again and again
    return app


def _end_with(sentinel: int) -> None:
    """End with the parent: a worker whose parent was killed would hold the port."""
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def make_application(settings: CatalogSettings, counts: Path) -> Gate:
    """The application over a store; ``counts`` is an empty folder that its processes share. Raises ``StoreError``."""
    service = _Service(settings, Metrics(counts))
    routes = [
        Route("/", service.page),
        Route("/xrpc/_health", service.version),
        Route("/xrpc/{nsid}", service.query),
        Route("/healthz", service.alive),
        Route("/readyz", service.ready),
        Route("/metrics", service.metrics),
        Route("/openapi.json", service.openapi),
        Route("/.well-known/did.json", service.did_document),
    ]
    handlers = {HTTPException: _refused, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=service.lifespan)
    app.router.redirect_slashes = False
    return Gate(app, settings.appview, service.counts)


class _Outgoing:
    """The bytes of large responses that clients haven't read yet."""

    bytes = 0


class _InParts(Response):  # type: ignore[misc] # Starlette is untyped where it isn't installed
    """A large answer. Raises ``TimeoutError`` when it isn't read in time; the connection is then closed."""

    def __init__(self, whole: Response, outgoing: _Outgoing) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))
        self._outgoing = outgoing
        outgoing.bytes += len(self.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send it."""
        try:
            async with asyncio.timeout(SENDING_SECONDS):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                for start in range(0, len(self.body), _PART):
                    part, end = self.body[start : start + _PART], start + _PART
                    await send({"type": "http.response.body", "body": part, "more_body": end < len(self.body)})
        finally:
            self._outgoing.bytes -= len(self.body)


def _did_web(url: str) -> str:
    """Return the did:web of a service; a port is percent-encoded: https://w3c-ccg.github.io/did-method-web/."""
    return f"did:web:{urlsplit(url).netloc.replace(':', '%3A')}"


class _Service:
    """The state of one process that the routes answer from."""

    def __init__(self, settings: CatalogSettings, counts: Metrics) -> None:
        self.counts = counts
        self._settings = settings
        self._reader = Reader(settings.store, patience=_STORE_SECONDS)
        self._index = Index(index_folder(settings))
        self._queries = Queries(self._index, self._reader, _did_web(settings.appview.url or "http://localhost"))
        # One more thread than busy clients may have, for those that have used little.
        self._pool = ThreadPoolExecutor(_THREADS + 1, thread_name_prefix="query")
        self._care = ThreadPoolExecutor(1, thread_name_prefix="care")
        self._turns = Turns(_THREADS, each=_MOST_WAITING_OF_ONE)
        self._outgoing = _Outgoing()
        self._version = version("atdata-catalog")
        self._described = json.dumps(openapi(self._version, settings.appview.url)).encode()

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Start and stop the service; requests in progress are finished first."""
        try:
            await self._cared(self._queries.warm)
        except StoreError as error:
            note("not ready", {"reason": str(error)})
        except Exception:  # noqa: BLE001 - queries say themselves what fails
            note("failed", {"what": "warming up"}, level=logging.ERROR)
        yield
        self._pool.shutdown()
        self._care.shutdown()
        self._queries.usage.flush()
        self._reader.close()
        self.counts.close()

    async def _cared(self, call: Any, *arguments: Any) -> Any:  # noqa: ANN401 - whatever it is
        """Run a call in the thread of monitoring."""
        return await asyncio.get_running_loop().run_in_executor(self._care, _contained, call, *arguments)

    async def query(self, request: Request) -> Response:
        """``/xrpc/…``."""
        nsid, head = request.path_params["nsid"], request.headers
        if lexicon_of(nsid) is None:
            return _told(Problem(status=501, name="MethodNotImplemented", message="no such query here"))
        text = request.scope["query_string"].decode("latin-1")
        held, packs = head.get("if-none-match", ""), "gzip" in head.get("accept-encoding", "")
        loop = asyncio.get_running_loop()
        try:
            async with self._turns.turn(request.scope.get(CLIENT, ""), MOST_WAITING):
                reply = await loop.run_in_executor(self._pool, _contained, self._answer, nsid, text, held, packs)
        except TooMany:
            return _told(_BUSY)
        if len(reply.body) <= _PART:
            return reply
        if self._outgoing.bytes + len(reply.body) > MOST_OUTGOING:
            return _told(_BUSY)
        return _InParts(reply, self._outgoing)

    def _answer(self, nsid: str, text: str, held: str, packs: bool) -> Response:  # noqa: FBT001 - one caller
        try:
            state = self._state()
            if state is None:
                return _told(_NOT_READY)
            tags = [tag.strip().removeprefix("W/").strip('"') for tag in held.split(",")] if held else []
            if nsid not in _CHANGING:
                known = next((tag for tag in tags if tag.partition(".")[0] == state), None)
                if known is not None:
                    return _unchanged(known)
            found = ask_queries(self._queries, nsid, text)
        except StoreError as error:
            note("not readable", {"reason": str(error)}, level=logging.WARNING)
            return _told(_NO_STORE)
        if isinstance(found, Problem):
            return _told(found)
        body = dumped(found)
        digest = blake2b(body, digest_size=9).hexdigest()
        tag = f"{state}.{digest}"
        if any(one.partition(".")[2] == digest for one in tags):
            return _unchanged(tag)
        return _packed(body, packs, {"etag": f'W/"{tag}"', "cache-control": "public, no-cache"})

    def _state(self) -> str | None:
        """Return a short hash of the state of store and index; None while the index isn't built."""
        # Before the position: a crawl that ends in between must not make an empty index look complete.
        crawls_first = self._crawls_first()
        searcher, state, here = self._index.searcher(), self._index.state(), self._reader.position()
        if not searcher.num_docs and (crawls_first or not self._is_current(state, here)):
            return None
        meta = self._index.commit()
        what = (here.store, here.number, self._reader.configuration(), *meta)
        return blake2b(repr(what).encode(), digest_size=6).hexdigest()

    def _is_current(self, state: State | None, here: Position) -> bool:
        """Return whether the index has all of the store's changes up to ``here`` and shows the store's sources."""
        return (
            state is not None
            and state.position.store == here.store
            and state.position.number >= here.number
            and state.configuration == self._reader.configuration_digest()
        )

    def _crawls_first(self) -> bool:
        """Return whether the follower has yet to end the first crawl."""
        health = read_health(self._index.folder)
        return health is not None and "sources" in health.works and not self._reader.crawled()

    async def version(self, _: Request) -> Response:
        """``/xrpc/_health``."""
        return _packed(dumped({"version": self._version}), packs=False, head={"cache-control": "no-store"})

    async def alive(self, _: Request) -> Response:
        """``/healthz``: this process answers."""
        return _packed(dumped({"alive": True}), packs=False, head={"cache-control": "no-store"})

    async def ready(self, _: Request) -> Response:
        """``/readyz``: the index is built, and can be read."""
        try:
            behind = await self._cared(self._behind)
        except StoreError as error:
            note("not ready", {"reason": str(error)}, level=logging.WARNING)
            return _told(_NO_STORE)
        if behind is None:
            return _told(_NOT_READY)
        about: dict[str, Any] = {"ready": True, "behind": behind}
        following = _following(self._index.folder)
        if following is not None:
            about["following"] = following
        return _packed(dumped(about), packs=False, head={"cache-control": "no-store"})

    def _behind(self) -> int | None:
        return None if self._state() is None else self._queries.behind

    async def metrics(self, _: Request) -> Response:
        """``/metrics``."""
        text = self.counts.text(await self._cared(self._gauges))
        head = {"cache-control": "no-store", "content-type": "text/plain; version=0.0.4; charset=utf-8"}
        return Response(text.encode(), headers=head)

    def _gauges(self) -> dict[str, tuple[str, float | None]]:
        try:
            records, behind = self._index.searcher().num_docs, self._queries.behind
        except StoreError:
            records, behind = 0, None
        folder = self._index.folder
        sizes = []
        with suppress(OSError):  # files go while others come
            sizes = [file.stat().st_size for file in folder.glob("*") if file.is_file()]
        return {
            "catalog_index_ready": ("Whether the index is built.", float(behind is not None)),
            "catalog_index_records": ("Records in the index.", records),
            "catalog_index_bytes": ("Size of the index on disk.", sum(sizes)),
            "catalog_index_behind": ("Changes of the store that the index has yet to take in.", behind),
            "catalog_following_age_seconds": (
                "Seconds since the last heartbeat of the follower; a few are usual.", heartbeat_age(folder),
            ),
            **_follower_gauges(folder),
        }  # fmt: skip

    async def openapi(self, request: Request) -> Response:
        """``/openapi.json``."""
        packs = "gzip" in request.headers.get("accept-encoding", "")
        return _packed(self._described, packs, {"cache-control": "public, max-age=3600"})

    async def did_document(self, _: Request) -> Response:
        """``/.well-known/did.json``: who this service is, where it has a public address."""
        url = self._settings.appview.url
        if url is None:
            return _told(Problem(status=404, name="NotFound", message="this service has no public address"))
        document = {
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": _did_web(url),
            "service": [{"id": "#dataset_appview", "type": "DatasetAppView", "serviceEndpoint": url}],
        }
        return _packed(dumped(document), packs=False, head={"cache-control": "public, max-age=3600"})

    async def page(self, _: Request) -> Response:
        """``/``: a page for people."""
        try:
            about: Answer | None = await self._cared(self._queries.statistics)
        except StoreError:
            about = None
        except Exception:  # noqa: BLE001 - the page says that it isn't known
            note("failed", {"what": "statistics"}, level=logging.ERROR)
            about = None
        following = _following(self._index.folder)
        body = status_page(about, self._version, self._settings.appview.url, following).encode()
        head = {
            "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY, "cache-control": "no-cache",
        }  # fmt: skip
        return Response(body, headers=head)


def _contained(call: Any, *arguments: Any) -> Any:  # noqa: ANN401 - whatever it is
    """Call it in a thread. What isn't an :class:`Exception` would end more than the request: a panic of the engine."""
    try:
        return call(*arguments)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


async def _refused(request: Request, error: Exception) -> Response:
    """Respond to requests that no route matches."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    if error.status_code == 405 and request.url.path.startswith(f"/xrpc/{PREFIX}publish"):
        what = "this service publishes no records: write to the account's server (with atdata: no appview=…)"
        return _told(Problem(status=501, name="MethodNotImplemented", message=what))
    allows = (error.headers or {}).get("Allow")
    if error.status_code == 405:
        found = _told(Problem(status=405, name="InvalidRequest", message="only GET and HEAD are answered here"))
        found.headers["allow"] = allows or "GET, HEAD"
        return found
    return _told(Problem(status=404, name="NotFound", message="there is nothing here"))


async def _failed(_: Request, __: Exception) -> Response:
    """Respond to an unexpected exception. It is raised again after this, and logged by the middleware."""
    return _told(Problem(status=500, name="InternalServerError", message="something went wrong here"))


def _following(folder: Path) -> dict[str, Any] | None:
    """Return the public health of the follower: states, times and counts; of an error only its class."""
    health = read_health(folder)
    if health is None:
        return None
    status: dict[str, Any] = {"state": health.state, "restarts": health.restarts, "leftOut": health.left_out}
    for name, work in health.works.items():
        part: dict[str, Any] = {"state": work.state, "restarts": work.restarts}
        if work.success is not None:
            part["lastSuccess"] = moment_text(datetime.fromtimestamp(work.success, tz=UTC))
        if work.error is not None:
            part["lastError"] = work.error
        status[name] = part
    return status


def _follower_gauges(folder: Path) -> dict[str, tuple[str, float | None]]:
    health = read_health(folder)
    if health is None:
        return {}
    gauges: dict[str, tuple[str, float | None]] = {
        "catalog_follower_up": ("Whether the follower's process is alive.", float(health.state != DEAD)),
        "catalog_follower_restarts": ("How often its process was started anew.", health.restarts),
        "catalog_index_left_out": ("Records that can't be indexed.", health.left_out),
    }
    for name, work in health.works.items():
        age = None if work.success is None else max(0.0, time.time() - work.success)
        gauges |= {
            f"catalog_{name}_running": (
                f"Whether the work on {name} goes on without a failure.",
                work.state == RUNNING,
            ),
            f"catalog_{name}_restarts": (f"How often the work on {name} failed and was begun anew.", work.restarts),
            f"catalog_{name}_success_age_seconds": (f"Seconds since the last success of the work on {name}.", age),
        }
        if work.error is not None:
            gauges[f'catalog_{name}_error{{kind="{work.error}"}}'] = (f"The last error of the work on {name}.", 1.0)
    return gauges


def _told(problem: Problem) -> Response:
    head = {"content-type": "application/json", "cache-control": "no-store"}
    if problem.status == 503:
        head["retry-after"] = str(_RETRY_SECONDS)
    return Response(dumped(problem.body()), problem.status, head)


def _unchanged(tag: str) -> Response:
    return Response(None, 304, {"etag": f'W/"{tag}"', "cache-control": "public, no-cache"})


def _packed(body: bytes, packs: bool, head: dict[str, str]) -> Response:  # noqa: FBT001 - internal
    head = {"content-type": "application/json", "vary": "Accept-Encoding", **head}
    if packs and len(body) >= _WORTH_PACKING:
        if len(body) < _PART:
            body = gzip.compress(body, 4, mtime=0)
        else:
            with _HEAVY:
                body = gzip.compress(body, 1, mtime=0)
        head["content-encoding"] = "gzip"
    return Response(body, headers=head)
