"""A whole network in one process: a PLC directory and a PDS of many accounts, which behaves as a server family does.

An answer is computed as a :class:`Reply` first, so that a test may change any part of it before it is sent.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from catalog.atproto.datamodel import encode
from catalog.config import NetworkSettings
from catalog.errors import InvalidSyntax
from catalog.records import COLLECTIONS, DATASET, LABEL, SCHEMA
from catalog.syntax import Cid, Tid
from tests import repos
from tests.fakes import fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from http.server import BaseHTTPRequestHandler

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked, Fake

__all__ = [
    "FAMILIES", "PASSWORD", "TIME", "Account", "Family", "Reply", "World", "names_of", "plc_did", "records_of",
    "renamed", "world",
]  # fmt: skip

TIME: Final = "2026-01-02T03:04:05.000Z"
PASSWORD: Final = "trn4-vw9k-2mpx-q7jd"
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"

Refusal = tuple[int, str]
"""A status and the name of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The behaviour of a kind of server; the defaults are those of the reference PDS.

    ``gone`` is what the endpoints of a repository answer for an account that is deactivated or taken down (None: as if
    it were active), ``unknown`` for one that was deleted. ``words`` are the statuses in listings.
    """

    name: str
    page: int = 1000
    cursor: str = "always"  # or full, more, never: when a page has one
    list_gone: bool = True
    words: Mapping[str, str] = field(default_factory=dict)
    absent_proof: Refusal | str = "proof"  # or "commit": a CAR with the commit only
    absent_record: Refusal = (400, "RecordNotFound")
    blocks: Refusal | str = "car"  # or "null root", "no root", "with commit"
    block_missing: Refusal = (400, "InvalidRequest")
    gone: Refusal | Literal["by status"] | None = "by status"
    gone_records: Refusal | None = (400, "InvalidRequest")
    unknown: Refusal = (400, "RepoNotFound")
    unknown_status: Refusal = (400, "RepoNotFound")
    status_rev: bool = True
    content_type: str = "application/vnd.ipld.car"
    records_cursor: str = "always"  # or "inclusive", "full", "number"
    records_page: int = 100
    swap: str = "compare"  # or "ignore", "refuse", "500"
    conflict: Refusal = (500, "InternalServerError")
    json_type: str = "application/json"
    missing: frozenset[str] = frozenset()
    """Methods that it hasn't."""


_FAILS: Final = (500, "InternalServerError")

