"""Sessions that last: tokens that end, limits of servers, accounts that may not write, errors without secrets."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import session as sessions
from catalog.atproto.credentials import open_session
from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session, Write
from catalog.config import NetworkSettings
from catalog.errors import RequestFailed, SessionError
from catalog.network.http import Client
from catalog.syntax import Cid, Did
from catalog.syntax.cid import RAW
from tests.conftest import NETWORK, Network
from tests.fakes import answer, fake_server
from tests.secrecy import found_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.conftest import Account
    from tests.fakes import Asked, Fake

pytestmark = pytest.mark.publishing

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
LOCAL = NetworkSettings(allow_loopback=True)
COMMIT = Cid.of_block(b"commit")
XRPC = "/xrpc/com.atproto."


def _token(name: str, *, lasts: float = 7200, since: float = 0) -> str:
    """A token as servers make them, its clock ``since`` seconds ahead of ours."""
    now = int(time.time() + since)
    parts = ({"alg": "HS256"}, {"jti": name, "iat": now, "exp": now + lasts})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


@dataclass(slots=True)
class Server:
    """A PDS that gives tokens, and takes the newest only, if it isn't ``blind``."""

    fake: Fake
    lasts: float = 7200
    clock: float = 0
    blind: bool = False
    given: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def tokens(self) -> dict[str, Any]:
        self.given.append(_token(f"a{len(self.given)}", lasts=self.lasts, since=self.clock))
        return {"did": DID, "accessJwt": self.given[-1], "refreshJwt": _token(f"r{len(self.given)}")}

    def log_in(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(handler, self.tokens())

    def write(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if self.blind or asked.headers["authorization"] != f"Bearer {self.given[-1]}":
            answer(handler, {"error": "ExpiredToken", "message": "Token has expired"}, 400)
            return
        self.sizes.append(len(asked.body))
        answer(handler, {"commit": {"cid": str(COMMIT), "rev": "3kaaaaaaaaaa2"}})

    @property
    def renewals(self) -> int:
        return self.fake.paths().count(f"{XRPC}server.refreshSession")


@pytest.fixture
def server() -> Iterator[Server]:
    with fake_server({}) as fake:
        found = Server(fake)
        fake.routes[f"{XRPC}server.createSession"] = found.log_in
        fake.routes[f"{XRPC}server.refreshSession"] = found.log_in
        fake.routes[f"{XRPC}repo.applyWrites"] = found.write
        fake.routes[f"{XRPC}repo.uploadBlob"] = found.write
        yield found


class _There:
    """A resolver by which every account is at one server."""

    def __init__(self, pds: str) -> None:
        self.pds, self.did, self.handle = pds, Did.parse(DID), None

    def resolve(self, _account: str) -> Any:  # noqa: ANN401 — stands for an Identity
        return self


def _session(client: Client, server: Server) -> Session:
    return Session.login(client, _There(server.fake.url), DID, "word")  # type: ignore[arg-type]


def _thing(number: int = 0) -> Write:
    value: dict[str, object] = {"$type": "org.example.thing", "number": number}
    return Write(action="create", collection="org.example.thing", rkey=f"r{number}", value=value)  # type: ignore[arg-type]


# --- tokens that end -----------------------------------------------------------------------------------------


def test_a_token_that_the_server_finds_expired_is_renewed_once(server: Server) -> None:
    """Then the write goes through; the one after needs nothing new."""
    with Client(LOCAL) as client:
        session = _session(client, server)
        server.tokens()  # somebody else's: ours isn't the newest any more
        fresh: list[str] = []
        session.renewed = fresh.append
        assert session.apply([_thing()], swap_commit=COMMIT) == COMMIT
        assert session.apply([_thing()], swap_commit=COMMIT) == COMMIT
    assert server.renewals == 1
    assert fresh == [session.refresh_token]


def test_a_token_that_expires_for_ever_is_told(server: Server) -> None:
    """Nobody asks for token after token."""
    server.blind = True
    with Client(LOCAL) as client:
        session = _session(client, server)
        with pytest.raises(SessionError, match=r"expired that it has just given.*log in again"):
            session.apply([_thing()], swap_commit=COMMIT)
    assert server.renewals == 1


@pytest.mark.parametrize("clock", [0, -86_400, 86_400])
def test_a_token_that_ends_soon_is_renewed_before_it_is_used(server: Server, clock: float) -> None:
    """A server that refuses a file it is still being sent closes the line. The server's clock may be wrong."""
    server.clock = clock
    with Client(LOCAL) as client:
        session = _session(client, server)
        for _ in range(3):
            session.renew()
        before = server.renewals
        session.apply([_thing()], swap_commit=COMMIT)
        assert server.renewals == before
        server.lasts = 30
        session.renew()
        server.lasts = 7200
        before = server.renewals
        session.apply([_thing()], swap_commit=COMMIT)
        session.apply([_thing()], swap_commit=COMMIT)
        assert server.renewals == before + 1


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists)
CLAIMS = JSON.flatmap(lambda value: st.sampled_from([{"exp": value, "iat": 0}, {"exp": 9, "iat": value}, value]))


@given(
    st.text(max_size=60)
    | CLAIMS.map(lambda value: f"e30.{base64.urlsafe_b64encode(json.dumps(value).encode()).decode()}.e30")
)
def test_whatever_a_token_says_it_lasts_some_seconds_or_for_ever(token: str) -> None:
    """Tokens are the server's own business."""
    assert sessions._lasts(token) >= 0
    assert sessions._lasts(token, 5.0) >= 0


# --- limits --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited() -> Iterator[Network]:
    """The reference PDS with its limits, as it is where many accounts are."""
    with subprocess.Popen(
        ["node", "server.mjs"], cwd=NETWORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        urls = json.loads(process.stdout.readline())
        for line in ("stop", 'start {"rateLimitsEnabled": true}'):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline().endswith("done\n")
        yield Network(pds_url=urls["pds"], plc_url=urls["plc"])
        process.stdin.close()
        process.wait(timeout=60)


@contextmanager
def _at(network: Network, **options: Any) -> Iterator[tuple[Client, Resolver]]:  # noqa: ANN401
    settings = NetworkSettings(plc_url=network.plc_url, allow_loopback=True, handle_resolver=network.pds_url)
    with Client(settings, **options) as client:
        yield client, Resolver(client, settings)


def test_too_many_logins_are_told_at_once_and_nothing_else_waits_for_them(limited: Network) -> None:
    """The reference PDS takes thirty in five minutes; one that is logged in reads and writes on."""
    account = limited.account("busy")
    slept: list[float] = []
    with _at(limited, sleep=slept.append) as (client, resolver):
        for _ in range(27):  # the last says that three are left; nobody goes so far
            session = Session.login(client, resolver, account.handle, account.password)
        with pytest.raises(SessionError, match=r"too many logins in a short time \(wait [345] min; `catalog login`"):
            Session.login(client, resolver, account.handle, account.password)
        session.apply([_thing()], swap_commit=session.latest_commit().cid)
    assert slept == []


def test_what_an_account_may_write_in_an_hour_is_waited_for_and_told(limited: Network) -> None:
    """Three points for each new record, 5,000 in an hour: of 1,700 the last hundred are too many. Reads go on."""
    account = limited.account("prolific")
    slept: list[float] = []
    told: list[tuple[str, float]] = []
    sleep, tell = slept.append, lambda host, seconds: told.append((host, seconds))
    with _at(limited, sleep=sleep, waiting=tell, patience=600.0) as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        commit = session.latest_commit().cid
        for first in range(0, 1600, 200):
            commit = session.apply([_thing(first + number) for number in range(200)], swap_commit=commit)
        rest = [_thing(1600 + number) for number in range(100)]
        with pytest.raises(RequestFailed, match=r"it wants no request for 3[56]\d\d s") as caught:
            session.apply(rest, swap_commit=commit)
        assert (caught.value.status, slept, told) == (429, [], [])  # more than our patience: no use to wait
        assert session.latest_commit().cid == commit
    with _at(limited, sleep=sleep, clock=lambda: sum(slept), waiting=tell, patience=3700.0) as (client, _):
        session = Session.of_string(client, _There_of(session), session.export())  # type: ignore[arg-type]
        with pytest.raises(RequestFailed):  # an hour of sleep that isn't one: the server says so again
            session.apply(rest, swap_commit=commit)
    assert slept[0] > 3500
    assert told[0] == (client.host(account.pds_url).name, slept[0])


class _There_of:  # noqa: N801
    """A resolver that knows the account of a session."""

    def __init__(self, session: Session) -> None:
        self.pds, self.did, self.handle = session.pds, session.did, None

    def resolve(self, _account: str) -> Any:  # noqa: ANN401
        return self


# --- accounts that may not write -----------------------------------------------------------------------------


def test_a_deactivated_account_is_told_when_it_logs_in(network: Network) -> None:
    """The reference PDS lets it in, and would take no record."""
    account = network.account("gone")
    network.post("com.atproto.server.deactivateAccount", {}, account)
    settings = NetworkSettings.from_environment()
    with Client(settings) as client, pytest.raises(SessionError, match=r"the account is deactivated \(.*take it up"):
        Session.login(client, Resolver(client, settings), account.did, account.password)


def test_an_account_that_was_taken_down_is_told(network: Network) -> None:
    account = network.account("down")
    taken = httpx.post(
        f"{network.pds_url}/xrpc/com.atproto.admin.updateSubjectStatus",
        json={
            "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": account.did},
            "takedown": {"applied": True, "ref": "test"},
        },
        auth=("admin", "admin-pass"),
        timeout=60,
    )
    assert taken.is_success, taken.text
    settings = NetworkSettings.from_environment()
    with Client(settings) as client, pytest.raises(SessionError, match=r"AccountTakedown.*taken down by its server"):
        Session.login(client, Resolver(client, settings), account.did, account.password)


# --- errors without secrets ----------------------------------------------------------------------------------


def _everything(error: BaseException) -> str:
    """An error, those it came from, and what they hold."""
    chain: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in chain:
            chain.append(one)
            left += [one.__cause__, one.__context__]
    assert not any(isinstance(one, httpx.HTTPError) for one in chain)  # they hold the request
    return " ".join(f"{one} {one!r} {vars(one)}" for one in chain)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 429, 500])
