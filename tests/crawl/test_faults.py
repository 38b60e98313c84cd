"""Faults in the middle of a crawl and of a stream: nothing is lost, nothing is doubled, nobody else is held up.

The real PDS stands behind a forwarder that can be taken away, or is itself stopped and started again.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from catalog.atproto.datamodel import record_cid
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import CrawlReport, crawl, follow
from catalog.crawl import accounts as repositories
from catalog.crawl import streams as following
from catalog.network import http, websocket
from catalog.network import rate_limit as hosts
from catalog.records import DATASET, LABEL
from catalog.store import Found, Repo, Store
from catalog.syntax import AtUri, Did
from tests.conftest import NETWORK, Account, Network
from tests.crawl.test_crawl import LyingPds
from tests.fakes import answer, fake_server
from tests.streams import DID, frame, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from catalog.crawl import SourceReport
    from catalog.store import Changes

TIME = "2026-01-02T03:04:05.000Z"
SECONDS = 60.0
"""Timeout in seconds for something that is quick."""
POST = "app.bsky.feed.post"


class Forwarder:
    """Stands in front of a server on a port of its own. ``passed`` counts the bytes that the server has answered."""

    def __init__(self, port: int, target: int) -> None:
        self.passed = 0
        self.cuts: Iterator[int] | None = None
        """After how many bytes of answers the next connections break."""
        self._address, self._target = ("127.0.0.1", port), ("127.0.0.1", target)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._left: int | None = None

    def up(self) -> None:
        """Be there, for as long as nobody says otherwise."""
        with self._lock:
            self._left = None
            if self._listener is None:
                self._listener = socket.create_server(self._address)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self, *, after: int = 0) -> None:
        """Be gone, with all connections; or only after so many bytes more."""
        with self._lock:
            if after:
                self._left = after
                return
            listener, self._listener, gone, self._open = self._listener, None, self._open, set()
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for end in gone:
            _hang_up(end)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                there = self._listener is listener
                self._open |= {client, server} if there else set()
                budget = None if self.cuts is None else next(self.cuts)
            if not there:
                client.close()
                server.close()
                continue
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, budget), daemon=True).start()

    @staticmethod
    def _ask(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)
        _hang_up(server)

    def _answer(self, server: socket.socket, client: socket.socket, budget: int | None) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                with self._lock:
                    most = min(len(data), *(left for left in (self._left, budget) if left is not None), len(data))
                    self.passed += most
                    self._left = None if self._left is None else self._left - most
                    budget = None if budget is None else budget - most
                    over = self._left == 0
                client.sendall(data[:most])
                if over:
                    self.down()
                if over or budget == 0:
                    break
        for end in (server, client):
            _hang_up(end)
            with self._lock:
                self._open.discard(end)
            end.close()


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True, kw_only=True)
class Pds:
    """A real PDS that can go: behind a forwarder, and with a switch of its own. ``network`` speaks past the former."""

    network: Network
    url: str
    front: Forwarder
    process: subprocess.Popen[str]
    running: bool = True

    @property
    def settings(self) -> NetworkSettings:
        """Return the settings that lead our code to it; handles are resolved without the forwarder."""
        return NetworkSettings(
            plc_url=self.network.plc_url, allow_loopback=True, handle_resolver=self.network.pds_url
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it for real."""
        self._command("stop")
        self.running = False

    def start(self, **settings: object) -> None:
        """Start it again, on the same data."""
        self._command(f"start {json.dumps(settings)}")
        self.running = True

    def _command(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == f"{line.split(maxsplit=1)[0]} done"

    def write(self, account: Account, *writes: tuple[str, str | None]) -> None:
        """Write labels in one commit: by record key the name, None for what is to go; a key with ``+`` is new."""
        body = [_write(account.did, key, name) for key, name in writes]
        self.network.post("com.atproto.repo.applyWrites", {"repo": account.did, "writes": body}, account)

    def filled(self, accounts: int, records: int) -> list[Account]:
        """New accounts with labels ``r0``, ``r1``, … and a post."""
        made = [self.network.account("faulty") for _ in range(accounts)]
        for account in made:
            self.write(account, *((f"+r{number}", f"{number} of {account.did}") for number in range(records)))
            post = {"$type": POST, "text": "x", "createdAt": TIME}
            self.network.create_record(account, POST, post)
        return made

    def listed(self, accounts: list[Account]) -> dict[str, str]:
        """Return the CIDs by URI that it reports."""
        pages = [
            self.network.get("com.atproto.repo.listRecords", {"repo": one.did, "collection": LABEL, "limit": "100"})
            for one in accounts
        ]
        return {item["uri"]: item["cid"] for page in pages for item in page["records"]}


def _label(did: str, name: str) -> dict[str, Json]:
    uri = f"at://{did}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


def _write(did: str, key: str, name: str | None) -> dict[str, Json]:
    action = "delete" if name is None else "create" if key.startswith("+") else "update"
    body: dict[str, Json] = {"$type": f"com.atproto.repo.applyWrites#{action}", "collection": LABEL}
    body["rkey"] = key.removeprefix("+")
    return body if name is None else {**body, "value": _label(did, name)}


@pytest.fixture(scope="module")
def started() -> Iterator[Pds]:
    with subprocess.Popen(
        ["node", "server.mjs", "--behind"], cwd=NETWORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        urls = json.loads(process.stdout.readline())
        ports = [urlsplit(urls[name]).port for name in ("pds", "behind")]
        assert ports[0] is not None
        assert ports[1] is not None
        network = Network(pds_url=urls["behind"], plc_url=urls["plc"])
        front = Forwarder(ports[0], ports[1])
        yield Pds(network=network, url=urls["pds"], front=front, process=process)
        front.down()
        process.stdin.close()
        process.wait(timeout=60)


@pytest.fixture
def pds(started: Pds) -> Pds:
    """There, whatever the test before has left."""
    if not started.running:
        started.start()
    started.front.cuts = None
    started.front.up()
    return started


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short: a PDS on this machine is back soon."""
    monkeypatch.setattr(http, "MAX_WAIT", 0.05)
    monkeypatch.setattr(hosts, "PARKED_SECONDS", 0.5)
    monkeypatch.setattr(hosts, "PROVEN_PARKED_SECONDS", 0.1)
    monkeypatch.setattr(repositories, "_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(hosts, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(hosts, "MOST_PARKED_SECONDS", 0.5)
    monkeypatch.setattr(websocket, "LONGEST_WAIT", 0.1)
    monkeypatch.setattr(following, "IDLE_SECONDS", 0.7)
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(following, "_STORE_SECONDS", 0.1)


def _settings(pds: Pds, *sources: Source) -> CatalogSettings:
    return CatalogSettings(store=Path("nowhere"), sources=sources, network=pds.settings)


def _contents(store: Store) -> dict[str, tuple[str, object, bool]]:
    return {str(record.uri): (str(record.cid), record.value, record.verified) for record in store.records()}


def _cids(store: Store) -> dict[str, str]:
    return {str(record.uri): str(record.cid) for record in store.records()}


def _only(contents: dict[str, Any], accounts: list[Account]) -> dict[str, Any]:
    dids = {account.did for account in accounts}
    return {uri: found for uri, found in contents.items() if uri.split("/")[2] in dids}


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


# --- crawls --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Changed:
    """A store as it was before every account changed, and what an undisturbed crawl makes of it."""

    pds: Pds
    settings: CatalogSettings
    accounts: list[Account]
    path: Path
    before: dict[str, tuple[str, object, bool]] = field(default_factory=dict)
    after: dict[str, tuple[str, object, bool]] = field(default_factory=dict)
    answered: int = 0
    """Bytes that the undisturbed crawl took."""

    def disturbed(self, name: str) -> Path:
        """The store of before once more, to be disturbed."""
        return Path(shutil.copy(self.path, self.path.with_name(name)))

    def check(self, report: SourceReport, store: Store) -> int:
        """No account by halves, and each that isn't up to date is told of; how many there are."""
        found, late = _contents(store), 0
        for account in self.accounts:
            old, new, now = (_only(state, [account]) for state in (self.before, self.after, found))
            assert now in (old, new)
            if now == old:
                late += 1
                assert report.error is not None or any(account.did in problem for problem in report.problems)
        assert (report.new, report.updated, report.removed) == (len(self.accounts) - late,) * 3
        return late

    def mended(self, store: Store) -> None:
        """The next crawl completes, and each version is in the history once."""
        report = crawl(self.settings, store)
        assert not report.failed, report.lines()
        assert not report.sources[0].problems
        assert _only(_contents(store), self.accounts) == self.after
        for account in self.accounts:
            for key, versions in (("r0", 2), ("r1", 0), ("r2", 1), ("new", 1)):
                history = store.history(f"at://{account.did}/{LABEL}/{key}")
                assert len(history) == len({version.cid for version in history}) == versions


@pytest.fixture(scope="module")
def changed(started: Pds, tmp_path_factory: pytest.TempPathFactory) -> Changed:
    pds, path = started, tmp_path_factory.mktemp("changed") / "before.sqlite"
    pds.front.up()
    accounts = pds.filled(9, 6)
    settings = _settings(pds, Source(kind="pds", value=pds.url))
    made = Changed(pds=pds, settings=settings, accounts=accounts, path=path)
    with Store.open(made.path) as store:
        assert not crawl(settings, store).failed
        made.before = _only(_contents(store), accounts)
    assert len(made.before) == 54
    for account in accounts:
        pds.write(account, ("r0", "changed"), ("r1", None), ("+new", "new"))
    with Store.open(made.disturbed("undisturbed.sqlite")) as store:
        passed = pds.front.passed
        assert not crawl(settings, store).failed
        made.answered = pds.front.passed - passed
        made.after = _only(_contents(store), accounts)
    assert {uri: cid for uri, (cid, _, _) in made.after.items()} == pds.listed(accounts)
    assert {verified for _, _, verified in made.after.values()} == {True}
    return made


@pytest.mark.usefixtures("pds")
def test_a_pds_that_is_cut_off_in_the_middle_of_a_crawl_costs_nothing(changed: Changed) -> None:
    """At any byte: the report says what failed, nothing is removed, and the next crawl brings the rest."""
    late = []
    for part in range(1, 8):
        with Store.open(changed.disturbed(f"{part}.sqlite")) as store:
            changed.pds.front.down(after=changed.answered * part // 8)
            report = crawl(changed.settings, store)
            late.append(changed.check(report.sources[0], store))
            changed.pds.front.up()
            changed.mended(store)
    assert any(0 < number < len(changed.accounts) for number in late), "the control: some were cut off in the middle"
    assert late[0] == len(changed.accounts), "the list was cut"


@pytest.mark.usefixtures("pds")
def test_a_pds_that_is_stopped_in_the_middle_of_a_crawl_costs_nothing(
    changed: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server itself, on the same data afterwards; into a store that had something, and into an empty one."""
    for name in ("stopped.sqlite", "empty.sqlite"):
        path = changed.disturbed(name)
        if name == "empty.sqlite":
            path.unlink()
        with Store.open(path) as store:
            report = _stopped_at_the_third(changed, store, monkeypatch)
            assert report.sources[0].error is not None
            assert report.sources[0].troubles > 0
            if name == "stopped.sqlite":
                assert 0 < changed.check(report.sources[0], store) < len(changed.accounts)
            else:
                assert 0 < len(_only(_contents(store), changed.accounts)) < len(changed.after)
            changed.pds.start()
            assert not crawl(changed.settings, store).failed
            assert _only(_contents(store), changed.accounts) == changed.after


def _stopped_at_the_third(changed: Changed, store: Store, monkeypatch: pytest.MonkeyPatch) -> CrawlReport:
    replace, numbers, lock = store.replace, iter(range(1, 1000)), threading.Lock()

    def replaced(*repository: Any, **more: Any) -> Changes:  # noqa: ANN401 — handed through
        with lock:  # whoever reads an account meanwhile waits
            if next(numbers) == 3:
                changed.pds.stop()
        return replace(*repository, **more)

    with monkeypatch.context() as patched:
        patched.setattr(store, "replace", replaced)
        return crawl(changed.settings, store)


# --- bad servers beside a good one ---------------------------------------------------------------------------------


Play: TypeAlias = "Callable[[BaseHTTPRequestHandler], None]"


def _storm(released: threading.Event) -> Play:
    """429 without a word; once released, with a long pause."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, {}, 429, **({"Retry_After": "7200"} if released.is_set() else {}))

    return play


def _loris(released: threading.Event) -> Play:
    """A byte of a header now and then, until it is released."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not released.wait(0.05):
            handler.wfile.write(b"x")
        handler.close_connection = True

    return play


def _moved(target: str) -> Play:
    return lambda handler: answer(handler, b"", 302, Location=target)


def _silent_tls() -> socket.socket:
    """A server that answers a TLS handshake with something else."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                client.sendall(b"HTTP/1.1 400 this is no TLS\r\n\r\n")
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_bad_servers_hold_up_no_good_one(pds: Pds, tmp_path: Path) -> None:
    """They are in the report with their reasons, and keep what they had; the good one is done before they give up."""
    accounts, released = pds.filled(3, 3), threading.Event()
    plays: dict[str, Play] = {
        "wants no request": _storm(released),
        "didn't answer": _loris(released),
        "503": lambda handler: answer(handler, {}, 503),
        "not a public one": _moved("https://10.0.0.1/"),
        "plain http is not opened": _moved("http://169.254.169.254/latest/meta-data/"),
    }
    with ExitStack() as stack, Store.open(tmp_path / "store.sqlite") as store:
        bad = {reason: LyingPds(stack.enter_context(fake_server({}))) for reason in plays}
        port = stack.enter_context(_silent_tls()).getsockname()[1]
        sources = [Source(kind="pds", value=liar.fake.url) for liar in bad.values()]
        tls = Source(kind="pds", value=f"https://localhost:{port}")
        good = Source(kind="pds", value=pds.url)
        settings = _settings(pds, *sources, tls, good)
        for liar in bad.values():
            liar.records = [liar.record("kept")]
        crawl(settings, store)
        kept = _known_before(store, f"did:web:localhost%3A{port}", tls)
        assert len(kept) == len(bad) + 1

        for reason, liar in bad.items():
            for path in liar.fake.routes:
                liar.fake.routes[path] = lambda handler, _asked, play=plays[reason]: play(handler)  # type: ignore[misc]
        for account in accounts:
            pds.write(account, ("r0", "changed"), ("r1", None), ("+new", "new"))
        reports: list[CrawlReport] = []
        crawling = threading.Thread(target=lambda: reports.append(crawl(settings, store)))
        crawling.start()
        try:
            _until(lambda: _only(_cids(store), accounts) == pds.listed(accounts), "the good one's records")
            assert crawling.is_alive(), "the control: the bad ones are at it"
        finally:
            released.set()
            crawling.join(SECONDS)
        assert not crawling.is_alive()
        told = {source.source: source.error or "" for source in reports[0].sources}
        for reason, liar in bad.items():
            assert reason in told[f"pds:{liar.fake.url}"]
        assert "can't be reached" in told[str(tls)]
        assert told[str(good)] == ""
        assert kept.items() <= _cids(store).items()


def _known_before(store: Store, did: str, source: Source) -> dict[str, str]:
    """A record of one more account goes into the store; all that are there of such accounts."""
    value = _label(did, "kept")
    found = Found(uri=AtUri.parse(f"at://{did}/{LABEL}/kept"), cid=record_cid(value), value=value)
    repo = Repo(did=Did.parse(did), source=str(source), pds=source.value, rev="3kaaaaaaaaaa2")
    store.replace(repo, [found], [], moment=datetime.now(UTC))
    return {uri: cid for uri, cid in _cids(store).items() if uri.startswith("at://did:web:")}


@pytest.mark.parametrize("active", [True, False])
def test_a_pds_that_lists_others_accounts_keeps_nobody_from_reading_them(
    pds: Pds, tmp_path: Path, *, active: bool
) -> None:
    """Though it is asked first, and says that they have changed, or that they are gone."""
    accounts = pds.filled(3, 2)
    good = Source(kind="pds", value=pds.url)
    with fake_server({}) as fake, Store.open(tmp_path / "store.sqlite") as store:
        liar = LyingPds(fake)
        crawl(_settings(pds, good), store)
        for account in accounts:
            pds.write(account, ("r0", "changed"), ("r1", None), ("+new", "new"))
        accounts += pds.filled(1, 2)
        repos = [{"did": account.did, "rev": "3zzzzzzzzzzzz", "active": active} for account in accounts]
        repos.append({"did": liar.did, "rev": liar.rev, "active": True})
        fake.routes["/xrpc/com.atproto.sync.listRepos"] = lambda handler, _: answer(handler, {"repos": repos})

        def progress(line: str) -> None:
            if line.endswith(str(good)):
                _until(lambda: "/xrpc/com.atproto.repo.describeRepo" in fake.paths(), "the liar is at work")

        report = crawl(_settings(pds, Source(kind="pds", value=fake.url), good), store, progress=progress)
        assert report.sources[1].error is None
        assert _only(_cids(store), accounts) == pds.listed(accounts)


# --- streams -------------------------------------------------------------------------------------------------------


@contextmanager
def _followed(settings: CatalogSettings, store: Store) -> Iterator[list[CrawlReport]]:
    """The sources are followed meanwhile; the report is in the list afterwards."""
    stop, told, reports = threading.Event(), list[str](), list[CrawlReport]()
    thread = threading.Thread(target=lambda: reports.append(follow(settings, store, stop=stop, progress=told.append)))
    thread.start()
    try:
        _until(lambda: any(line.startswith("following") for line in told), "the stream is followed")
        yield reports
    finally:
        stop.set()
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert reports


def _stream(url: str) -> Source:
    return Source(kind="firehose", value=url.replace("http", "ws", 1))


class Writer:
    """Writes to accounts by chance, and remembers by URI the versions that there were, also before a deletion."""

    def __init__(self, pds: Pds, accounts: list[Account], seed: int) -> None:
        self.pds, self.accounts = pds, accounts
        self.chance = random.Random(seed)  # noqa: S311 — the same writes every time
        self.present = pds.listed(accounts)
        self.versions = {uri: [cid] for uri, cid in self.present.items()}
        self.number = 0

    def write(self, times: int) -> None:
        """Create, change or delete a label, or write a post, so many times."""
        for _ in range(times):
            self.number += 1
            account, key = self.chance.choice(self.accounts), f"r{self.chance.randrange(6)}"
            uri = f"at://{account.did}/{LABEL}/{key}"
            what = self.chance.random()
            if what < 0.15:
                post = {"$type": POST, "text": "x", "createdAt": TIME}
                self.pds.network.create_record(account, POST, post)
            elif what < 0.35 and uri in self.present:
                self.pds.network.delete_record(account, LABEL, key)
                del self.present[uri]
            else:
                written = self.pds.network.put_record(account, LABEL, key, _label(account.did, f"n{self.number}"))
                self.present[uri] = written["cid"]
                self.versions.setdefault(uri, []).append(written["cid"])

    def caught_up(self, store: Store) -> bool:
        """Return whether the store has the latest records, and nothing else."""
        return _only(_cids(store), self.accounts) == self.present

    def check(self, store: Store) -> None:
        """The store has what the PDS says; in each history versions are there once, in order, the present one last."""
        assert _only(_cids(store), self.accounts) == self.present == self.pds.listed(self.accounts)
        for uri, cid in self.present.items():
            told = [str(version.cid) for version in reversed(store.history(uri))]
            places = [self.versions[uri].index(version) for version in told]
            assert places == sorted(set(places))
            assert told[-1] == cid


def test_a_stream_that_is_cut_again_and_again_is_followed_all_the_same(pds: Pds, tmp_path: Path) -> None:
    """At any byte of any frame, and with the PDS gone for a while; what happened meanwhile is caught up."""
    accounts = pds.filled(4, 3)
    writer = Writer(pds, accounts, 1)
    settings = _settings(pds, _stream(pds.url))
    chance = random.Random(2)  # noqa: S311
    with Store.open(tmp_path / "store.sqlite") as store:
        with _followed(settings, store) as reports:
            _until(lambda: writer.caught_up(store), "the first crawl")
            pds.front.cuts = (chance.randint(1, 9000) for _ in iter(int, 1))
            pds.front.down()
            pds.front.up()
            writer.write(40)
            pds.front.down()
            writer.write(20)
            assert not writer.caught_up(store), "the control: what was written while it was gone isn't known"
            pds.front.up()
            writer.write(20)
            pds.front.cuts = None
            _until(lambda: writer.caught_up(store), "all that was written")
        writer.check(store)
        (report,) = reports[0].sources
        assert report.error is None
        assert report.ways["firehose"] > 10
        assert report.requests > 5, "the control: it was connected anew"
        again = crawl(settings, store).sources[0]
        assert (again.new, again.updated, again.removed, again.error) == (0, 0, 0, None)


def test_a_pds_that_is_stopped_while_it_is_followed_is_followed_afterwards(pds: Pds, tmp_path: Path) -> None:
    """The server itself, in the middle of its writes, twice."""
    writer = Writer(pds, pds.filled(3, 3), 3)
    settings = _settings(pds, _stream(pds.url))
    with Store.open(tmp_path / "store.sqlite") as store:
        with _followed(settings, store) as reports:
            for _ in range(2):
                writer.write(10)
                pds.stop()
                pds.start()
                writer.write(10)
            _until(lambda: writer.caught_up(store), "all that was written")
        writer.check(store)
        assert reports[0].sources[0].error is None


def test_accounts_whose_pds_is_gone_are_read_when_it_is_back(pds: Pds, tmp_path: Path) -> None:
    """A relay tells of them meanwhile, of more than are tried in a row; its cursor waits for none of them for ever."""
    relay = _stream(pds.network.pds_url)
    with Store.open(tmp_path / "store.sqlite") as store:
        store.put_cursor(str(relay), 0)
        with _followed(_settings(pds, relay), store) as reports:
            pds.front.down()
            accounts = pds.filled(9, 2)
            writer = Writer(pds, accounts, 4)
            writer.write(20)
            _until(lambda: len(store.listed(str(relay)) & {one.did for one in accounts}) == 9, "all were tried")
            assert not _only(_cids(store), accounts), "the control: none could be read"
            pds.front.up()
            _until(lambda: writer.caught_up(store), "all accounts")
            before = store.cursor(str(relay))
            writer.write(20)
            _until(lambda: writer.caught_up(store), "what was written afterwards")
            _until(lambda: store.cursor(str(relay)) != before, "the cursor goes on")
        writer.check(store)
        assert reports[0].sources[0].error is None
        assert any("could not be read" in problem for problem in reports[0].sources[0].problems)


class Relay:
    """Plays a stream to one connection after the other, and lists accounts, except the next ``broken`` times."""

    def __init__(self, accounts: list[Account], play: Callable[[int, ServerConnection], object]) -> None:
        self.broken, self.listed, self.connected = 0, 0, 0
        self.over = threading.Event()
        self._accounts, self._play = accounts, play
        self._server = serve(self._stream, "127.0.0.1", 0, process_request=self._list)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _stream(self, connection: ServerConnection) -> None:
        self.connected += 1
        with suppress(ConnectionClosed):
            self._play(self.connected, connection)

    def _list(self, _connection: ServerConnection, asked: Request) -> Response | None:
        if "listRepos" not in asked.path:
            return None
        broken, self.broken = self.broken > 0, max(0, self.broken - 1)
        self.listed += not broken
        body = json.dumps({"repos": [{"did": account.did} for account in self._accounts]}).encode()
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(503 if broken else 200, "", headers, body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()


def test_accounts_that_could_not_be_listed_are_listed_again(pds: Pds, tmp_path: Path) -> None:
    """The first time, when everything is to be looked at: also by a server whose stream stands meanwhile."""
    accounts = pds.filled(2, 2)
    with Relay(accounts, lambda _, __: relay.over.wait(SECONDS)) as relay, Store.open(tmp_path / "a.sqlite") as store:
        relay.broken = http.TRIES
        report = crawl(_settings(pds, _stream(relay.url)), store).sources[0]
        assert report.error is None
        assert _cids(store) == pds.listed(accounts)
        relay.broken = 1000
        with Store.open(tmp_path / "b.sqlite") as other:
            assert crawl(_settings(pds, _stream(relay.url)), other).sources[0].error is not None, "the control"


def test_what_happened_between_two_connections_without_a_cursor_is_found(pds: Pds, tmp_path: Path) -> None:
    """A stream that has said nothing yet has no cursor to go on from: every account is looked at once more."""
    accounts, cut = pds.filled(2, 2), threading.Event()

    def play(number: int, _: ServerConnection) -> None:
        (cut if number == 2 else relay.over).wait(SECONDS)

    with Relay(accounts, play) as relay, Store.open(tmp_path / "store.sqlite") as store:
        with _followed(_settings(pds, _stream(relay.url)), store):
            _until(lambda: relay.connected == 2 and _cids(store) == pds.listed(accounts), "the first look")
            pds.write(accounts[0], ("r0", "changed"), ("r1", None))
            assert _cids(store) != pds.listed(accounts), "the control: nobody has told"
            cut.set()
            _until(lambda: _cids(store) == pds.listed(accounts), "the second look")
        assert store.cursor(str(_stream(relay.url))) is None


def test_an_outdated_cursor_is_no_end_though_nobody_can_be_listed_at_first(pds: Pds, tmp_path: Path) -> None:
    """Every account is looked at as soon as it can be; until then the cursor stays the old one."""
    accounts = pds.filled(2, 2)
    outdated = frame("#info", {"name": "OutdatedCursor", "message": "too long ago"})
    passing = frame("#identity", {"seq": 900, "did": DID, "time": TIME})

    def play(number: int, connection: ServerConnection) -> None:
        relay.broken = 2 * http.TRIES if number == 2 else 0
        connection.send(outdated)
        connection.send(passing)
        relay.over.wait(SECONDS)

    with Relay(accounts, play) as relay, Store.open(tmp_path / "store.sqlite") as store:
        source = str(_stream(relay.url))
        store.put_cursor(source, 7)
        with _followed(_settings(pds, _stream(relay.url)), store) as reports:
            _until(lambda: relay.connected == 2 and relay.broken < 2 * http.TRIES, "the list that fails")
            pds.write(accounts[0], ("r0", "changed"), ("r1", None))
            _until(lambda: _cids(store) == pds.listed(accounts), "all accounts")
            assert relay.connected == 2
        (report,) = reports[0].sources
        assert report.error is None
        assert any("could not be listed" in problem for problem in report.problems)
        assert store.cursor(source) == 900


def test_frames_that_come_twice_and_in_any_order_change_nothing(pds: Pds, tmp_path: Path) -> None:
    """Each version is in the history once; in the end the store has what the PDS has."""
    accounts = pds.filled(3, 3)
    writer, chance = Writer(pds, accounts, 5), random.Random(6)  # noqa: S311
    with Store.open(tmp_path / "store.sqlite") as store:
        crawl(_settings(pds, *(Source(kind="repo", value=account.did) for account in accounts)), store)
        with recording(pds.network) as frames:
            writer.write(40)
            pds.write(accounts[0], ("+gone", "gone"))
            pds.write(accounts[0], ("gone", None))
        jumbled = [*frames, *frames]
        chance.shuffle(jumbled)

        def play(number: int, connection: ServerConnection) -> None:
            # In the end what was created and is gone again: the tree is the one that it was made in.
            for message in [*frames[:20], *jumbled] if number == 1 else [frames[-2]]:
                connection.send(message)
            relay.over.wait(SECONDS)

        with Relay(accounts, play) as relay:
            store.put_cursor(str(_stream(relay.url)), 1)
            report = crawl(_settings(pds, _stream(relay.url)), store).sources[0]
            assert crawl(_settings(pds, _stream(relay.url)), store).sources[0].error is None
        assert report.error is None
        assert report.ways["firehose"] >= 10
        writer.check(store)


def test_a_cursor_that_a_real_pds_finds_too_old_or_too_new_loses_nothing(pds: Pds, tmp_path: Path) -> None:
    """Too old, and too new (the server isn't the one it was): every account is looked at, and the report says why."""
    accounts = pds.filled(2, 2)
    settings = _settings(pds, _stream(pds.url))
    with Store.open(tmp_path / "store.sqlite") as store:
        crawl(_settings(pds, _stream(pds.url)), store)
        for account in accounts:
            pds.write(account, ("r0", "changed"), ("r1", None), ("+new", "new"))
        pds.stop()
        pds.start(repoBackfillLimitMs=1)
        store.put_cursor(str(settings.sources[0]), 1)
        report = crawl(settings, store).sources[0]
        assert report.error is None
        assert any("older than what the server keeps" in problem for problem in report.problems)
        assert _only(_cids(store), accounts) == pds.listed(accounts)
        pds.stop()
        pds.start()
        store.put_cursor(str(settings.sources[0]), 2**40)
        report = crawl(settings, store).sources[0]
        assert report.error is None
        assert any("ahead of the server" in problem for problem in report.problems)
        assert _only(_cids(store), accounts) == pds.listed(accounts)


def test_a_slow_pds_holds_up_no_account_of_another_that_a_stream_tells_of(pds: Pds, tmp_path: Path) -> None:
    """Accounts that weren't known before, and are looked up in one directory."""
    (account,) = pds.filled(1, 2)
    slow = [f"did:plc:{letter * 24}" for letter in "abcdefgh"]
    released = threading.Event()
    with ExitStack() as stack:
        loris = stack.enter_context(fake_server({}))
        stack.callback(released.set)
        for method in ("com.atproto.sync.getLatestCommit", "com.atproto.repo.describeRepo"):
            loris.routes[f"/xrpc/{method}"] = lambda handler, _: _loris(released)(handler)
        plc = stack.enter_context(fake_server({}, upstream=pds.network.plc_url))
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": loris.url}
        for did in slow:
            plc.routes[f"/{did}"] = lambda handler, _, did=did: answer(handler, {"id": did, "service": [service]})  # type: ignore[misc]
        hints = [
            json.dumps({"did": did, "time_us": number, "kind": "commit", "commit": {"collection": LABEL}})
            for number, did in enumerate([*slow, account.did], 1)
        ]

        def play(_: int, connection: ServerConnection) -> None:
            for hint in hints:
                connection.send(hint)
            relay.over.wait(SECONDS)

        relay = stack.enter_context(Relay([], play))
        store = stack.enter_context(Store.open(tmp_path / "store.sqlite"))
        source = Source(kind="jetstream", value=relay.url.replace("http", "ws", 1))
        settings = _settings(pds, source)
        settings = replace(settings, network=replace(settings.network, plc_url=plc.url))
        crawling = threading.Thread(target=crawl, args=(settings, store))
        crawling.start()
        try:
            _until(lambda: _cids(store) == pds.listed([account]), "the good one's account")
            assert crawling.is_alive()
            assert len(loris.asked) >= 1, "the control: the slow one is being asked"
        finally:
            released.set()
            crawling.join(SECONDS)
        assert not crawling.is_alive()


# --- the command ---------------------------------------------------------------------------------------------------


MKDOCS = """\
site_name: Followed
theme: {{name: material}}
plugins:
  - catalog: {{store: store.sqlite, sources: [pds: "{pds}", firehose: "{stream}"]}}
"""


@contextmanager
def _command(pds: Pds, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``catalog crawl`` as a process, which doesn't outlive the test."""
    leads = {
        "CATALOG_PLC_URL": pds.network.plc_url,
        "CATALOG_ALLOW_LOOPBACK": "1",
        "CATALOG_HANDLE_RESOLVER": pds.network.pds_url,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "catalog", "crawl", *arguments], cwd=folder, env={**os.environ, **leads},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_a_crawl_that_follows_ends_when_it_is_told_to(pds: Pds, tmp_path: Path) -> None:
    """With its summary, exit code 0 and its cursor stored; until then the store is its own, which a second one says."""
    accounts = pds.filled(2, 2)
    text = MKDOCS.format(pds=pds.url, stream=pds.url.replace("http", "ws", 1))
    (tmp_path / "mkdocs.yml").write_text(text, encoding="utf-8")
    with _command(pds, tmp_path, "--follow") as process:
        assert process.stderr is not None
        assert any(line.startswith("following firehose:") for line in process.stderr)
        pds.write(accounts[0], ("r0", "changed"), ("r1", None))
        with Store.open(tmp_path / "store.sqlite") as store:
            _until(lambda: _only(_cids(store), accounts) == pds.listed(accounts), "what was written meanwhile")
        with _command(pds, tmp_path) as second:
            output, words = second.communicate(timeout=SECONDS)
            assert (second.returncode, output) == (1, "")
            assert "another crawl is at work on this store" in words
            assert "a crawl with --follow goes on until it is stopped" in words
            assert "Traceback" not in words
        pds.write(accounts[1], ("r0", "changed"))
        process.send_signal(signal.SIGINT)
        output, words = process.communicate(timeout=SECONDS)
    assert (process.returncode, output) == (0, "")
    assert re.search(r"repositories, .* changed; records: .* new, .* updated, .* removed, ", words.splitlines()[-1])
    assert "Traceback" not in words
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Store.open(tmp_path / "store.sqlite") as store:
        assert store.cursor(str(_stream(pds.url))) is not None
        assert not crawl(_settings(pds, Source(kind="pds", value=pds.url)), store).failed
        assert _only(_cids(store), accounts) == pds.listed(accounts)
