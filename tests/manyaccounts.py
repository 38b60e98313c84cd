"""Many accounts on one fake server, which is their PDS, their directory and a relay: everything signed and proven."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.records import DATASET, LABEL
from catalog.syntax import Cid, Did
from tests.fakes import Asked, Fake, answer, fake_server
from tests.repos import Repo, SigningKey, make_repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json

__all__ = ["Member", "World", "did_of", "label", "world"]

REVS = ("3l3qo2vuowo2b", "3l3qo2vuowo2c")
TIME = "2026-01-02T03:04:05.000Z"
_DIGITS = "abcdefghijklmnopqrstuvwxyz"


def did_of(number: int) -> Did:
    """The DID of an account by its number."""
    return Did.parse(f"did:plc:{_DIGITS[number // 26]}{_DIGITS[number % 26]}{'c' * 22}")


def label(did: str, name: str) -> dict[str, Json]:
    """A record that names its account."""
    uri = f"at://{did}/{DATASET}/3kaaaaaaaaaa2"
    return {"$type": LABEL, "name": name, "datasetUri": uri, "createdAt": TIME}


@dataclass(slots=True)
class Member:
    """An account; ``repos`` are its repository at one commit and at the next, which has one record more."""

    did: Did
    pds: str
    key: SigningKey = field(default_factory=SigningKey)
    repos: tuple[Repo, ...] = ()
    newest: int = 0

    def __post_init__(self) -> None:
        records = {f"{LABEL}/{name}": label(self.did, name) for name in ("one", "two")}
        first = dict(list(records.items())[:1])
        self.repos = tuple(
            make_repo(some, did=self.did, key=self.key, rev=rev)
            for some, rev in zip((first, records), REVS, strict=True)
        )

    @property
    def repo(self) -> Repo:
        """The repository as the server has it."""
        return self.repos[self.newest]

    def document(self) -> dict[str, Json]:
        """The DID document."""
        return {
            "id": self.did,
            "verificationMethod": [{"id": f"{self.did}#atproto", "type": "Multikey", "controller": self.did,
                                    "publicKeyMultibase": self.key.multibase}],
            "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.pds}],
        }  # fmt: skip


@dataclass(slots=True)
class World:
    """A server and its accounts, by DID."""

    fake: Fake
    members: dict[str, Member] = field(default_factory=dict)

    def add(self, number: int, *, pds: str | None = None) -> Member:
        """A new account, here or at another server."""
        member = Member(did_of(number), self.fake.url if pds is None else pds)
        self.members[member.did] = member
        self.fake.routes[f"/{member.did}"] = lambda handler, _: answer(handler, member.document())
        return member

    def serve(self, method: str, what: Callable[[Member, Asked], object]) -> None:
        """Answer an XRPC method by account (JSON, or bytes as they are)."""

        def route(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
            member = self.members.get(asked.query.get("did") or asked.query.get("repo", ""))
            if member is None:
                answer(handler, {"error": "RepoNotFound"}, 400)
            else:
                answer(handler, what(member, asked))

        self.fake.routes[f"/xrpc/{method}"] = route

    def list_all(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        """Answer ``listRepos`` and ``listReposByCollection``."""
        repos = [{"did": did, "rev": REVS[one.newest], "active": True, "head": str(Cid.of_binary(one.repo.commit))}
                 for did, one in self.members.items()]  # fmt: skip
        answer(handler, {"repos": repos})


@contextmanager
def world(accounts: int) -> Iterator[World]:
    """A running server with so many accounts."""
    with fake_server({}) as fake:
        made = World(fake)
        for number in range(accounts):
            made.add(number)
        made.serve("com.atproto.sync.getLatestCommit", lambda one, _: {
            "cid": str(Cid.of_binary(one.repo.commit)), "rev": REVS[one.newest],
        })  # fmt: skip
        made.serve("com.atproto.sync.getRepoStatus", lambda one, _: {
            "did": one.did, "active": True, "rev": REVS[one.newest],
        })  # fmt: skip
        made.serve("com.atproto.repo.describeRepo", lambda one, _: {"did": one.did, "collections": [LABEL]})
        for method in ("getRecord", "getBlocks", "getRepo"):  # more blocks than were asked for prove the same
            made.serve(f"com.atproto.sync.{method}", lambda one, _: one.repo.car())
        fake.routes["/xrpc/com.atproto.sync.listRepos"] = made.list_all
        fake.routes["/xrpc/com.atproto.sync.listReposByCollection"] = made.list_all
        yield made
