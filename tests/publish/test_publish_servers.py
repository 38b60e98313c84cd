"""Publishing on servers that differ from the reference PDS: no foreign write is lost unseen, their answer is shown."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from catalog.atproto.identity import Resolver
from catalog.atproto.login_errors import wants_code
from catalog.atproto.session import Session, Swap
from catalog.config import NetworkSettings
from catalog.errors import PublishError, RequestFailed, SessionError
from catalog.manifest import load
from catalog.network.http import Client
from catalog.network.redaction import Secrets
from catalog.publish import apply_plan, make_plan
from catalog.records import DATASET
from tests import forked
from tests.fakes import answer
from tests.personalities import DID, PASSWORD, XRPC, There, pds, session_at
from tests.secrecy import PASSWORDS, found_in
from tests.shardfiles import packed_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalog.publish import Plan
    from tests.conftest import Account, Network
    from tests.fakes import Asked
    from tests.personalities import Pds

pytestmark = pytest.mark.publishing

LOCAL = NetworkSettings(allow_loopback=True)
APPLY = f"{XRPC}repo.applyWrites"
CREATE = f"{XRPC}server.createSession"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.publish.apply.time.sleep", lambda _: None)


@pytest.fixture(autouse=True)
def secret_password() -> Iterator[None]:
    """The password of these servers is looked for as those of the test network are."""
    PASSWORDS.add(PASSWORD)
    yield
    PASSWORDS.discard(PASSWORD)


def _plan(tmp_path: Path, session: Session, word: str = "a", schemas: int = 2) -> Plan:
    path = tmp_path / "m.yaml"
    lines = [f"  - {{name: S{number}, version: 1.0.0, fields: {{a: int}}}}" for number in range(schemas)]
    dataset = f"  - {{name: d, schema: S0@1.0.0, description: {word}, shards: [{{url: 'https://data.example/a.tar'}}]}}"
    path.write_text("\n".join(["schemas:", *lines, "datasets:", dataset, ""]), encoding="utf-8")
    return make_plan(load([path]), session, set_name="default")


def _dataset_path(server: Pds) -> str:
    (path,) = [path for path in server.records if path.startswith(DATASET)]
    return path


# --- swapCommit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("swap", "found"),
    [("compare", Swap.KEPT), ("ignore", Swap.IGNORED), ("refuse", Swap.REFUSED), ("500", Swap.UNKNOWN)],
)
def test_a_server_is_asked_what_it_makes_of_swap_commit(tmp_path: Path, swap: str, found: Swap) -> None:
    """And everything is written on each of them; one that doesn't compare is said to."""
    said: list[str] = []
    with pds(swap=swap) as server, session_at(server, LOCAL) as session:
        assert session.swap() is found
        done = apply_plan(_plan(tmp_path, session), session, progress=said.append)
        assert done.commits == 1
        assert len(server.records) == 3
        assert _plan(tmp_path, session).writes == ()
    warned = [line for line in said if "swapCommit" in line]
    assert bool(warned) is bool(done.warnings) is (swap != "compare")
    assert ("swapCommit" in server.asked_writes[-1]) is (swap != "refuse")


def test_the_reference_pds_compares_swap_commit(network: Network) -> None:
    """And the question leaves no commit behind."""
    account = network.account("swapper")
    rev = network.latest_rev(account.did)
    with Client(NetworkSettings.from_environment()) as client:
        resolver = Resolver(client, NetworkSettings.from_environment())
        session = Session.login(client, resolver, account.handle, account.password)
        assert session.swap() is Swap.KEPT
    assert network.latest_rev(account.did) == rev


