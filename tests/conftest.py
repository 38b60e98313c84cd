"""Fixtures for all tests: a real PDS and PLC directory, a browser, file servers on loopback."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler
from itertools import count
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from hypothesis import settings
from playwright.sync_api import expect, sync_playwright

from tests import forked
from tests.fakes import QuietServer
from tests.secrecy import PASSWORDS, found_in, found_under, watched_run
from tests.sharedfiles import made_once

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

    from tests.sitevariety import BuiltSite

# No deadline: the time of an example depends on the machine. The examples are the same in each run, so that a change
# never fails because of an unrelated new example; benchmarks/soak_properties.py looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("TEST_EXAMPLES", "same"))
expect.set_options(timeout=60_000)

pytest_plugins = ("tests.suite",)
NETWORK = Path(__file__).parent / "network"
NEXT = Path(__file__).parent / "network-next"
ARROBA = Path(__file__).parent.parent / ".venv-arroba"
START_SECONDS = 180  # one or two on an idle machine
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CHROMIUM_ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    # The browser itself makes no requests, so every request to another host is made by a page.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A fresh account of the test PDS."""

    did: str
    handle: str
    password: str
    pds_url: str
    access_jwt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A reference PDS and PLC directory on loopback, called by plain XRPC and none of our code."""

    pds_url: str
    plc_url: str
    _numbers: Iterator[int] = field(default_factory=partial(count, 1))

    def account(self, name: str | None = None) -> Account:
        """Create an account; ``name`` only makes its handle readable, two of the same name are two accounts."""
        number = next(self._numbers)
        handle = f"{name or 'someone'}-{number}.test"
        password = f"password of {handle}"
        answer = self.post(
            "com.atproto.server.createAccount",
            {"handle": handle, "password": password, "email": f"{name or 'someone'}-{number}@example.org"},
        )
        PASSWORDS.add(password)
        return Account(
            did=answer["did"],
            handle=handle,
            password=password,
            pds_url=self.pds_url,
            access_jwt=answer["accessJwt"],
        )

    def create_record(
        self, account: Account, collection: str, value: Mapping[str, object], rkey: str | None = None
    ) -> dict[str, Any]:
        """Create a record without validation; return its ``uri`` and ``cid``."""
        body: dict[str, object] = {"repo": account.did, "collection": collection, "record": value}
        if rkey is not None:
            body["rkey"] = rkey
        return self.post("com.atproto.repo.createRecord", body, account)

    def put_record(self, account: Account, collection: str, rkey: str, value: Mapping[str, object]) -> dict[str, Any]:
        """Create or replace a record; return its ``uri`` and ``cid``."""
        body = {"repo": account.did, "collection": collection, "rkey": rkey, "record": value}
        return self.post("com.atproto.repo.putRecord", body, account)

    def delete_record(self, account: Account, collection: str, rkey: str) -> None:
        """Delete a record; a missing one is no error."""
        body = {"repo": account.did, "collection": collection, "rkey": rkey}
        self.post("com.atproto.repo.deleteRecord", body, account)

    def get_record(self, did: str, collection: str, rkey: str) -> dict[str, Any]:
        """Return the record as the PDS has it: ``uri``, ``cid``, ``value``."""
        return self.get("com.atproto.repo.getRecord", {"repo": did, "collection": collection, "rkey": rkey})

    def latest_rev(self, did: str) -> str:
        """Return the revision of the repository's newest commit; it changes with every write."""
        return str(self.get("com.atproto.sync.getLatestCommit", {"did": did})["rev"])

    def get(self, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call an XRPC query; an error response fails the test with its text."""
        return _answer(httpx.get(f"{self.pds_url}/xrpc/{method}", params=dict(parameters), timeout=60))

    def post(self, method: str, body: Mapping[str, object], account: Account | None = None) -> dict[str, Any]:
        """Call an XRPC procedure; an error response fails the test with its text."""
        headers = {} if account is None else {"authorization": f"Bearer {account.access_jwt}"}
        return _answer(httpx.post(f"{self.pds_url}/xrpc/{method}", json=dict(body), headers=headers, timeout=60))


def _answer(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, f"{response.request.url}: {response.status_code} {response.text[:500]}"
    answer: dict[str, Any] = response.json() if response.content else {}
    return answer


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the cache folder of the user who runs them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CATALOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_secrets_left(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Fail a test marked ``publishing`` that leaves a secret in its own files or in its home folder."""
    if request.node.get_closest_marker("publishing") is None:
        yield
        return
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name))
    monkeypatch.setenv("CATALOG_CACHE", str(home / "catalog"))
    monkeypatch.setattr(subprocess, "run", watched_run(subprocess.run))
    monkeypatch.setattr(forked, "run", watched_run(forked.run))
    yield
    left = [*found_under(tmp_path), *found_under(home)]
    assert not left, left


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test marked ``publishing`` that prints or logs a secret."""
    report = yield
    if item.get_closest_marker("publishing") is not None and report.when == "call":
        for name, text in report.sections:
            secret = found_in(text)
            if secret is not None:
                report.outcome = "failed"
                report.longrepr = f"{secret} in: {name}"
    return report


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """Start the reference PDS and PLC of ``tests/network``, and set the variables that make our code use them.

    Their process ends when its standard input closes, so it can't outlive this one.
    """
    node = shutil.which("node")
    if node is None or not (NETWORK / "node_modules").is_dir():
        pytest.fail("the test network is not installed: run `make test`, or `npm ci` in tests/network", pytrace=False)
    with _servers([node, "server.mjs"], NETWORK) as urls, _settings_of(urls):
        yield Network(pds_url=urls["pds"], plc_url=urls["plc"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrobaNetwork(Network):
    """An arroba PDS with a directory of its accounts, which share one password and one token."""

    password: str

    def account(self, name: str | None = None) -> Account:
        """Create an account; ``name`` only makes its handle readable."""
        handle = f"{name or 'someone'}-{next(self._numbers)}.test"
        did = _answer(httpx.post(f"{self.pds_url}/accounts", json={"handle": handle}, timeout=60))["did"]
        session = self.post("com.atproto.server.createSession", {"identifier": did, "password": self.password})
        return Account(
            did=did, handle=handle, password=self.password, pds_url=self.pds_url, access_jwt=session["accessJwt"]
        )

    def deactivate(self, account: Account) -> None:
        """Deactivate an account."""
        _answer(httpx.post(f"{self.pds_url}/accounts/{account.did}/deactivate", timeout=60))


@pytest.fixture(scope="module", params=["pinned", "newest", "arroba"])
def family(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Start each real server: the reference PDS at the pinned and at the newest version, and arroba."""
    if request.param == "pinned":
        yield request.getfixturevalue("network")
    elif request.param == "newest":
        yield request.getfixturevalue("newest")
    else:
        with arroba_network() as running:
            yield running


