"""A client of the atproto SDK for Python is a client here: the real SDK on a real PDS."""

from __future__ import annotations

import base64
import hmac
import json
import pickle
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import numpy as np
import pytest
from atproto import AsyncClient, SessionEvent
from atproto import Client as AtprotoClient
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, Dataset, PackableSample, fetch_lens, lens
from catalog.atproto.session import Swap
from catalog.client import Client
from catalog.errors import CatalogError, DataError, SessionError
from catalog.lenses import code_reference as code_references
from catalog.records import LENS, SCHEMA, CodeReference
from catalog.samples.packable import sample_type
from catalog.samples.write_shards import write_shards
from tests.fakes import fake_server
from tests.secrecy import PASSWORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Account, HttpsServer, Network

pytestmark = pytest.mark.publishing


class Digit(PackableSample):
    """A digit."""

    image: Annotated[NDArray[np.uint8], Array(shape=(2, 2))]
    label: int


class Flat(PackableSample):
    """A digit without its shape."""

    pixels: NDArray[np.uint8]
    label: int


@lens(register=False)
def flatten(digit: Digit) -> Flat:
    """Row by row."""
    return Flat(pixels=digit.image.reshape(-1), label=digit.label)


@flatten.putter
def unflatten(flat: Flat, digit: Digit) -> Digit:
    return Digit(image=flat.pixels.reshape(digit.image.shape), label=flat.label)


@pytest.fixture(autouse=True)
def _no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATALOG_APP_PASSWORD", raising=False)


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("sdk-user")


_opened: list[AtprotoClient] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close the connections of the SDK clients."""
    yield
    while _opened:
        _opened.pop().request._client.close()


def logged_in(account: Account) -> AtprotoClient:
    """A logged-in SDK client, as its users make it; a PDS without an app view has no profile for it."""
    client = AtprotoClient(account.pds_url)
    _opened.append(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            client.login(account.handle, account.password)
        except Exception:  # noqa: BLE001 - older versions fail for want of a profile, after the login
            assert client._session is not None
    PASSWORDS.update(tokens(client))
    return client


@pytest.fixture
def sdk(account: Account) -> AtprotoClient:
    return logged_in(account)


def tokens(client: AtprotoClient) -> tuple[str, str]:
    session = client._session
    assert session is not None
    return session.access_jwt, session.refresh_jwt


class Changes:
    """A user's callback that saves the session whenever it changes."""

    def __init__(self, client: AtprotoClient) -> None:
        self.saved: list[tuple[SessionEvent, str]] = []
        client.on_session_change(lambda event, session: self.saved.append((event, session.export())))


# --- publishing and loading ----------------------------------------------------------------------------------


