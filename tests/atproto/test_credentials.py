"""Logins: what is taken first, what is kept and what never is; blobs that are uploaded once."""

from __future__ import annotations

import hashlib
import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keyring
import pytest

from catalog.atproto.credentials import forget, open_session, remember
from catalog.atproto.identity import Resolver
from catalog.atproto.session import Session, Write
from catalog.config import NetworkSettings
from catalog.errors import RequestFailed, SessionError
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish import Applied, apply_plan, make_plan
from catalog.syntax import Cid
from tests.fakes import answer, fake_server
from tests.keyrings import MemoryKeyring
from tests.shardfiles import packed_shard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Account, Network

pytestmark = pytest.mark.publishing

THING = Write(action="create", collection="org.example.thing", rkey="a", value={"$type": "org.example.thing"})


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("secretive")


@pytest.fixture(autouse=True)
def nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CATALOG_HANDLE", "CATALOG_APP_PASSWORD", "CATALOG_SESSION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    found = MemoryKeyring()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


@contextmanager
def _network() -> Iterator[tuple[Client, Resolver]]:
    settings = NetworkSettings.from_environment()
    with Client(settings) as client:
        yield client, Resolver(client, settings)


def _works(session: Session) -> bool:
    """Return whether it may write."""
    session.apply([THING], swap_commit=session.latest_commit().cid)
    return True


def _refused() -> str:
    pytest.fail("nobody should be asked")


# --- where it comes from -------------------------------------------------------------------------------------