@pytest.mark.parametrize("swap", ["compare", "ignore", "refuse", "500"])
@pytest.mark.parametrize("when", ["before", "between"])
def test_no_foreign_write_to_our_records_is_lost_unseen(tmp_path: Path, swap: str, when: str) -> None:
    """Between plan and write nothing is overwritten on any server. In the very moment of writing it is noticed."""
    with pds(swap=swap) as server, session_at(server, LOCAL) as session:
        apply_plan(_plan(tmp_path, session), session)
        plan = _plan(tmp_path, session, word="b")
        path = _dataset_path(server)
        theirs = {**server.records[path], "description": "theirs"}
        noticed = ""
        if when == "before":
            server.put(path, theirs)
        else:
            server.during = lambda: server.put(path, theirs)
        try:
            done = apply_plan(plan, session)
            noticed = " ".join(done.warnings)
        except PublishError as error:
            noticed = str(error)
            assert "'d' was changed" in noticed
        if when == "before" or swap in ("compare", "500"):
            assert server.records[path] == theirs
        else:
            assert "is lost" in noticed


@pytest.mark.parametrize("swap", ["ignore", "refuse"])
def test_a_foreign_write_to_another_of_our_records_is_an_error_where_no_commits_are_kept(
    tmp_path: Path, swap: str
) -> None:
    """The records are read again after the write."""
    with pds(swap=swap, keeps_commits=False) as server, session_at(server, LOCAL) as session:
        plan = _plan(tmp_path, session)
        more = {"$type": DATASET, "name": "new", "createdAt": "2026-01-01T00:00:00Z"}
        server.during = lambda: server.put(f"{DATASET}/3kaaaaaaaaaa2", more)
        with pytest.raises(PublishError, match="'new' is new") as caught:
            apply_plan(plan, session)
        assert "1 of 1 commits" in str(caught.value)


@pytest.mark.parametrize("swap", ["ignore", "refuse", "500"])
def test_posts_of_the_account_are_no_obstacle_without_swap_commit(tmp_path: Path, swap: str) -> None:
    with pds(swap=swap) as server, session_at(server, LOCAL) as session:
        plan = _plan(tmp_path, session)
        server.put("org.example.thing/a", {"$type": "org.example.thing"})
        assert apply_plan(plan, session).commits == 1


# --- answers of 500 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 501])
def test_a_write_that_fails_is_not_tried_blindly(tmp_path: Path, status: int) -> None:
    """The records are compared; nothing changed, so the server's answer is what there is to say."""
    tries: list[int] = []

    def broken(handler: object, _asked: Asked) -> None:
        tries.append(1)
        answer(handler, {"error": "InternalServerError", "message": "the disk is full"}, status)  # type: ignore[arg-type]

    with pds() as server, session_at(server, LOCAL) as session:
        plan = _plan(tmp_path, session)
        server.fake.routes[APPLY] = broken
        with pytest.raises(PublishError, match="the disk is full") as caught:
            apply_plan(plan, session)
    assert str(status) in str(caught.value)
    assert "nothing was written" in str(caught.value)
    assert len(tries) == 2  # one asks what the server makes of swapCommit


def test_a_500_after_which_the_records_are_there_counts_as_made(tmp_path: Path) -> None:
    with pds() as server, session_at(server, LOCAL) as session:
        plan = _plan(tmp_path, session)

        def lost(handler: object, asked: Asked) -> None:
            for write in json.loads(asked.body)["writes"]:
                server.records[f"{write['collection']}/{write['rkey']}"] = write["value"]
            server.commit()
            answer(handler, {"error": "InternalServerError"}, 500)  # type: ignore[arg-type]

        server.fake.routes[APPLY] = lost
        assert apply_plan(plan, session).commits == 1


@pytest.mark.parametrize("how", ["created", "deleted"])
def test_a_500_for_what_somebody_else_did_names_it(tmp_path: Path, how: str) -> None:
    """The reference PDS answers 500 for creating what is there, and for an update or deletion of what isn't."""
    with pds(swap="ignore") as server, session_at(server, LOCAL) as session:
        if how == "created":
            plan = _plan(tmp_path, session)
            path = next(f"{one.key[0]}/{one.uri.rkey}" for one in plan.writes if one.key[0] == DATASET)
            server.during = lambda: server.put(path, {"$type": DATASET, "name": "d", "description": "theirs"})
        else:
            apply_plan(_plan(tmp_path, session), session)
            plan = _plan(tmp_path, session, word="b")
            path = _dataset_path(server)
            server.during = lambda: server.remove(path)
        with pytest.raises(PublishError, match="is new" if how == "created" else "is gone"):
            apply_plan(plan, session)


