"""Handles, DIDs and PDSes: who is believed, and who isn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.config import NetworkSettings
from catalog.errors import CatalogError, SessionError, UnknownIdentity
from catalog.network.http import Client
from catalog.network.identity import Identity, Resolver, same_server
from catalog.network.session import Session, Write, batches
from catalog.syntax import Did, Handle
from tests.fakes import Fake, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.datamodel import Json
    from tests.conftest import Network

DID = Did.parse("did:plc:" + "a" * 24)
OTHER = Did.parse("did:plc:" + "b" * 24)
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"


def _document(did: str = DID, handle: str = "alice.test", pds: object = "https://pds.example.org") -> dict[str, object]:
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": pds}
    return {"id": did, "alsoKnownAs": [f"at://{handle}"], "service": [service]}


class Directory:
    """A PLC directory and handle resolver that says what a test wants."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.handles: dict[str, str] = {"alice.test": DID}
        fake.routes[RESOLVE] = lambda handler, asked: (
            answer(handler, {"did": self.handles[asked.query["handle"]]})
            if asked.query["handle"] in self.handles
            else answer(handler, {"error": "HandleNotFound"}, 400)
        )
        self.publish(_document())

    def publish(self, document: object, did: str = DID) -> None:
        self.fake.routes[f"/{did}"] = lambda handler, _: answer(handler, document)


@pytest.fixture
def directory() -> Iterator[Directory]:
    with fake_server({}) as fake:
        yield Directory(fake)


@pytest.fixture
def resolver(directory: Directory) -> Iterator[Resolver]:
    url = directory.fake.url
    settings = NetworkSettings(plc_url=url, handle_resolver=url, allow_loopback=True)
    with Client(settings, sleep=lambda _: None) as client:
        yield Resolver(client, settings)


def test_an_account_is_found_by_did_and_by_handle(resolver: Resolver) -> None:
    """In any case of letters, with or without the @."""
    alice = Identity(did=DID, handle=Handle("alice.test"), pds="https://pds.example.org")
    for name in (DID, "alice.test", "@alice.test", "ALICE.test"):
        assert resolver.resolve(name) == alice


def test_a_handle_that_does_not_point_back_is_not_shown(resolver: Resolver, directory: Directory) -> None:
    """Neither one that leads to somebody else nor one that leads nowhere; nor is it a way in."""
    for handles in ({"alice.test": str(OTHER)}, {}):
        directory.handles = handles
        assert resolver.resolve(DID).handle is None
    directory.publish(_document(OTHER, handle="bob.test"), OTHER)
    directory.handles = {"alice.test": str(OTHER)}
    with pytest.raises(UnknownIdentity, match="call itself"):
        resolver.resolve("alice.test")


@pytest.mark.parametrize(
    "document",
    [
        [], "x", None, {}, {"id": DID}, _document(OTHER), {**_document(), "service": "x"},
        {**_document(), "service": [None, {"id": 1}]}, _document(pds=None), _document(pds="ftp://x.example"),
        _document(pds="https://pds.example.org/path"), _document(pds="https://user@pds.example.org"),
        _document(pds="https://pds.example.org:99999"), _document(pds="javascript:alert(1)"), _document(pds="https://["),
    ],
)  # fmt: skip
def test_a_did_document_that_is_not_right_is_no_account(
    resolver: Resolver, directory: Directory, document: object
) -> None:
    """Somebody else's, without a PDS, or with one that is no server's address."""
    directory.publish(document)
    with pytest.raises(UnknownIdentity):
        resolver.resolve(DID)


@pytest.mark.parametrize(
    "names", [None, "x", [], [1], ["https://alice.test"], ["at://not a handle"], ["at://" + "a" * 9999]]
)
def test_an_odd_alias_is_no_handle(resolver: Resolver, directory: Directory, names: object) -> None:
    """The account is still found."""
    directory.publish({**_document(), "alsoKnownAs": names})
    assert resolver.resolve(DID).handle is None


@pytest.mark.parametrize(
    "name",
    ["", "alice", "did:plc:short", "did:plc:" + "A" * 24, "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
     "did:web:example.org:path", "did:web:10.0.0.1", "did:web:localhost%3A1", "did:plc:../../etc/passwd", "a b.test"],
)  # fmt: skip
def test_names_that_are_no_accounts_are_refused(resolver: Resolver, name: str) -> None:
    """By their text, or because nobody answers there."""
    with pytest.raises(UnknownIdentity):
        resolver.resolve(name)


@given(st.text(max_size=40) | st.text("did:webplc.a%1/@#?", max_size=40).map(lambda text: f"did:web:{text}"))
def test_any_name_raises_only_our_own_errors(text: str) -> None:
    """Nobody is asked: the directory is not there, and names don't resolve."""

    def nothing(*_arguments: object, **_named: object) -> list[object]:
        raise OSError

    settings = NetworkSettings()
    with pytest.MonkeyPatch.context() as patch, Client(settings, sleep=lambda _: None) as client:
        patch.setattr("socket.getaddrinfo", nothing)
        patch.setattr(dns.resolver, "resolve", nothing)
        with pytest.raises(CatalogError):
            Resolver(client, settings).resolve(text)