def test_an_app_password_of_the_environment_goes_before_the_keyring(
    account: Account, ring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of it is put into the keyring."""
    monkeypatch.setenv("CATALOG_APP_PASSWORD", account.password)
    with _network() as (client, resolver):
        assert _works(open_session(client, resolver, account.handle, ask=_refused))
    assert ring.kept == {}


def test_a_session_string_is_resumed_without_a_login(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and that of the atproto SDK for Python, which knows no PDS in its older form; the account is in it."""
    with _network() as (client, resolver):
        text = Session.login(client, resolver, account.handle, account.password).export()
        handle, did, _, refresh, pds = text.split(":::")
        assert (handle, did, pds) == (account.handle, account.did, account.pds_url)
        for form in (text, text.rpartition(":::")[0]):
            monkeypatch.setenv("CATALOG_SESSION", form)
            requests = client.requests
            session = open_session(client, resolver, None, ask=_refused)
            assert client.requests - requests <= 3  # who that is, and where: no login
            assert (str(session.did), session.pds) == (account.did, account.pds_url)
        assert _works(session)
        assert session.refresh_token == refresh


@pytest.mark.parametrize("text", ["x", ":::", "a:::did:plc:b:::c", "a:::did:web:a.example:::c d:::e", "a:::b:::c:::d"])
def test_a_broken_session_string_is_told_without_a_part_of_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_SESSION", text)
    with _network() as (client, resolver), pytest.raises(SessionError) as caught:
        open_session(client, resolver, None)
    assert str(caught.value).startswith("CATALOG_SESSION: that is no session string (handle:::did:::")


def test_a_session_string_of_another_account_is_refused(
    account: Account, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom you name is whom you get."""
    other = network.account("other")
    with _network() as (client, resolver):
        monkeypatch.setenv("CATALOG_SESSION", Session.login(client, resolver, other.did, other.password).export())
        with pytest.raises(SessionError, match="not of this account"):
            open_session(client, resolver, account.handle)


def test_without_anything_one_is_asked_and_a_script_is_told(account: Account) -> None:
    with _network() as (client, resolver):
        assert _works(open_session(client, resolver, account.handle, ask=lambda: account.password))
        with pytest.raises(SessionError, match=r"there is no password \(set CATALOG_APP_PASSWORD"):
            open_session(client, resolver, account.handle)
        with pytest.raises(SessionError, match="no account is named"):
            open_session(client, resolver, None, ask=_refused)


# --- the keyring ---------------------------------------------------------------------------------------------


def test_what_was_remembered_is_used_and_renewed(account: Account, ring: MemoryKeyring) -> None:
    """The second run sends no password: it goes on with the refresh token, and keeps the new one."""
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        remember(session, account.password)
        token = ring.kept["atdata-catalog", f"{account.did} session"]
        ring.kept["atdata-catalog", account.did] = "not the password"
        again = open_session(client, resolver, None, ask=_refused)
        assert _works(again)
        fresh = ring.kept["atdata-catalog", f"{account.did} session"]
        assert fresh not in ("", token)
        again.renew()
        assert ring.kept["atdata-catalog", f"{account.did} session"] not in (fresh, token)


def test_a_session_that_has_ended_is_replaced_by_a_login(account: Account, ring: MemoryKeyring) -> None:
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        remember(session, account.password)
        session.close()
        assert _works(open_session(client, resolver, account.handle, ask=_refused))
        assert ring.kept["atdata-catalog", f"{account.did} session"] != session.refresh_token


def test_logging_out_forgets_everything_and_ends_the_session(account: Account, ring: MemoryKeyring) -> None:
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        remember(session, account.password)
        assert forget(client, resolver, session.did) is True
        assert ring.kept == {}
        assert forget(client, resolver, session.did) is False
        assert open_session(client, resolver, account.handle, ask=lambda: account.password)
    assert ring.kept == {}


def test_a_keyring_that_is_locked_or_a_file_is_none(account: Account, ring: MemoryKeyring) -> None:
    """Then one is asked; and remembering says what to do instead."""

    class InAFile(MemoryKeyring):
        pass

    InAFile.__module__ = "keyrings.alt.file"
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        remember(session, account.password)
        ring.locked = True
        assert open_session(client, resolver, account.handle, ask=lambda: account.password)
        with pytest.raises(SessionError, match="the keyring takes nothing: KeyringLocked"):
            remember(session, account.password)
        keyring.set_keyring(InAFile())
        with pytest.raises(SessionError, match="CATALOG_APP_PASSWORD"):
            remember(session, account.password)


# --- what servers say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "name", "hint"),
    [
        (401, "AuthFactorTokenRequired", "an app password of the account needs no code"),
        (401, "AccountTakedown", "taken down"),
        (400, "AccountDeactivated", "deactivated"),
        (401, "AuthenticationRequired", "is it an app password"),
    ],
)
def test_a_refused_login_says_what_to_do(account: Account, status: int, name: str, hint: str) -> None:
    with _network() as (client, _), fake_server({}) as fake:
        fake.routes["/xrpc/com.atproto.server.createSession"] = lambda handler, _: answer(
            handler, {"error": name, "message": account.password}, status
        )
        fake.routes["/xrpc/com.atproto.server.listAppPasswords"] = lambda handler, _: answer(
            handler, {"error": "AuthMissing"}, 401
        )
        with pytest.raises((SessionError, RequestFailed)) as caught:
            Session.login(client, _Elsewhere(fake.url, account.did), account.handle, account.password)  # type: ignore[arg-type]
    assert name in str(caught.value)
    assert hint in str(caught.value)
    assert account.password not in str(caught.value)


class _Elsewhere:
    """A resolver by which an account is at a server of ours."""

    def __init__(self, pds: str, did: str) -> None:
        from catalog.syntax import Did

        self.pds, self.did, self.handle = pds, Did.parse(did), None

    def resolve(self, _account: str) -> _Elsewhere:
        return self


def test_a_session_is_in_no_pickle_and_no_repr(account: Account) -> None:
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        with pytest.raises(TypeError, match="isn't pickled"):
            pickle.dumps(session)
        assert session.refresh_token not in repr(session) + str(session.__dict__.keys())


# --- blobs ---------------------------------------------------------------------------------------------------

BLOBS = """\
schemas: [{name: A, version: 1.0.0, fields: {a: int}}]
datasets:
  - {name: one, schema: A@1.0.0, blobs: {local: "*.tar"}}
  - {name: two, schema: A@1.0.0, blobs: [{local: b.tar}]}
"""


def test_blobs_are_uploaded_once_by_their_cid(account: Account, network: Network, tmp_path: Path) -> None:
    """Each file once, though two datasets have it; and not again while the repository holds it."""
    (tmp_path / "a.tar").write_bytes(packed_shard({"a": 1}))
    (tmp_path / "b.tar").write_bytes(packed_shard({"a": 2}, length=600_000))
    (tmp_path / "c.tar").write_bytes(packed_shard({"a": 1}))
    (tmp_path / "m.yaml").write_text(BLOBS, encoding="utf-8")
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        plan = make_plan(load([tmp_path]), session, set_name="default")
        assert apply_plan(plan, session) == Applied(commits=1, blobs=2)
        held = network.get("com.atproto.sync.listBlobs", {"did": account.did})["cids"]
        assert len(held) == 2
        for cid in held:
            raw = client.get(f"{account.pds_url}/xrpc/com.atproto.sync.getBlob?did={account.did}&cid={cid}").body
            assert Cid.parse(cid).digest == hashlib.sha256(raw).digest()
        text = BLOBS.replace("name: two", "name: three")
        (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
        again = make_plan(load([tmp_path]), session, set_name="default")
        assert apply_plan(again, session) == Applied(commits=1, blobs=0)
        assert make_plan(load([tmp_path]), session, set_name="default").writes == ()


def test_a_blob_that_the_server_finds_too_large_is_told_before_anything_is_written(
    account: Account, network: Network, tmp_path: Path
) -> None:
    """With its size, and what to do; the repository stays as it is."""
    rev = network.latest_rev(account.did)
    large = packed_shard({"a": 1}, length=6_000_000)  # the reference PDS takes 5 MiB by default
    (tmp_path / "a.tar").write_bytes(large)
    (tmp_path / "b.tar").write_bytes(packed_shard({"a": 2}))
    (tmp_path / "m.yaml").write_text(BLOBS, encoding="utf-8")
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        plan = make_plan(load([tmp_path]), session, set_name="default")
        with pytest.raises(RequestFailed, match=r"a\.tar has 6,000,000 bytes, more than this server takes.*smaller"):
            apply_plan(plan, session)
    assert network.latest_rev(account.did) == rev


def test_a_file_that_changes_while_it_is_uploaded_is_noticed(
    account: Account, network: Network, tmp_path: Path
) -> None:
    """The record would name what isn't there."""
    rev = network.latest_rev(account.did)
    (tmp_path / "a.tar").write_bytes(packed_shard({"a": 1}))
    (tmp_path / "b.tar").write_bytes(packed_shard({"a": 2}))
    (tmp_path / "m.yaml").write_text(BLOBS, encoding="utf-8")
    with _network() as (client, resolver):
        session = Session.login(client, resolver, account.handle, account.password)
        plan = make_plan(load([tmp_path]), session, set_name="default")
        (tmp_path / "b.tar").write_bytes(packed_shard({"a": 3}))
        with pytest.raises(RequestFailed, match=r"was b\.tar changed meanwhile"):
            apply_plan(plan, session)
    assert network.latest_rev(account.did) == rev
