"""A PDS and its directory in one small server: signed repositories of a few records, and answers that tests change.

It is made of ``tests.repos``, the slow and obvious trees, and shares no code with what it checks. Where the real PDS is
what matters, use that: this one is for what no one server does, the many ways in which servers refuse.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from catalog.syntax import Cid
from tests.fakes import answer, fake_server
from tests.repos import SigningKey, car, make_repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked, Fake
    from tests.repos import Repo

    Route = Callable[[BaseHTTPRequestHandler, Asked], None]

__all__ = ["LABEL", "REVS", "SmallAccount", "SmallPds", "label", "refuse", "small_pds"]

LABEL = "science.alt.dataset.label"
REVS = tuple(f"3l3qo2vuow{letter}2b" for letter in "abcdefgh")
"""Revs in ascending order."""
SYNC, REPO = "/xrpc/com.atproto.sync.", "/xrpc/com.atproto.repo."
_CAR = "application/vnd.ipld.car"


def label(did: str, name: str) -> dict[str, Json]:
    """Return a label record."""
    uri = f"at://{did}/science.alt.dataset.entry/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": "2026-01-02T03:04:05.000Z"}


def refuse(status: int, error: str = "", message: str = "x") -> Route:
    """Return a route that answers with an XRPC error."""
    body = {"error": error, "message": message} if error else {"message": message}
    return lambda handler, _: answer(handler, body, status, Content_Type="application/json")


@dataclass(slots=True)
class SmallAccount:
    """An account. ``routes`` by method (``sync.getRepo``) stand in for the server's own answers about it, ``document``
    for its DID document. ``status`` is None while it is active.
    """

    did: str
    url: str
    key: SigningKey = field(default_factory=SigningKey)
    names: dict[str, str] = field(default_factory=dict)
    rev: str = ""
    status: str | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    document: Route | None = None
    repo: Repo = field(init=False)

    def write(self, names: dict[str, str], rev: str) -> None:
        """Have labels with these names by record key, and a post, in a commit with this rev."""
        self.names, self.rev = dict(names), rev
        self.repo = make_repo(self.records(), did=self.did, key=self.key, rev=rev)

    def records(self) -> dict[str, Json]:
        """Return the records by path."""
        found: dict[str, Json] = {f"{LABEL}/{key}": label(self.did, name) for key, name in self.names.items()}
        return {**found, "app.bsky.feed.post/3kaaaaaaaaaa2": {"$type": "app.bsky.feed.post", "text": "x"}}

    def refuse(self, *methods: str, status: int, error: str = "", message: str = "x") -> None:
        """Have methods (``sync.getRepo``) refused."""
        for method in methods:
            self.routes[method] = refuse(status, error, message)


class SmallPds:
    """``routes`` by path go before everything else; ``asked`` are the paths that were asked for."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.accounts: dict[str, SmallAccount] = {}
        methods: dict[str, Callable[..., None]] = {
            "sync.listRepos": self._list_repos, "sync.listReposByCollection": self._by_collection,
            "sync.getLatestCommit": self._latest, "sync.getRepoStatus": self._status,
            "sync.getRecord": self._proof, "sync.getBlocks": self._blocks, "sync.getRepo": self._repo,
            "repo.describeRepo": self._describe, "repo.listRecords": self._list_records, "repo.getRecord": self._record,
        }  # fmt: skip
        for method, route in methods.items():
            fake.routes[f"/xrpc/com.atproto.{method}"] = self._of_account(method, route)

    @property
    def url(self) -> str:
        """The address of the PDS and of the directory."""
        return self.fake.url

    def account(self, letter: str, *names: str, rev: str = REVS[3]) -> SmallAccount:
        """Return a new account with labels of these names."""
        made = SmallAccount(did="did:plc:" + letter * 24, url=self.url)
        made.write({f"3kaaaaaaaaa{number}2".translate(str.maketrans("01", "ab")): name
                    for number, name in enumerate(names)}, rev)  # fmt: skip
        self.accounts[made.did] = made
        self.fake.routes[f"/{made.did}"] = lambda handler, asked: self._document(handler, asked, made)
        return made

    def _document(self, handler: BaseHTTPRequestHandler, asked: Asked, account: SmallAccount) -> None:
        if account.document is not None:
            account.document(handler, asked)
            return
        did = account.did
        key = {"id": f"{did}#atproto", "type": "Multikey", "controller": did}
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": account.url}
        methods = [{**key, "publicKeyMultibase": account.key.multibase}]
        answer(handler, {"id": did, "verificationMethod": methods, "service": [service]})

    def _of_account(self, method: str, route: Callable[..., None]) -> Route:
        def answered(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
            if method.startswith("sync.list"):
                route(handler, asked)
                return
            account = self.accounts.get(asked.query.get("did") or asked.query.get("repo", ""))
            if account is None:
                refuse(400, "RepoNotFound")(handler, asked)
            elif method in account.routes:
                account.routes[method](handler, asked)
            else:
                route(handler, asked, account)

        return answered

    def row(self, account: SmallAccount) -> dict[str, Json]:
        """Return an account's line in the list of repositories."""
        line: dict[str, Json] = {"did": account.did, "rev": account.rev, "active": account.status is None}
        return line if account.status is None else {**line, "status": account.status}

    def _list_repos(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, {"repos": [self.row(account) for account in self.accounts.values()]})

    def _by_collection(self, handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, {"repos": [{"did": did} for did in self.accounts]})

    @staticmethod
    def _latest(handler: BaseHTTPRequestHandler, _: Asked, account: SmallAccount) -> None:
        answer(handler, {"cid": str(Cid.of_binary(account.repo.commit)), "rev": account.rev})

    @staticmethod
    def _status(handler: BaseHTTPRequestHandler, _: Asked, account: SmallAccount) -> None:
        if account.status is None:
            answer(handler, {"did": account.did, "active": True, "rev": account.rev})
        else:
            answer(handler, {"did": account.did, "active": False, "status": account.status})

    @staticmethod
    def _proof(handler: BaseHTTPRequestHandler, asked: Asked, account: SmallAccount) -> None:
        wanted = account.repo.paths.get(f"{asked.query['collection']}/{asked.query['rkey']}")
        values = set(account.repo.paths.values())
        blocks = [(cid, block) for cid, block in account.repo.blocks.items() if cid not in values or cid == wanted]
        answer(handler, car([account.repo.commit], blocks), Content_Type=_CAR)

    @staticmethod
    def _blocks(handler: BaseHTTPRequestHandler, asked: Asked, account: SmallAccount) -> None:
        wanted = [Cid(text).binary for text in parse_qs(urlsplit(handler.path).query)["cids"]]
        if any(cid not in account.repo.blocks for cid in wanted):
            refuse(400, "InvalidRequest", "Could not find cids")(handler, asked)
            return
        answer(handler, car([], [(cid, account.repo.blocks[cid]) for cid in wanted]), Content_Type="text/html")

    @staticmethod
    def _repo(handler: BaseHTTPRequestHandler, _: Asked, account: SmallAccount) -> None:
        answer(handler, account.repo.car(), Content_Type=_CAR)

    @staticmethod
    def _describe(handler: BaseHTTPRequestHandler, _: Asked, account: SmallAccount) -> None:
        answer(handler, {"collections": sorted({path.partition("/")[0] for path in account.repo.paths})})

    @staticmethod
    def _list_records(handler: BaseHTTPRequestHandler, asked: Asked, account: SmallAccount) -> None:
        answer(handler, {"records": [_line(account, path) for path in sorted(account.repo.paths)
                                     if path.startswith(asked.query["collection"] + "/")]})  # fmt: skip

    @staticmethod
    def _record(handler: BaseHTTPRequestHandler, asked: Asked, account: SmallAccount) -> None:
        path = f"{asked.query['collection']}/{asked.query['rkey']}"
        if path in account.repo.paths:
            answer(handler, _line(account, path))
        else:
            refuse(400, "RecordNotFound")(handler, asked)


def _line(account: SmallAccount, path: str) -> dict[str, Json]:
    cid = str(Cid.of_binary(account.repo.paths[path]))
    return {"uri": f"at://{account.did}/{path}", "cid": cid, "value": account.records()[path]}


@contextmanager
def small_pds() -> Iterator[SmallPds]:
    """Run one on a free loopback port."""
    with fake_server({}) as fake:
        yield SmallPds(fake)