def test_did_web_is_read_from_its_host(directory: Directory) -> None:
    """On loopback, with its port, by plain http as the specification has it for localhost."""
    port = directory.fake.url.rpartition(":")[2]
    did = f"did:web:localhost%3A{port}"
    directory.handles["web.test"] = did
    directory.publish(_document(did, handle="web.test"), ".well-known/did.json")
    settings = NetworkSettings(handle_resolver=directory.fake.url, allow_loopback=True)
    with Client(settings) as client:
        assert Resolver(client, settings).resolve(did).handle == "web.test"


class _Record:
    def __init__(self, *strings: bytes) -> None:
        self.strings = strings


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([_Record(b"did=", DID.encode())], DID),
        ([_Record(b"unrelated"), _Record(b"did=" + DID.encode())], DID),
        ([_Record(b"did=" + DID.encode()), _Record(b"did=" + OTHER.encode())], None),
        ([_Record(b"did=nonsense")], None),
        ([_Record(b"\xff\xfe")], None),
    ],
)
def test_dns_names_one_did_or_none(
    monkeypatch: pytest.MonkeyPatch, records: list[_Record], expected: Did | None
) -> None:
    """In pieces, among other records; two different ones are none. Without DNS there's the file on the host."""
    monkeypatch.setattr(dns.resolver, "resolve", lambda *_, **__: records)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 443))])
    settings = NetworkSettings()
    with Client(settings) as client:
        resolver = Resolver(client, settings)
        if expected is not None:
            assert resolver.did_of(Handle.parse("alice.example.org")) == expected
        else:
            with pytest.raises(UnknownIdentity):
                resolver.did_of(Handle.parse("alice.example.org"))
        with pytest.raises(UnknownIdentity, match="top-level"):
            resolver.did_of(Handle.parse("alice.test"))


def test_servers_are_the_same_by_what_they_mean() -> None:
    """Default ports, case, and all spellings of this machine."""
    assert same_server("https://PDS.example.org", "https://pds.example.org:443/")
    assert same_server("http://localhost:2583", "http://127.0.0.1:2583")
    assert not same_server("http://localhost:2583", "http://localhost:2584")
    assert not same_server("https://pds.example.org", "https://pds.example.com")


def test_the_reference_network_agrees(network: Network) -> None:
    """A real account of a real PDS, by both names; a login with a wrong password is refused without repeating it."""
    account = network.account("agreed")
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        resolver = Resolver(client, settings)
        found = resolver.resolve(account.handle)
        assert found == resolver.resolve(account.did)
        assert (found.did, found.handle) == (account.did, account.handle)
        assert same_server(found.pds, network.pds_url)
        with pytest.raises(SessionError) as caught:
            Session.login(client, resolver, account.handle, "hunter2")
        assert "hunter2" not in str(caught.value)
        session = Session.login(client, resolver, account.did, account.password)
        assert session._access not in repr(session)
        assert session._refresh not in repr(session)


def test_a_session_renews_its_token_once(network: Network) -> None:
    """A write with an expired token goes through after a refresh; when that fails too, the session has ended."""
    account = network.account("renewed")
    settings = NetworkSettings.from_environment()
    expired: list[str] = []
    with Client(settings) as client, fake_server({}) as fake:
        session = Session.login(client, Resolver(client, settings), account.did, account.password)
        session.pds = fake.url

        def write(handler: object, asked: object) -> None:
            expired.append(asked.headers["authorization"])  # type: ignore[attr-defined]
            status, value = (400, {"error": "ExpiredToken"}) if len(expired) == 1 else (200, {})
            answer(handler, value, status)  # type: ignore[arg-type]

        tokens = {"accessJwt": "new", "refreshJwt": "newer", "did": account.did}
        fake.routes["/xrpc/com.atproto.repo.applyWrites"] = write
        fake.routes["/xrpc/com.atproto.server.refreshSession"] = lambda handler, _: answer(handler, tokens)
        session.apply_writes([Write(action="delete", collection="org.example.thing", rkey="a")])
        assert expired[1:] == ["Bearer new"]
        fake.routes["/xrpc/com.atproto.server.refreshSession"] = lambda handler, _: answer(handler, {"error": "x"}, 400)
        expired.clear()
        with pytest.raises(SessionError, match="ended"):
            session.apply_writes([Write(action="delete", collection="org.example.thing", rkey="a")])


@given(st.lists(st.integers(0, 300_000), max_size=30), st.integers(0, 450))
def test_batches_keep_order_and_limits(sizes: list[int], more: int) -> None:
    """All writes, in their order; never more than 200 or a million bytes together, unless one alone has more."""
    import json

    values: list[Json] = ["x" * size for size in sizes] + [None] * more
    writes = [Write(action="create", collection="c.c.c", rkey=str(n), value=v) for n, v in enumerate(values)]
    made = list(batches(writes))
    assert [entry for batch in made for entry in batch] == [write.as_json() for write in writes]
    for batch in made:
        assert 1 <= len(batch) <= 200
        assert len(batch) == 1 or len(json.dumps(batch)) < 1_000_000