def test_an_error_that_comes_with_200_is_one(tmp_path: Path) -> None:
    """arroba answers so."""
    with pds() as server, session_at(server, LOCAL) as session:
        plan = _plan(tmp_path, session)
        server.fake.routes[APPLY] = lambda handler, _: answer(handler, ["Not implemented", 501])
        with pytest.raises(PublishError, match="Not implemented"):
            apply_plan(plan, session)
        file = tmp_path / "a.tar"
        file.write_bytes(b"a")
        server.fake.routes[f"{XRPC}repo.uploadBlob"] = lambda handler, _: answer(handler, ["Not implemented", 501])
        with pytest.raises(RequestFailed, match="Not implemented"):
            session.upload_blob(file, cid=server.head, size=1, mime_type="application/x-tar")


# --- blobs ---------------------------------------------------------------------------------------------------


def _blobs(tmp_path: Path, session: Session) -> Plan:
    (tmp_path / "a.tar").write_bytes(packed_shard({"a": 1}, length=40_000))
    (tmp_path / "b.tar").write_bytes(packed_shard({"a": 2}))
    path = tmp_path / "blobs.yaml"
    path.write_text(
        "schemas: [{name: A, version: 1.0.0, fields: {a: int}}]\n"
        "datasets: [{name: one, schema: A@1.0.0, blobs: {local: '*.tar'}}]\n",
        encoding="utf-8",
    )
    return make_plan(load([path]), session, set_name="default")


def test_the_limit_of_blobs_is_known_before_the_first_upload(tmp_path: Path) -> None:
    with pds(blob_limit=20_000) as server, session_at(server, LOCAL) as session:
        with pytest.raises(RequestFailed, match=r"a\.tar has 40,000 bytes.*20,000") as caught:
            apply_plan(_blobs(tmp_path, session), session)
        assert (caught.value.status, server.blobs, server.records) == (413, [], {})
    with pds(blob_limit=40_000) as server, session_at(server, LOCAL) as session:
        assert apply_plan(_blobs(tmp_path, session), session).blobs == 2


def test_a_blob_that_is_stored_as_another_type_is_explained(tmp_path: Path) -> None:
    """Servers look at the first bytes; a record that names another type is refused by them."""
    with pds(stored_type="application/gzip") as server, session_at(server, LOCAL) as session:
        with pytest.raises(PublishError, match=r"application/gzip.*nothing was written.*application/x-tar"):
            apply_plan(_blobs(tmp_path, session), session)
        assert server.records == {}


# --- logins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("app_passwords", [True, False])
@pytest.mark.parametrize(
    "error", [(401, "AuthFactorTokenRequired"), (400, "AuthFactorTokenRequired"), (403, "authFactorTokenRequired")]
)
def test_a_second_factor_is_asked_for(error: tuple[int, str], app_passwords: bool) -> None:  # noqa: FBT001
    """Wrong ones again; without anybody to ask, the error says how to give it, and whether there is another way."""
    typed = iter(["000000", " 123456\n"])
    with pds(code="123456", code_error=error, app_passwords=app_passwords) as server, Client(LOCAL) as client:
        there = There(server.fake.url)
        session = Session.login(client, there, DID, PASSWORD, ask_code=lambda: next(typed))  # type: ignore[arg-type]
        assert str(session.did) == DID
        with pytest.raises(SessionError, match="second factor") as caught:
            Session.login(client, there, DID, PASSWORD)  # type: ignore[arg-type]
        assert "CATALOG_LOGIN_CODE" in (caught.value.hint or "")
        assert ("needs no code" in (caught.value.hint or "")) is app_passwords
        with pytest.raises(SessionError, match="InvalidCode"):
            Session.login(client, there, DID, PASSWORD, code="999999")  # type: ignore[arg-type]