def test_schema_dataset_and_lens_are_published_and_loaded_with_an_sdk_client(
    sdk: AtprotoClient,
    account: Account,
    network: Network,
    https_server: Callable[[Path], HttpsServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reference(function: Any, **_: object) -> CodeReference:  # noqa: ANN401 - a stand-in for git
        path = f"lenses.py:{function.__name__}"
        return CodeReference(repository="https://git.example/l", commit="c" * 40, path=path, language="python")

    monkeypatch.setattr(code_references, "code_reference", reference)
    digits = [Digit(image=np.full((2, 2), number, np.uint8), label=number) for number in range(4)]
    infos = write_shards(digits, tmp_path / "d-%06d.tar")
    server = https_server(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))

    schema = Digit.publish_to_atproto(sdk, license="MIT")
    assert (schema.collection, str(schema.authority)) == (SCHEMA, account.did)
    dataset = Dataset(infos, Digit)
    uri = dataset.publish_to_atproto(sdk, name="digits", urls=[f"{server.url}/d-000000.tar"])
    assert network.get_record(account.did, str(uri.collection), str(uri.rkey))["value"]["schemaRef"] == schema
    published = flatten.publish_to_atproto(sdk)
    assert published.collection == LENS

    loaded = [
        Dataset.from_atproto(sdk, uri, Digit),
        Dataset.from_atproto(uri, Digit, client=sdk),
        Dataset.from_atproto(client=sdk, uri=uri, sample_type=Digit),
    ]
    assert all(list(one) == digits for one in loaded)
    assert [sample.label for sample in Dataset.from_atproto(sdk, uri)] == [0, 1, 2, 3]
    assert fetch_lens(published, client=sdk).name == "flatten"
    with Client() as ours:
        assert list(Dataset.from_atproto(ours, uri, Digit)) == digits


def test_a_session_string_logs_in_here_and_there(sdk: AtprotoClient, account: Account) -> None:
    """The SDK's and ours are one format; only the account's own server is asked."""
    with Client.from_session(sdk.export_session_string()) as ours:
        PASSWORDS.update(ours.export_session().split(":::")[2:4])
        assert str(Digit.publish_to_atproto(ours).authority) == ours.did == account.did
        other = AtprotoClient(account.pds_url)
        other._import_session_string(ours.export_session())
        assert works(other, account)
        other.request._client.close()
    for wrong in ("", "alice:::no did:::a:::b:::c", sdk.export_session_string().replace(tokens(sdk)[0], "")):
        with pytest.raises(SessionError, match="no session string"):
            Client.from_session(wrong)
    with Client() as anonymous, pytest.raises(SessionError, match="no session"):
        anonymous.export_session()


def test_records_are_public_so_a_client_that_is_logged_out_or_another_accounts_loads_them(
    sdk: AtprotoClient, network: Network
) -> None:
    uri = Dataset(["https://data.example/d.tar"], Digit).publish_to_atproto(sdk, name="d")
    for client in (AtprotoClient("https://nowhere.example"), AsyncClient(), logged_in(network.account("reader"))):
        assert Dataset.from_atproto(client, uri, Digit).uri == uri


# --- tokens --------------------------------------------------------------------------------------------------


def expire(client: AtprotoClient) -> None:
    """Let the access token of a client be one that expired an hour ago, signed with the key of the test PDS."""
    session = client._session
    assert session is not None
    claims = json.loads(base64.urlsafe_b64decode(session.access_jwt.split(".")[1] + "=="))
    claims |= {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"typ": "at+jwt", "alg": "HS256"}, claims))
    session.access_jwt = f"{signed}.{_encoded(hmac.digest(b'jwt-secret', signed.encode(), 'sha256'))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def works(client: AtprotoClient, account: Account) -> bool:
    """Return whether a request of the SDK's own is accepted."""
    return str(client.com.atproto.server.get_session().did) == account.did


def test_the_expired_token_is_one_that_the_server_refuses_as_expired(sdk: AtprotoClient, account: Account) -> None:
    expire(sdk)
    bearer = {"authorization": f"Bearer {tokens(sdk)[0]}"}
    answer = httpx.get(f"{account.pds_url}/xrpc/com.atproto.server.getSession", headers=bearer, timeout=60)
    assert answer.json()["error"] == "ExpiredToken"


def test_tokens_renewed_here_reach_the_sdk_client_and_the_callback_of_its_user(
    sdk: AtprotoClient, account: Account
) -> None:
    changes = Changes(sdk)
    expire(sdk)
    before = tokens(sdk)
    Digit.publish_to_atproto(sdk)
    after = tokens(sdk)
    assert not {*before} & {*after}
    [(event, saved)] = changes.saved
    assert (event, saved) == (SessionEvent.REFRESH, sdk.export_session_string())
    assert works(sdk, account)
    sdk._refresh_and_set_session()
    Flat.publish_to_atproto(sdk)
    assert works(sdk, account)


def test_tokens_renewed_by_the_sdk_client_are_used_here(sdk: AtprotoClient, account: Account) -> None:
    with Client.from_sdk(sdk) as ours:
        changes = Changes(sdk)
        expire(sdk)
        assert works(sdk, account), "the SDK renews by itself"
        after = tokens(sdk)
        ours.publish_schema(sample_type(Digit))
        assert tokens(sdk) == after
        assert [event for event, _ in changes.saved] == [SessionEvent.REFRESH]


def test_of_an_expired_token_only_one_side_makes_a_new_one(sdk: AtprotoClient, account: Account) -> None:
    with Client.from_sdk(sdk) as ours:
        changes = Changes(sdk)
        expire(sdk)
        session = ours._session
        assert session is not None
        with ThreadPoolExecutor(4) as pool:
            theirs = [pool.submit(works, sdk, account) for _ in range(3)]
            assert pool.submit(session.swap).result() is Swap.KEPT
            assert all(one.result() for one in theirs)
    assert len(changes.saved) == 1