def test_a_server_that_repeats_what_it_was_told_is_not_repeated(server: Server, status: int) -> None:
    """Neither a password in the answer to a login, nor a token in one to a write, cut or whole."""

    def parrot(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        said = asked.headers.get("authorization", "") + asked.body.decode()
        answer(handler, {"error": said, "message": "x" * 150 + said}, status, Retry_After="900")

    with Client(LOCAL, sleep=lambda _: None) as client:
        session = _session(client, server)
        for method in ("server.createSession", "repo.applyWrites", "server.refreshSession", "repo.uploadBlob"):
            server.fake.routes[XRPC + method] = parrot
        for attempt in (
            lambda: Session.login(client, _There(server.fake.url), DID, "pass-word-in-clear"),  # type: ignore[arg-type]
            lambda: session.apply([_thing()], swap_commit=COMMIT),
            session.renew,
        ):
            with pytest.raises((RequestFailed, SessionError)) as caught:
                attempt()
            shown = _everything(caught.value)
            assert found_in(shown) is None, shown
            assert "eyJ" not in shown
            assert "in-clear" not in shown


def test_a_server_that_isnt_there_leaves_no_request_in_an_error(server: Server) -> None:
    """Exceptions of httpx contain the headers and the body."""
    with Client(LOCAL, sleep=lambda _: None) as client:
        session = _session(client, server)
        session.pds = "http://127.0.0.1:9"
        for attempt in (
            lambda: Session.login(client, _There(session.pds), DID, "pass-word-in-clear"),  # type: ignore[arg-type]
            lambda: session.apply([_thing()], swap_commit=COMMIT),
        ):
            with pytest.raises(RequestFailed, match="can't be reached") as caught:
                attempt()
            assert "in-clear" not in _everything(caught.value)


def test_tracebacks_that_are_shown_hold_no_secrets(account: Account) -> None:
    """A program whose login is refused, and nothing catches it."""
    program = (
        "import os\nfrom catalog.client import Client\n"
        f"Client.login({account.handle!r}, os.environ['OTHER'])\n"
    )  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OTHER": f"not the {account.password}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "SessionError" in ran.stderr
    assert account.password not in ran.stderr


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("lasting")


# --- files ---------------------------------------------------------------------------------------------------


def test_a_file_is_sent_in_pieces(account: Account, tmp_path: Path) -> None:
    """Memory stays as it is: a blob of 4 MB by the reference PDS, its CID and bytes as expected."""
    path = tmp_path / "a.bin"
    raw = bytes(range(256)) * 16_000
    path.write_bytes(raw)
    cid = Cid.of_block(raw, RAW)
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        session = open_session(client, Resolver(client, settings), account.did, password=account.password)
        session.upload_blob(path, cid=cid, size=len(raw), mime_type="application/octet-stream")
        assert session.has_blobs([cid]) == set()  # no record names it yet