def test_wrong_codes_come_to_an_end() -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        return "000000"

    with pds(code="123456") as server, Client(LOCAL) as client, pytest.raises(SessionError, match="refused"):
        Session.login(client, There(server.fake.url), DID, PASSWORD, ask_code=ask)  # type: ignore[arg-type]
    assert len(asked) == 4


@pytest.mark.parametrize("code", [None, "123456"])
def test_a_script_gives_the_code_by_a_variable(tmp_path: Path, code: str | None) -> None:
    """Without it the message says that a code is wanted, and how to give it."""
    (tmp_path / "m.yaml").write_text("schemas: [{name: A, version: 1.0.0, fields: {a: int}}]\n", encoding="utf-8")
    with pds(code="123456", app_passwords=False) as server:
        environment = {**os.environ, **server.environment(), "CATALOG_APP_PASSWORD": PASSWORD}
        ran = forked.run(
            [sys.executable, "-m", "catalog", "publish", "--yes", "m.yaml"],
            cwd=tmp_path,
            env=environment if code is None else {**environment, "CATALOG_LOGIN_CODE": code},
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == (1 if code is None else 0), ran.stderr
        assert len(server.records) == (0 if code is None else 1)
    if code is None:
        assert "second factor" in ran.stderr
        assert "CATALOG_LOGIN_CODE" in ran.stderr
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("app_passwords", [True, False])
def test_a_wrong_password_is_told_by_what_the_server_has(app_passwords: bool) -> None:  # noqa: FBT001
    with (
        pds(app_passwords=app_passwords) as server,
        Client(LOCAL) as client,
        pytest.raises(SessionError, match="Invalid identifier") as caught,
    ):
        Session.login(client, There(server.fake.url), DID, "something else entirely")  # type: ignore[arg-type]
    assert ("main password" in (caught.value.hint or "")) is not app_passwords


@pytest.mark.parametrize("oauth", [True, False])
@pytest.mark.parametrize(
    ("status", "body"),
    [(501, {"error": "MethodNotImplemented"}), (404, {"message": "not found"}), (404, b"<html>"), (405, b"")],
)
def test_a_server_with_oauth_alone_is_named_as_such(oauth: bool, status: int, body: object) -> None:  # noqa: FBT001
    with pds() as server, Client(LOCAL) as client:
        server.fake.routes[CREATE] = lambda handler, _: answer(handler, body, status)
        if oauth:
            server.fake.routes["/.well-known/oauth-protected-resource"] = lambda handler, _: answer(
                handler, {"resource": server.fake.url, "authorization_servers": [server.fake.url]}
            )
        with pytest.raises(SessionError, match=str(status)) as caught:
            Session.login(client, There(server.fake.url), DID, PASSWORD)  # type: ignore[arg-type]
    assert ("OAuth alone" in caught.value.what) is oauth


def test_a_missing_account_is_no_missing_method() -> None:
    with pds() as server, Client(LOCAL) as client:
        server.fake.routes[CREATE] = lambda handler, _: answer(handler, {"error": "AccountNotFound"}, 404)
        with pytest.raises(SessionError, match=r"refused \(HTTP 404 AccountNotFound\)"):
            Session.login(client, There(server.fake.url), DID, PASSWORD)  # type: ignore[arg-type]
    assert not wants_code(RequestFailed("HTTP 500 AuthFactorTokenRequired", status=500))


# --- secrets that a server repeats ---------------------------------------------------------------------------

FORMS: dict[str, Callable[[str], str]] = {
    "whole": lambda secret: f"bad login: {secret}!",
    "url": lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
    "url twice": lambda secret: quote(quote(secret.replace("-", "/"), safe=""), safe=""),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic": lambda secret: "Basic " + base64.b64encode(f"{DID}:{secret}".encode()).decode(),
    "basic shifted": lambda secret: "Basic " + base64.b64encode(f"a{DID}:{secret}".encode()).decode(),
    "base64url": lambda secret: base64.urlsafe_b64encode(f"ab{secret}".encode()).decode().rstrip("="),
    "hex": lambda secret: secret.encode().hex(),
    "json": lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
    "html": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "spaced": " ".join,
    "cut": lambda secret: secret[: len(secret) * 3 // 4],
    "end": lambda secret: secret[len(secret) // 4 :],
    "upper": str.upper,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", ["password", "access", "refresh"])
def test_no_error_repeats_a_secret_in_any_form(form: str, which: str) -> None:
    """Of the login, of later writes, reads and renewals; nor in the name, nor beyond the place where lines are cut."""
    with pds() as server, session_at(server, LOCAL) as session:
        secret = {"password": PASSWORD, "access": server.access, "refresh": server.refresh}[which]
        said = FORMS[form](secret)
        for body in (
            {"error": "InvalidRequest", "message": said},
            {"error": said, "message": "no"},
            {"error": "Invalid", "message": "x" * 190 + said},
        ):
            for method in ("repo.applyWrites", "server.refreshSession", "sync.getLatestCommit", "sync.listBlobs"):
                server.fake.routes[XRPC + method] = lambda handler, _, body=body: answer(handler, body, 400)  # type: ignore[misc]
            for attempt in (
                lambda: session.apply([], swap_commit=None),
                session.renew,
                session.latest_commit,
                lambda: session.has_blobs([server.head]),
            ):
                with pytest.raises((RequestFailed, SessionError)) as caught:
                    attempt()
                shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
                assert found_in(shown) is None
                for at in range(0, len(said) - 12, 4):
                    assert said[at : at + 12] not in shown or said[at : at + 12] in "x" * 200, (form, shown)


def test_a_secret_in_two_fields_or_in_a_value_is_not_repeated() -> None:
    half = len(PASSWORD) // 2
    with pds() as server, session_at(server, LOCAL) as session:
        body = {"error": PASSWORD[:half], "message": PASSWORD[half:]}
        server.fake.routes[APPLY] = lambda handler, _: answer(handler, body, 400)
        with pytest.raises(RequestFailed) as caught:
            session.apply([], swap_commit=None)
        assert PASSWORD[:half] not in str(caught.value)
        assert PASSWORD[half:] not in str(caught.value)
        latest = {"cid": PASSWORD, "rev": PASSWORD}
        server.fake.routes[f"{XRPC}sync.getLatestCommit"] = lambda handler, _: answer(handler, latest)
        with pytest.raises(RequestFailed) as caught:
            session.latest_commit()
        assert found_in(f"{caught.value} {caught.value!r} {vars(caught.value)} {caught.value.__context__!r}") is None


def test_a_redirect_to_a_secret_is_not_repeated() -> None:
    with pds() as server, session_at(server, LOCAL) as session:
        place = f"{server.fake.url}/{server.access}"
        server.fake.routes[f"{XRPC}sync.getLatestCommit"] = lambda handler, _: answer(handler, b"", 302, Location=place)
        with pytest.raises(Exception, match="redirects") as caught:
            session.latest_commit()
        assert found_in(str(caught.value)) is None


def test_what_a_server_says_is_shown_where_it_repeats_nothing() -> None:
    """Also beside a short password, which stands in many words; on one line, without control codes."""
    secrets = Secrets()
    for secret in ("", "x", "word", PASSWORD):
        secrets.add(secret)
    fine = ("InvalidRequest", "the password box of example.org exists \x1b[31m")
    assert secrets.cleaned(*fine) == fine
    assert secrets.cleaned("", "your word is known")[1] != "your word is known"
    with pytest.raises(TypeError):
        secrets.__reduce__()
    assert PASSWORD not in repr(secrets)


def test_the_text_of_a_login_that_was_refused_is_shown(account: Account) -> None:
    """By the reference PDS."""
    with Client(NetworkSettings.from_environment()) as client:
        resolver = Resolver(client, NetworkSettings.from_environment())
        with pytest.raises(SessionError, match=r"401.*Invalid identifier or password.*app password"):
            Session.login(client, resolver, account.handle, "some other words")


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("refused")