@pytest.fixture(scope="session")
def newest_network() -> Iterator[Network]:
    """Start the newest reference PDS, on the Node that is installed with it."""
    packaged = sorted(NEXT.glob("node_modules/node-*-*/bin/node"))
    node = str(packaged[0]) if packaged else shutil.which("node")
    if node is None or not (NEXT / "node_modules").is_dir():
        pytest.fail("the newest PDS is not installed: run `make test`, or tests/network-next.sh", pytrace=False)
    with _servers([node, "server.mjs"], NEXT) as urls:
        yield Network(pds_url=urls["pds"], plc_url=urls["plc"])


@pytest.fixture(scope="module")
def newest(newest_network: Network) -> Iterator[Network]:
    """Make our code use the newest reference PDS."""
    with _settings_of({"pds": newest_network.pds_url, "plc": newest_network.plc_url}):
        yield newest_network


@contextmanager
def arroba_network() -> Iterator[ArrobaNetwork]:
    """Start an arroba PDS and make our code use it."""
    python = ARROBA / "bin" / "python"
    if not python.exists():
        pytest.fail("arroba is not installed: run `make test`, or `make .venv-arroba/.installed`", pytrace=False)
    script = str(Path(__file__).with_name("arroba_server.py"))
    with _servers([str(python), "-P", "-W", "ignore", script], ARROBA) as urls, _settings_of(urls):
        PASSWORDS.add(urls["password"])
        yield ArrobaNetwork(pds_url=urls["pds"], plc_url=urls["plc"], password=urls["password"])


