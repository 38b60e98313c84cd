"""Handles, DIDs and PDSes: who is believed, and who isn't."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dns.resolver
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from catalog.atproto import identity as identity_module
from catalog.atproto.car import Blocks
from catalog.atproto.commit import check_commit, read_commit
from catalog.atproto.identity import Identity, Resolver, identity_of, same_server
from catalog.atproto.keys import PublicKey, _base58
from catalog.atproto.session import Session, Write, batches
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, SessionError, UnknownIdentity
from catalog.network.http import Client, Response
from catalog.syntax import Cid, Did, Handle
from tests.fakes import Fake, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.atproto.datamodel import Json
    from tests.conftest import Network

DID = Did.parse("did:plc:" + "a" * 24)
OTHER = Did.parse("did:plc:" + "b" * 24)
RESOLVE = "/xrpc/com.atproto.identity.resolveHandle"

K_POINT = ec.derive_private_key(int.from_bytes(b"\x07" * 32), ec.SECP256K1()).public_key()
P_POINT = ec.derive_private_key(7**80, ec.SECP256R1()).public_key()
K_SHORT, P_SHORT = (point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint) for point in (K_POINT, P_POINT))
K_LONG, P_LONG = (point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for point in (K_POINT, P_POINT))
K_TEXT, P_TEXT = "z" + _base58(b"\xe7\x01" + K_SHORT), "z" + _base58(b"\x80\x24" + P_SHORT)
K_KEY, P_KEY = PublicKey.parse(K_TEXT), PublicKey.parse(P_TEXT)
K_OLD, P_OLD = "EcdsaSecp256k1VerificationKey2019", "EcdsaSecp256r1VerificationKey2019"


def _method(text: object = K_TEXT, *, kind: object = "Multikey", name: object = "#atproto", by: object = DID) -> object:
    """A verification method of a DID document."""
    return {"id": name, "type": kind, "controller": by, "publicKeyMultibase": text}


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
        assert resolver.resolve(DID, fresh=True).handle is None
    directory.publish(_document(OTHER, handle="bob.test"), OTHER)
    directory.handles = {"alice.test": str(OTHER)}
    with pytest.raises(UnknownIdentity, match="call itself"):
        resolver.resolve("alice.test", fresh=True)


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


@pytest.mark.parametrize(
    ("methods", "key"),
    [
        ([_method()], K_KEY),
        ([_method(P_TEXT)], P_KEY),
        ([_method(name=f"{DID}#atproto")], K_KEY),
        ([_method("z" + _base58(K_LONG), kind=K_OLD)], K_KEY),
        ([_method("z" + _base58(K_SHORT), kind=K_OLD)], K_KEY),
        ([_method("z" + _base58(P_LONG), kind=P_OLD)], P_KEY),
        ([_method(K_TEXT, name="#atproto_old"), _method(K_TEXT, name="#atproto_label"), _method(P_TEXT)], P_KEY),
        ([None, 7, {}, _method(None), _method("z"), _method(kind="x"), _method(by=OTHER), _method(P_TEXT)], P_KEY),
        ([_method(K_TEXT), _method(P_TEXT)], K_KEY),
        ([_method(P_TEXT), _method(K_TEXT)], P_KEY),
        (None, None), ([], None), ("x", None), ({"#atproto": _method()}, None),
        ([_method(name=f"{OTHER}#atproto")], None),
        ([_method(name="atproto")], None),
        ([_method(by=None)], None),
        ([_method(by=OTHER)], None),
        ([_method(kind=None)], None),
        ([_method(kind=["Multikey"])], None),
        ([_method(kind=K_OLD)], None),  # with a multicodec it is no bare point
        ([_method("z" + _base58(K_LONG), kind=P_OLD)], None),  # of the other curve
        ([_method("z" + _base58(K_LONG))], None),
        ([_method("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")], None),  # Ed25519
        ([_method(K_TEXT[:-1])], None),
        ([_method(K_TEXT * 100_000)], None),
        ([_method("x")] * 100_000 + [_method()], None),
    ],
)  # fmt: skip
def test_the_signing_key_is_the_one_named_atproto(methods: object, key: PublicKey | None) -> None:
    """The first that can be used and is the account's own, in today's form or an older one; else there is none."""
    document: Any = {**_document(), "verificationMethod": methods}
    assert identity_of(document, DID) == Identity(did=DID, handle=None, pds="https://pds.example.org", key=key)


def test_a_document_at_hand_vouches_for_no_handle() -> None:
    """And it must be the account's, with a server."""
    document: Any = {**_document(), "verificationMethod": [_method()]}
    assert identity_of(document, DID).handle is None
    others: list[tuple[Any, Did]] = [(document, OTHER), ({"id": DID}, DID), ([], DID), (None, DID), ({}, DID)]
    for bad, did in others:
        with pytest.raises(UnknownIdentity):
            identity_of(bad, did)