# --- clear errors --------------------------------------------------------------------------------------------


def publish_each_way(client: Any) -> Iterator[Callable[[], object]]:  # noqa: ANN401 - whatever a user passes
    dataset = Dataset(["https://data.example/d.tar"], Digit)
    yield lambda: Digit.publish_to_atproto(client)
    yield lambda: dataset.publish_to_atproto(client, name="d")
    yield lambda: client_of(client)


def client_of(client: Any) -> None:  # noqa: ANN401
    Client.from_sdk(client).close()


def test_a_client_that_is_logged_out_is_refused(network: Network) -> None:
    for publish in publish_each_way(AtprotoClient(network.pds_url)):
        with pytest.raises(SessionError, match="not logged in") as caught:
            publish()
        assert "client.login" in str(caught.value.hint)


def test_an_async_client_is_refused_with_what_to_pass_instead(sdk: AtprotoClient, account: Account) -> None:
    other = AsyncClient(account.pds_url)
    other._set_session_common(sdk._session.copy(), account.pds_url)
    for publish in publish_each_way(other):
        with pytest.raises(SessionError, match="AsyncClient") as caught:
            publish()
        assert "atproto.Client" in str(caught.value.hint)


def test_a_client_that_changes_its_account_is_refused_from_then_on(
    sdk: AtprotoClient, account: Account, network: Network
) -> None:
    other = network.account("other")
    with Client.from_sdk(sdk) as ours:
        sdk._set_session(SessionEvent.IMPORT, logged_in(other)._session)
        with pytest.raises(SessionError, match=f"now logged in to {other.did}") as caught:
            ours.publish_schema(sample_type(Digit))
    assert caught.value.where == account.did
    assert str(Digit.publish_to_atproto(sdk).authority) == other.did


def test_tokens_of_another_account_are_not_sent(sdk: AtprotoClient, network: Network) -> None:
    other = network.account("other")
    session = logged_in(other)._session
    assert session is not None
    assert sdk._session is not None
    sdk._session.access_jwt, sdk._session.refresh_jwt = session.access_jwt, session.refresh_jwt
    with pytest.raises(SessionError, match=f"belong to '{other.did}'"):
        Digit.publish_to_atproto(sdk)


def test_a_session_that_has_ended_is_said_to_have(sdk: AtprotoClient) -> None:
    sdk.com.atproto.server.delete_session(headers=sdk._get_refresh_auth_headers(), ignore_session_check=True)
    expire(sdk)
    with pytest.raises(SessionError, match="session has ended"):
        Digit.publish_to_atproto(sdk)


@pytest.mark.parametrize("wrong", ["alice.example.org", None, httpx])
def test_anything_else_is_no_client(wrong: Any) -> None:  # noqa: ANN401 - whatever a user passes
    for publish in list(publish_each_way(wrong))[:2]:
        with pytest.raises(TypeError, match=r"catalog\.Client, or"):
            publish()
    if wrong is not None:
        with pytest.raises((TypeError, DataError, CatalogError)):
            Dataset.from_atproto(wrong, "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/x.y.z/1")


# --- guards --------------------------------------------------------------------------------------------------


def test_the_pds_that_the_session_names_is_not_believed(sdk: AtprotoClient, account: Account) -> None:
    with fake_server({}) as elsewhere:
        sdk.update_base_url(elsewhere.url)
        assert sdk._session is not None
        sdk._session.pds_endpoint = elsewhere.url
        uri = Digit.publish_to_atproto(sdk)
        assert str(uri.authority) == account.did
        assert elsewhere.paths() == []


def test_addresses_are_guarded_whatever_the_sdk_client_may_reach(
    sdk: AtprotoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "0")
    with pytest.raises(CatalogError, match="plain http is not opened"):
        Digit.publish_to_atproto(sdk)


def test_no_token_is_shown_or_pickled(sdk: AtprotoClient) -> None:
    with Client.from_sdk(sdk) as ours:
        shown = repr(ours) + repr(ours._session)
        assert not any(token in shown for token in tokens(sdk))
        with pytest.raises(TypeError, match="isn't pickled"):
            pickle.dumps(ours._session)