FAMILIES: Final = (
    Family(name="reference"),
    Family(
        name="cocoon", page=500, cursor="never", absent_proof=_FAILS, gone=None, gone_records=None, unknown=_FAILS,
        unknown_status=_FAILS, block_missing=_FAILS, swap="ignore", records_cursor="full",
    ),
    Family(
        name="old cocoon", page=500, cursor="never", absent_proof=_FAILS, blocks=(400, "InvalidRequest"), gone=None,
        gone_records=None, unknown=_FAILS, unknown_status=_FAILS, swap="ignore", records_cursor="full",
    ),
    Family(
        name="rsky", words={"takendown": "takedown"}, gone=_FAILS, gone_records=_FAILS, unknown=_FAILS,
        unknown_status=_FAILS, block_missing=_FAILS, swap="500",
    ),
    Family(
        name="tranquil", page=50, cursor="more", absent_proof=(404, "RecordNotFound"), blocks="null root",
        gone_records=None, absent_record=(404, "RecordNotFound"), conflict=(400, "InvalidRequest"),
        records_cursor="more",
    ),
    Family(
        name="pegasus", cursor="full", absent_proof="commit", blocks="with commit",
        gone_records=(400, "RepoDeactivated"), block_missing=(400, "BlockNotFound"), records_cursor="full",
    ),
    Family(
        name="arroba", page=500, cursor="full", absent_proof=(400, "RecordNotFound"), content_type="text/html",
        block_missing=(400, "BlockNotFound"), gone=(400, "RepoDeactivated"), gone_records=(400, "RepoNotFound"),
        status_rev=False, records_cursor="inclusive", records_page=50, swap="refuse",
        conflict=(400, "InvalidRequest"),
    ),
    Family(
        name="names of their own", gone=(403, "RepoInactive"), unknown=(404, "RepoDeleted"),
        words={"takendown": "takedown"}, unknown_status=(404, "RepoDeleted"), gone_records=(403, "AccountTakedown"),
        content_type="application/octet-stream",
    ),
    Family(
        name="lists only", missing=frozenset({"sync.getRecord", "sync.getBlocks", "sync.getRepo"}),
        records_cursor="full",
    ),
    Family(
        name="whole repositories only", json_type="text/plain",
        missing=frozenset({"sync.getRecord", "sync.getBlocks", "repo.listRecords"}),
    ),
    Family(name="a few a page", page=2, cursor="more", records_page=2, records_cursor="more"),
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Account:
    """An account: its records by path. ``status`` is None, deactivated, takendown or deleted."""

    did: str
    handle: str
    records: dict[str, Json]
    key: repos.SigningKey = field(default_factory=repos.SigningKey)
    status: str | None = None
    commits: int = 0
    pds: str | None = None
    _repo: repos.Repo | None = None

    @property
    def rev(self) -> str:
        """The rev of the newest commit."""
        return str(Tid.at(1_700_000_000_000_000 + 1000 * self.commits, 1))

    @property
    def repo(self) -> repos.Repo:
        """The repository as it is."""
        if self._repo is None:
            self._repo = repos.make_repo(self.records, did=self.did, key=self.key, rev=self.rev)
        return self._repo

    def write(self, records: Mapping[str, Json | None]) -> None:
        """Commit these records; None deletes one."""
        merged = {**self.records, **records}
        self.records = {path: value for path, value in merged.items() if value is not None}
        self.commits += 1
        self._repo = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer before it is sent."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def plc_did(number: int) -> str:
    """A did:plc for a number."""
    return "did:plc:" + "".join(_BASE32[number >> shift & 31] for shift in range(115, -1, -5))


def records_of(did: str, name: str, datasets: int = 2) -> dict[str, Json]:
    """A schema, datasets and a label for the first, by path."""
    content: Json = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    schema: dict[str, Json] = {
        "$type": SCHEMA, "name": f"{name} schema", "version": "1.0.0", "schemaType": "jsonSchema", "createdAt": TIME,
        "schema": {"$type": f"{SCHEMA}#jsonSchemaFormat", "draft": "draft-07", "content": content},
    }  # fmt: skip
    shard: Json = {"url": "https://data.example/a.tar", "checksum": {"algorithm": "sha256", "digest": "00" * 32}}
    found: dict[str, Json] = {f"{SCHEMA}/{name}:1.0.0": schema}
    for number in range(datasets):
        found[f"{DATASET}/{Tid.at(1_700_000_000_000_000 + number, 1)}"] = {
            "$type": DATASET, "name": f"{name} {number}", "schemaRef": f"at://{did}/{SCHEMA}/{name}:1.0.0",
            "createdAt": TIME, "storage": {"$type": "science.alt.dataset.storageHttp", "shards": [shard]},
        }  # fmt: skip
    uri = f"at://{did}/{DATASET}/{Tid.at(1_700_000_000_000_000, 1)}"
    label: Json = {"$type": LABEL, "name": f"{name} label", "datasetUri": uri, "createdAt": TIME}
    return {**found, f"{LABEL}/3kaaaaaaaaaa2": label}


@dataclass(slots=True, kw_only=True)
class World:
    """The accounts, the family of their server, and what changes each answer before it is sent."""

    fake: Fake
    family: Family = field(default_factory=lambda: Family(name="reference"))
    accounts: dict[str, Account] = field(default_factory=dict)
    change: Callable[[Asked, str, Reply], Reply] | None = None
    """Gets the request, its method (or ``plc``) and the answer; its answer is sent."""

    @property
    def settings(self) -> NetworkSettings:
        """Return the settings that make our code use it."""
        return NetworkSettings(plc_url=self.fake.url, allow_loopback=True, handle_resolver=self.fake.url)

    def add(self, name: str, records: Mapping[str, Json] | None = None, **more: Any) -> Account:  # noqa: ANN401
        """Create an account; without records it has those of :func:`records_of`."""
        did = plc_did(len(self.accounts) + 1)
        found = records_of(did, name) if records is None else dict(records)
        self.accounts[did] = Account(did=did, handle=f"{name}.test", records=found, **more)
        return self.accounts[did]

    def serve(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        """Answer a request."""
        parts = urlsplit(handler.path)
        query = parse_qs(parts.query)
        method = parts.path.removeprefix("/xrpc/com.atproto.") if parts.path.startswith("/xrpc/") else "plc"
        try:
            reply = self.reply(method, parts.path, query, asked.body)
        except (ValueError, InvalidSyntax):  # such as a cursor that isn't one of its own
            reply = self.error((400, "InvalidRequest"), "not a value of that parameter")
        if self.change is not None:
            reply = self.change(asked, method, reply)
        handler.send_response(reply.status)
        for name, text in reply.headers.items():
            handler.send_header(name, text)
        if "Content-Length" not in reply.headers:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)

    # --- answers -------------------------------------------------------------------------------------------------

    def json(self, value: Json, status: int = 200) -> Reply:
        """A JSON answer."""
        body = json.dumps(value).encode()
        return Reply(body=body, status=status, headers={"Content-Type": self.family.json_type})

    def error(self, refusal: Refusal, message: str = "refused") -> Reply:
        """An error's answer."""
        return self.json({"error": refusal[1], "message": message}, refusal[0])

    def car(self, raw: bytes) -> Reply:
        """A CAR's answer."""
        return Reply(body=raw, headers={"Content-Type": self.family.content_type})

    def reply(self, method: str, path: str, query: Mapping[str, list[str]], body: bytes) -> Reply:
        """The answer of this family to a request."""
        if method == "plc":
            return self._document(path[1:])
        if method in self.family.missing:
            return self.error((501, "MethodNotImplemented"))
        one = {name: values[0] for name, values in query.items()}
        sent: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {}
        of_server: dict[str, Callable[[], Reply]] = {
            "identity.resolveHandle": lambda: self._handle(one),
            "sync.listRepos": lambda: self._list_repos(one),
            "sync.listReposByCollection": lambda: self._list_repos(one),
            "server.createSession": lambda: self._session(sent),
            "server.describeServer": lambda: self.json({"did": "did:web:pds.test", "availableUserDomains": []}),
            "server.listAppPasswords": lambda: self.error((401, "AuthMissing")),
        }
        if method in of_server:
            return of_server[method]()
        account = self.accounts.get(one.get("did") or one.get("repo") or str(sent.get("repo")))
        return self._refused(method, account) or self._of_account(method, account, query, sent)

    def _of_account(
        self, method: str, account: Account | None, query: Mapping[str, list[str]], sent: dict[str, Any]
    ) -> Reply:
        """The answer about an account that may be read."""
        assert account is not None
        one = {name: values[0] for name, values in query.items()}
        answers: dict[str, Callable[[], Reply]] = {
            "sync.getRepoStatus": lambda: self._status(account),
            "sync.getLatestCommit": lambda: self._latest(account),
            "sync.getRepo": lambda: self.car(account.repo.car()),
            "sync.getRecord": lambda: self._proof(account, one),
            "sync.getBlocks": lambda: self._blocks(account, list(query.get("cids", []))),
            "sync.listBlobs": lambda: self.json({"cids": []}),
            "repo.describeRepo": lambda: self._describe(account),
            "repo.listRecords": lambda: self._list_records(account, one),
            "repo.getRecord": lambda: self._record(account, one),
            "repo.applyWrites": lambda: self._apply(account, sent),
        }
        return answers[method]() if method in answers else self.error((501, "MethodNotImplemented"))

    def _handle(self, one: Mapping[str, str]) -> Reply:
        found = [account.did for account in self.accounts.values() if account.handle == one.get("handle")]
        return self.json({"did": found[0]}) if found else self.error((400, "InvalidRequest"))

    def _session(self, sent: Mapping[str, Any]) -> Reply:
        found = [a for a in self.accounts.values() if sent.get("identifier") in (a.did, a.handle)]
        if not found:
            return self.error((401, "AuthenticationRequired"))
        tokens: dict[str, Json] = {"accessJwt": "a.b.c", "refreshJwt": "a.b.d"}
        return self.json({"did": found[0].did, "handle": found[0].handle, **tokens})

    def _refused(self, method: str, account: Account | None) -> Reply | None:
        """Return the response for an account that is missing or inactive."""
        if account is None or account.status == "deleted":
            return self.error(self.family.unknown_status if method == "sync.getRepoStatus" else self.family.unknown)
        if account.status is None or method == "sync.getRepoStatus":
            return None
        refusal: Refusal | None
        if method.startswith("repo."):
            refusal = self.family.gone_records
        elif self.family.gone == "by status":
            refusal = (400, {"deactivated": "RepoDeactivated", "takendown": "RepoTakendown"}[account.status])
        else:
            refusal = self.family.gone
        return None if refusal is None else self.error(refusal, "Could not find repo")

    def _document(self, did: str) -> Reply:
        account = self.accounts.get(did)
        if account is None:
            return self.error((404, "NotFound"), "DID not registered")
        method: Json = {
            "id": f"{did}#atproto", "type": "Multikey", "controller": did, "publicKeyMultibase": account.key.multibase,
        }  # fmt: skip
        endpoint = account.pds or self.fake.url
        service: Json = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint}
        known: Json = [f"at://{account.handle}"]
        return self.json({"id": did, "alsoKnownAs": known, "verificationMethod": [method], "service": [service]})

    def _list_repos(self, one: Mapping[str, str]) -> Reply:
        listed = [
            account
            for account in self.accounts.values()
            if account.status != "deleted" and (account.status is None or self.family.list_gone)
        ]
        if self.family.cursor == "never":
            rows, cursor = listed[::-1][: self.family.page], None
        else:
            rows, cursor = _paged(listed, one, self.family.page, self.family.cursor)
        lines: list[Json] = []
        for account in rows:
            line: dict[str, Json] = {
                "did": account.did, "head": str(Cid.of_binary(account.repo.commit)), "rev": account.rev,
                "active": account.status is None,
            }  # fmt: skip
            if account.status is not None:
                line["status"] = self.family.words.get(account.status, account.status)
            lines.append(line)
        return self.json({"repos": lines, **({} if cursor is None else {"cursor": cursor})})

    def _status(self, account: Account) -> Reply:
        rev: dict[str, Json] = {"rev": account.rev} if self.family.status_rev and account.status is None else {}
        status: dict[str, Json] = {}
        if account.status is not None:
            status = {"status": self.family.words.get(account.status, account.status)}
        return self.json({"did": account.did, "active": account.status is None, **rev, **status})

    def _latest(self, account: Account) -> Reply:
        return self.json({"cid": str(Cid.of_binary(account.repo.commit)), "rev": account.rev})

    def _proof(self, account: Account, one: Mapping[str, str]) -> Reply:
        repo = account.repo
        wanted = repo.paths.get(f"{one.get('collection')}/{one.get('rkey')}")
        if wanted is None and isinstance(self.family.absent_proof, tuple):
            return self.error(self.family.absent_proof)
        if wanted is None and self.family.absent_proof == "commit":
            return self.car(repos.car([repo.commit], [(repo.commit, repo.blocks[repo.commit])]))
        records = set(repo.paths.values()) - {wanted}
        return self.car(
            repos.car([repo.commit], [(cid, raw) for cid, raw in repo.blocks.items() if cid not in records])
        )

    def _blocks(self, account: Account, cids: list[str]) -> Reply:
        if isinstance(self.family.blocks, tuple):
            return self.error(self.family.blocks)
        wanted = [bytes(Cid.parse(text).binary) for text in cids]
        repo = account.repo
        if any(cid not in repo.blocks for cid in wanted):
            return self.error(self.family.block_missing)
        blocks = [(cid, repo.blocks[cid]) for cid in wanted]
        if self.family.blocks == "with commit":
            return self.car(repos.car([repo.commit], [(repo.commit, repo.blocks[repo.commit]), *blocks]))
        if self.family.blocks == "null root":
            head = encode({"roots": [None], "version": 1})
            return self.car(repos.varint(len(head)) + head + b"".join(repos.section(*block) for block in blocks))
        return self.car(repos.car([], blocks))

    def _describe(self, account: Account) -> Reply:
        collections: list[Json] = [*sorted({path.split("/")[0] for path in account.records})]
        more: dict[str, Json] = {"didDoc": {}, "handleIsCorrect": True, "collections": collections}
        return self.json({"did": account.did, "handle": account.handle, **more})

    def _list_records(self, account: Account, one: Mapping[str, str]) -> Reply:
        paths = sorted(path for path in account.records if path.startswith(f"{one.get('collection')}/"))
        kind = self.family.records_cursor
        if kind == "inclusive":
            start = paths.index(one["cursor"]) if one.get("cursor") in paths else 0
            rows = paths[start : start + self.family.records_page]
            cursor: str | None = rows[-1] if len(rows) == self.family.records_page else None
        else:
            rows, cursor = _paged(paths, one, self.family.records_page, kind)
        lines: list[Json] = [self._line(account, path) for path in rows]
        return self.json({"records": lines, **({} if cursor is None else {"cursor": cursor})})

    def _record(self, account: Account, one: Mapping[str, str]) -> Reply:
        path = f"{one.get('collection')}/{one.get('rkey')}"
        if path not in account.records:
            return self.error(self.family.absent_record)
        return self.json(self._line(account, path))

    @staticmethod
    def _line(account: Account, path: str) -> dict[str, Json]:
        cid = str(Cid.of_binary(account.repo.paths[path]))
        return {"uri": f"at://{account.did}/{path}", "cid": cid, "value": account.records[path]}

    def _apply(self, account: Account, sent: dict[str, Any]) -> Reply:
        swap, head = sent.get("swapCommit"), str(Cid.of_binary(account.repo.commit))
        if swap is not None and self.family.swap == "refuse":
            return self.error((400, "InvalidRequest"), "swapCommit not supported yet")
        if swap not in (None, head) and self.family.swap in ("compare", "500"):
            names: dict[str, Refusal] = {"compare": (400, "InvalidSwap"), "500": (500, "InternalServerError")}
            return self.error(names[self.family.swap])
        writes: dict[str, Json | None] = {}
        for write in sent["writes"]:
            path = f"{write['collection']}/{write['rkey']}"
            if (path in account.records) is write["$type"].endswith("#create"):
                return self.error(self.family.conflict)
            writes[path] = None if write["$type"].endswith("#delete") else write["value"]
        account.write(writes)
        return self.json(
            {"commit": {"cid": str(Cid.of_binary(account.repo.commit)), "rev": account.rev}, "results": []}
        )