_ODD = st.recursive(
    st.none() | st.integers() | st.sampled_from([DID, "#atproto", "Multikey", K_OLD, K_TEXT, "#atproto_pds", "z", "at://"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "type", "controller", "publicKeyMultibase", "serviceEndpoint"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(st.fixed_dictionaries({"id": st.just(str(DID)), "service": _ODD, "verificationMethod": _ODD}) | _ODD)
def test_any_document_is_an_account_or_unknown(document: Any) -> None:  # noqa: ANN401 — somebody else's JSON
    """Whatever stands in its place."""
    with suppress(UnknownIdentity):
        identity_of(document, DID)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(directory: Directory, clock: Clock) -> Iterator[Resolver]:
    """A resolver whose time is the test's."""
    settings = NetworkSettings(plc_url=directory.fake.url, handle_resolver=directory.fake.url, allow_loopback=True)
    with Client(settings, sleep=lambda _: None) as client:
        yield Resolver(client, settings, lifetime=100, clock=clock)


def test_an_account_is_asked_for_once_in_a_lifetime(timed: Resolver, directory: Directory, clock: Clock) -> None:
    """Under either name; then everything is asked for again."""
    for name in (DID, DID, "alice.test", "ALICE.test", DID):
        timed.resolve(name)
    assert sorted(directory.fake.paths()) == [f"/{DID}", RESOLVE]
    clock.now += 99
    timed.resolve(DID)
    assert len(directory.fake.asked) == 2
    clock.now += 1
    timed.resolve(DID)
    assert sorted(directory.fake.paths()[2:]) == [f"/{DID}", RESOLVE]


def test_fresh_asks_for_all_of_it_again(timed: Resolver, directory: Directory) -> None:
    """A new key, server and handle are not seen before, and are remembered after; by either name."""
    old = timed.resolve(DID)
    moved = _document(handle="bob.test", pds="https://other.example.org")
    directory.publish({**moved, "verificationMethod": [_method()]})
    directory.handles = {"bob.test": DID}
    assert timed.resolve(DID) == old
    new = timed.resolve(DID, fresh=True)
    assert new == Identity(did=DID, handle=Handle("bob.test"), pds="https://other.example.org", key=K_KEY)
    assert timed.resolve(DID) == new
    directory.publish({**moved, "verificationMethod": [_method(P_TEXT)]})
    assert timed.resolve("bob.test").key == K_KEY
    assert timed.resolve("bob.test", fresh=True).key == P_KEY
    directory.handles = {}
    assert timed.resolve(DID).handle == "bob.test"
    assert timed.resolve(DID, fresh=True).handle is None


def test_an_unknown_account_is_unknown_for_a_minute(timed: Resolver, directory: Directory, clock: Clock) -> None:
    """It is asked for once; an hour's lifetime is not for what may be an outage. Fresh doesn't wait."""
    for name in (OTHER, OTHER, "bob.test", "bob.test"):
        with pytest.raises(UnknownIdentity):
            timed.resolve(name)
    assert directory.fake.paths() == [f"/{OTHER}", RESOLVE]
    directory.publish(_document(OTHER, handle="bob.test"), OTHER)
    directory.handles["bob.test"] = OTHER
    clock.now += 59
    with pytest.raises(UnknownIdentity):
        timed.resolve("bob.test")
    clock.now += 1
    assert timed.resolve("bob.test").did == OTHER
    directory.fake.routes.pop(f"/{OTHER}")
    with pytest.raises(UnknownIdentity):
        timed.resolve(OTHER, fresh=True)
    directory.publish(_document(OTHER, handle="bob.test"), OTHER)
    assert timed.resolve(OTHER, fresh=True).handle == "bob.test"


def test_a_remembered_error_is_a_new_one_each_time(timed: Resolver) -> None:
    """Changes by one caller are not visible to the next."""
    texts = []
    for _ in range(3):
        with pytest.raises(UnknownIdentity) as caught:
            timed.resolve(OTHER)
        texts.append(str(caught.value))
        caught.value.within("a source")
    assert len(set(texts)) == 1
    assert texts[0].startswith(f"{OTHER}: ")


def test_many_threads_make_one_request(timed: Resolver, directory: Directory) -> None:
    """For an account that is there, and for one that isn't; others don't wait for it."""
    barrier = threading.Barrier(8)

    def slow(value: object, status: int) -> object:
        def route(handler: Any, _: object) -> None:  # noqa: ANN401 — http.server's
            time.sleep(0.3)
            answer(handler, value, status)

        return route

    directory.fake.routes[f"/{DID}"] = slow(_document(), 200)  # type: ignore[assignment]
    directory.fake.routes[f"/{OTHER}"] = slow({"error": "NotFound"}, 404)  # type: ignore[assignment]

    def ask(number: int) -> str | None:
        barrier.wait(timeout=60)
        try:
            return timed.resolve(DID if number % 2 else OTHER).handle
        except UnknownIdentity:
            return "unknown"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["unknown", "alice.test"] * 4
    assert sorted(directory.fake.paths()) == sorted([f"/{DID}", f"/{OTHER}", RESOLVE])


def test_fresh_does_not_take_an_answer_that_is_on_its_way(timed: Resolver, directory: Directory) -> None:
    """It may be from before the change that was the reason to ask."""
    asked, go = threading.Event(), threading.Event()

    def held(handler: Any, _: object) -> None:  # noqa: ANN401 — http.server's
        asked.set()
        go.wait(60)
        answer(handler, _document(pds="https://old.example.org"))

    directory.fake.routes[f"/{DID}"] = held
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(timed.resolve, DID)
        assert asked.wait(60)
        directory.publish(_document(pds="https://new.example.org"))
        called = timed._documents._number
        fresh = [pool.submit(timed.resolve, DID, fresh=True) for _ in range(4)]
        deadline = time.monotonic() + 60
        while timed._documents._number < called + 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        go.set()
        assert first.result().pds == "https://old.example.org"
        assert {future.result().pds for future in fresh} == {"https://new.example.org"}
    assert directory.fake.paths().count(f"/{DID}") == 2


def test_a_fault_of_ours_is_not_remembered() -> None:
    """Only "unknown" is an answer: after anything else the old one stands, and none is none."""
    says: list[RuntimeError | str] = [RuntimeError(), "first", RuntimeError(), "second"]

    def ask(_: str) -> str:
        said = says.pop(0)
        if isinstance(said, RuntimeError):
            raise said
        return said

    cache = identity_module._Cache(ask, 10.0, Clock())
    with pytest.raises(RuntimeError):
        cache.get("a", fresh=False)
    assert cache.get("a", fresh=False) == "first"
    with pytest.raises(RuntimeError):
        cache.get("a", fresh=True)
    assert cache.get("a", fresh=False) == "first"
    assert cache.get("a", fresh=True) == "second"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first: a firehose names accounts without end."""
    monkeypatch.setattr(identity_module, "_KEPT", 3)
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        return number

    cache = identity_module._Cache(ask, 10.0, Clock())
    for number in range(10):
        assert cache.get(number, fresh=False) == number
        assert len(cache._entries) <= 3
    for number in (9, 8, 7, 0):
        cache.get(number, fresh=False)
    assert asked == [*range(10), 0]


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:web:example.org", "https://example.org/.well-known/did.json"),
        ("did:web:Data.Example.ORG", "https://data.example.org/.well-known/did.json"),
        ("did:web:example.org%3A8443", "https://example.org:8443/.well-known/did.json"),
        ("did:web:localhost%3A2583", "https://localhost:2583/.well-known/did.json"),
        (str(DID), f"https://plc.example.org/{DID}"),
        ("did:web:example.org:user", None), ("did:web:example.org%2Fuser", None), ("did:web:user%40example.org", None),
        ("did:web:example.org%3A", None), ("did:web:", None), ("did:web:example.org\n", None),
        ("did:plc:aaaa", None), ("did:key:zQ3sh", None),
    ],
)  # fmt: skip
def test_where_a_did_document_lies(did: str, url: str | None) -> None:
    """In the directory of the settings, or on the host itself: by https, and never at a path of somebody's choice."""
    settings = NetworkSettings(plc_url="https://plc.example.org")
    with Client(settings) as client:
        resolver = Resolver(client, settings)
        if url is not None:
            assert resolver._document_url(Did(did)) == url
        else:
            with pytest.raises(UnknownIdentity, match="looked up"):
                resolver._document_url(Did(did))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (DID.encode(), DID), (b"  " + DID.encode() + b"\r\n", DID), (b"did=" + DID.encode(), None), (b"", None),
        (b"\xff\xfe", None), (b"<html>", None), (DID.encode() + b"\n" + OTHER.encode(), None),
    ],
)  # fmt: skip
def test_without_dns_the_handles_own_host_says_the_did(
    monkeypatch: pytest.MonkeyPatch, body: bytes, found: Did | None
) -> None:
    """By https, in a small file with nothing else in it. With DNS nobody asks the host."""
    records: list[_Record] = []
    asked: list[str] = []

    def dns_says(*_: object, **__: object) -> list[_Record]:
        if records:
            return records
        raise dns.resolver.NXDOMAIN

    def get(_: Client, url: str, **limits: object) -> Response:
        asked.append(url)
        assert limits["max_bytes"] == 4096
        return Response(status=200, headers={}, body=body)

    monkeypatch.setattr(dns.resolver, "resolve", dns_says)
    monkeypatch.setattr(Client, "get", get)
    settings = NetworkSettings()
    with Client(settings) as client:
        resolver = Resolver(client, settings)
        if found is None:
            with pytest.raises(UnknownIdentity, match="points to no DID"):
                resolver.did_of(Handle.parse("Alice.example.org"))
        else:
            assert resolver.did_of(Handle.parse("Alice.example.org")) == found
        assert asked == ["https://alice.example.org/.well-known/atproto-did"]
        records.append(_Record(b"did=" + OTHER.encode()))
        assert resolver.did_of(Handle.parse("alice.example.org"), fresh=True) == OTHER
        assert len(asked) == 1


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
        assert found.key is not None
        network.create_record(account, "org.example.note", {"$type": "org.example.note"})
        asked = {"did": account.did}
        answered = httpx.get(
            f"{network.pds_url}/xrpc/com.atproto.sync.getRepo", params=asked, timeout=60
        ).raise_for_status()
        (root,), blocks = Blocks.of_car(answered.content)
        commit = read_commit(blocks.get(root) or b"")
        check_commit(commit, did=found.did, key=found.key)
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
    cid = Cid.parse("bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a")
    with Client(settings) as client, fake_server({}) as fake:
        session = Session.login(client, Resolver(client, settings), account.did, account.password)
        session.pds = fake.url

        def write(handler: object, asked: object) -> None:
            expired.append(asked.headers["authorization"])  # type: ignore[attr-defined]
            status, value = (
                (400, {"error": "ExpiredToken"}) if len(expired) == 1 else (200, {"commit": {"cid": str(cid)}})
            )
            answer(handler, value, status)  # type: ignore[arg-type]

        tokens = {"accessJwt": "new", "refreshJwt": "newer", "did": account.did}
        fake.routes["/xrpc/com.atproto.repo.applyWrites"] = write
        fake.routes["/xrpc/com.atproto.server.refreshSession"] = lambda handler, _: answer(handler, tokens)
        session.apply([Write(action="delete", collection="org.example.thing", rkey="a")], swap_commit=cid)
        assert expired[1:] == ["Bearer new"]
        fake.routes["/xrpc/com.atproto.server.refreshSession"] = lambda handler, _: answer(handler, {"error": "x"}, 400)
        expired.clear()
        with pytest.raises(SessionError, match="ended"):
            session.apply([Write(action="delete", collection="org.example.thing", rkey="a")], swap_commit=cid)


@given(st.lists(st.integers(0, 300_000), max_size=30), st.integers(0, 450))
def test_batches_keep_order_and_limits(sizes: list[int], more: int) -> None:
    """All writes, in their order; never more than 200 or a million bytes together, unless one alone has more."""
    import json

    values: list[Json] = ["x" * size for size in sizes] + [None] * more
    writes = [Write(action="create", collection="c.c.c", rkey=str(n), value=v) for n, v in enumerate(values)]
    made = list(batches(writes))
    assert [write for batch in made for write in batch] == writes
    for batch in made:
        assert 1 <= len(batch) <= 200
        assert len(batch) == 1 or len(json.dumps([write.as_json() for write in batch])) < 1_000_000