@contextmanager
def _settings_of(urls: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that make our code use these servers."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CATALOG_PLC_URL", urls["plc"])
        environment.setenv("CATALOG_ALLOW_LOOPBACK", "1")
        environment.setenv("CATALOG_HANDLE_RESOLVER", urls["pds"])  # .test handles are in no DNS
        yield


@contextmanager
def _servers(command: list[str], folder: Path) -> Iterator[dict[str, str]]:
    """Run servers in a process that ends with its standard input; yield the URLs that it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield json.loads(_first_line(process))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line, printed when the network is up; later output is dropped, or the pipe would fill."""
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    stdout = process.stdout

    def read() -> None:
        lines.put(stdout.readline())
        for _ in stdout:
            pass

    threading.Thread(target=read, daemon=True).start()
    try:
        line = lines.get(timeout=START_SECONDS)
    except Empty:
        line = ""
    if not line:
        process.kill()
        pytest.fail("the test network did not start; see its output above", pytrace=False)
    return line


class _QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without logging requests."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def _start(directory: Path, context: ssl.SSLContext | None = None) -> QuietServer:
    server = QuietServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(directory)))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _stop(servers: list[QuietServer]) -> None:
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """``serve(directory)`` serves it by HTTP on a free loopback port and returns the base URL, with a slash."""
    servers: list[QuietServer] = []

    def start(directory: Path) -> str:
        servers.append(_start(directory))
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    _stop(servers)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsServer:
    """A file server on loopback with TLS: ``url`` without a slash, ``authority`` the PEM file to trust."""

    url: str
    authority: Path


@contextmanager
def https_servers(folder: Path) -> Iterator[Callable[[Path], HttpsServer]]:
    """``start(directory)`` serves it by HTTPS, to clients that trust ``authority``, a file in ``folder``."""
    servers: list[QuietServer] = []
    signer = trustme.CA()
    authority = folder / "authority.pem"
    signer.cert_pem.write_to_path(str(authority))

    def start(directory: Path) -> HttpsServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signer.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        servers.append(_start(directory, context))
        return HttpsServer(url=f"https://localhost:{servers[-1].server_port}", authority=authority)

    yield start
    _stop(servers)


@pytest.fixture
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], HttpsServer]]:
    """``https_server(directory)`` serves it by HTTPS, to clients that trust ``authority``."""
    with https_servers(tmp_path_factory.mktemp("authority")) as start:
        yield start


def chromium() -> str | None:
    """Return the path of the browser: ``$CATALOG_CHROMIUM``, else one on the path; None is Playwright's own."""
    named = os.environ.get("CATALOG_CHROMIUM")
    if named is not None:
        return named
    return next((found for name in _CHROMIUM_NAMES if (found := shutil.which(name)) is not None), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start one Chromium for all tests; each test has a page in its own context."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(_CHROMIUM_ARGUMENTS))
        yield running
        running.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The console errors of a page, and its requests to hosts other than loopback."""

    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        """Record a console message if it is an error."""
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def asked(self, request: Request) -> None:
        """Record the URL of a request that leaves this machine."""
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and parts.hostname not in LOOPBACK:
            self.strangers.append(request.url)


@pytest.fixture
def watch() -> Watch:
    """Return what :func:`page` records; most tests expect empty lists."""
    return Watch()


@pytest.fixture
def page(browser: Browser, watch: Watch) -> Iterator[Page]:
    """Open a page with an empty cache and storage; ``watch`` records its errors and outside requests."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    context.on("request", lambda request: watch.asked(request))  # noqa: PLW0108 - Playwright marks a method's object, and ours has slots
    context.on("console", lambda message: watch.heard(message))  # noqa: PLW0108
    context.on("weberror", lambda error: watch.errors.append(str(error.error)))
    yield context.new_page()
    context.close()


class Sites:
    """Sites built once a run, on first use: ``varied``, ``example``, ``plain``, ``themed``, ``hostile``."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory

    def __getitem__(self, name: str) -> BuiltSite:
        from tests import sitevariety

        build: Callable[[Path], BuiltSite] = getattr(sitevariety, f"build_{name}")
        return made_once(self._factory, f"site-{name}", build)


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Return the sites that pages are judged by; see ``tests/sitevariety.py``."""
    return Sites(tmp_path_factory)