def _paged(rows: list[Any], one: Mapping[str, str], most: int, cursor: str) -> tuple[list[Any], str | None]:
    """A page of rows and its cursor."""
    start = int(one.get("cursor", "0"))
    size = min(most, int(one.get("limit", most)))
    page = rows[start : start + size]
    wanted = {
        "always": bool(page), "full": len(page) == size, "more": start + size < len(rows), "never": False,
    }[cursor]  # fmt: skip
    return page, str(start + size) if wanted else None


class _Every(dict[str, Any]):
    """Routes that lead every path to one function."""

    def __init__(self, serve: Callable[[BaseHTTPRequestHandler, Asked], None]) -> None:
        super().__init__()
        self._serve = serve

    def get(self, _path: str, _default: Any = None) -> Any:  # noqa: ANN401
        return self._serve


@contextmanager
def world(family: Family = FAMILIES[0]) -> Iterator[World]:
    """A running network of one family."""
    with fake_server({}) as fake:
        running = World(fake=fake, family=family)
        fake.routes = _Every(running.serve)
        yield running


def names_of(account: Account) -> list[str]:
    """The names of its records that a catalog shows."""
    ours = [value for path, value in account.records.items() if path.split("/")[0] in COLLECTIONS]
    return sorted(str(value["name"]) for value in ours if isinstance(value, dict))


def renamed(account: Account, path: str, name: str) -> dict[str, Json | None]:
    """A write that gives a record another name."""
    value = account.records[path]
    assert isinstance(value, dict)
    return {path: {**value, "name": name}}
