"""A PDS of one account that is as other families of servers are: what it refuses, ignores, lacks and repeats.

It keeps a real repository: signed commits over a real tree. Options say how it differs from the reference PDS; routes
of its ``fake`` may be replaced for anything else.
"""

from __future__ import annotations

import base64
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalog.atproto.session import Session
from catalog.network.http import Client
from catalog.syntax import Cid, Did, Tid
from tests import repos
from tests.fakes import answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

    from catalog.config import NetworkSettings
    from tests.fakes import Asked, Fake

__all__ = ["DID", "HANDLE", "PASSWORD", "XRPC", "Pds", "There", "pds", "session_at"]

DID: Final = "did:plc:" + "p" * 24
HANDLE: Final = "publisher.test"
PASSWORD: Final = "qzjx-4rtm-w7up-9kdv"
XRPC: Final = "/xrpc/com.atproto."


def token(name: str) -> str:
    """A token as servers make them, good for two hours."""
    now = int(time.time())
    parts = ({"alg": "HS256"}, {"jti": name, "iat": now, "exp": now + 7200})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + ".c2lnbmF0dXJl"
    )


@dataclass(slots=True, kw_only=True)
class Pds:
    """The server's state and ways. ``swap`` is compare, ignore, refuse or 500; ``during`` runs right before a write."""

    fake: Fake
    swap: str = "compare"
    keeps_commits: bool = True
    app_passwords: bool = True
    code: str | None = None
    code_error: tuple[int, str] = (401, "AuthFactorTokenRequired")
    blob_limit: int | None = None
    stored_type: str | None = None
    during: Callable[[], object] | None = None
    records: dict[str, Any] = field(default_factory=dict)
    commits: list[tuple[bytes, str]] = field(default_factory=list)
    asked_writes: list[dict[str, Any]] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    key: repos.SigningKey = field(default_factory=repos.SigningKey)
    access: str = field(default_factory=lambda: token("access"))
    refresh: str = field(default_factory=lambda: token("refresh"))

    @property
    def head(self) -> Cid:
        """The newest commit."""
        return Cid.of_binary(self.repo.commit)

    @property
    def repo(self) -> repos.Repo:
        """The repository as it is."""
        return repos.make_repo(self.records, did=DID, key=self.key, rev=self.commits[-1][1])

    def commit(self) -> None:
        """One more commit of what is there."""
        rev = str(Tid.at(1_700_000_000_000_000 + 1000 * len(self.commits), 1))
        self.commits.append((b"", rev))
        built = self.repo
        self.commits[-1] = (built.blocks[built.commit], rev)

    def put(self, path: str, value: Any) -> None:  # noqa: ANN401 — any JSON
        """Write as another client."""
        self.records[path] = value
        self.commit()

    def remove(self, path: str) -> None:
        """Delete as another client."""
        del self.records[path]
        self.commit()

    # --- methods -------------------------------------------------------------------------------------------------

    def create_session(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        body = json.loads(asked.body)
        if body["password"] != PASSWORD:
            answer(handler, {"error": "AuthenticationRequired", "message": "Invalid identifier or password"}, 401)
        elif self.code is not None and "authFactorToken" not in body:
            status, name = self.code_error
            answer(handler, {"error": name, "message": "A sign in code has been sent to your email address"}, status)
        elif self.code is not None and body["authFactorToken"] != self.code:
            answer(handler, {"error": "InvalidCode", "message": "Invalid or expired code"}, 400)
        else:
            answer(handler, {"did": DID, "handle": HANDLE, "accessJwt": self.access, "refreshJwt": self.refresh})

    def refresh_session(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(handler, {"did": DID, "handle": HANDLE, "accessJwt": self.access, "refreshJwt": self.refresh})

    def list_app_passwords(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        if self.app_passwords:
            answer(handler, {"error": "AuthMissing", "message": "Authentication Required"}, 401)
        else:
            answer(handler, {"error": "MethodNotImplemented", "message": "Method Not Implemented"}, 501)

    def apply_writes(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        body = json.loads(asked.body)
        self.asked_writes.append(body)
        if self.during is not None and body["writes"]:
            during, self.during = self.during, None
            during()
        if "swapCommit" in body:
            if self.swap == "refuse":
                answer(handler, {"error": "InvalidRequest", "message": "swapCommit not supported yet"}, 400)
                return
            if self.swap in ("compare", "500") and body["swapCommit"] != str(self.head):
                status, name = (400, "InvalidSwap") if self.swap == "compare" else (500, "InternalServerError")
                answer(handler, {"error": name, "message": f"Commit was at {self.head}"}, status)
                return
        for write in body["writes"]:
            path = f"{write['collection']}/{write['rkey']}"
            if (path in self.records) is (write["$type"].endswith("#create")):
                answer(handler, {"error": "InternalServerError", "message": "Internal Server Error"}, 500)
                return
        for write in body["writes"]:
            path = f"{write['collection']}/{write['rkey']}"
            if write["$type"].endswith("#delete"):
                del self.records[path]
            else:
                self.records[path] = write["value"]
        self.commit()
        answer(handler, {"commit": {"cid": str(self.head), "rev": self.commits[-1][1]}})

    def latest_commit(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(handler, {"cid": str(self.head), "rev": self.commits[-1][1]})

    def list_records(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        inside = asked.query["collection"] + "/"
        paths = self.repo.paths
        lines = [
            {"uri": f"at://{DID}/{path}", "cid": str(Cid.of_binary(paths[path])), "value": value}
            for path, value in self.records.items()
            if path.startswith(inside)
        ]
        answer(handler, {"records": lines})

    def get_repo(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        built = self.repo
        old = {repos.cid_of(block): block for block, _ in self.commits} if self.keeps_commits else {}
        answer(handler, repos.car([built.commit], {**built.blocks, **old}.items()))

    def list_blobs(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(handler, {"cids": []})

    def describe_server(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        more = {} if self.blob_limit is None else {"blobUploadLimit": self.blob_limit}
        answer(handler, {"did": "did:web:pds.test", "availableUserDomains": [], **more})

    def upload_blob(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        cid = str(Cid.of_block(asked.body, 0x55))
        self.blobs.append(cid)
        kind = self.stored_type or asked.headers["content-type"]
        blob = {"$type": "blob", "ref": {"$link": cid}, "mimeType": kind, "size": len(asked.body)}
        answer(handler, {"blob": blob})

    def did_document(self, handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        answer(
            handler,
            {
                "id": DID,
                "alsoKnownAs": [f"at://{HANDLE}"],
                "verificationMethod": [
                    {
                        "id": f"{DID}#atproto",
                        "type": "Multikey",
                        "controller": DID,
                        "publicKeyMultibase": self.key.multibase,
                    }
                ],
                "service": [
                    {
                        "id": "#atproto_pds",
                        "type": "AtprotoPersonalDataServer",
                        "serviceEndpoint": self.fake.url,
                    }
                ],
            },
        )

    def environment(self) -> dict[str, str]:
        """Return the environment that makes a command use it."""
        return {
            "CATALOG_PLC_URL": self.fake.url,
            "CATALOG_HANDLE_RESOLVER": self.fake.url,
            "CATALOG_ALLOW_LOOPBACK": "1",
            "CATALOG_HANDLE": DID,
        }


@contextmanager
def pds(**ways: Any) -> Iterator[Pds]:  # noqa: ANN401 — the options of Pds
    """A running server with these ways."""
    with fake_server({}) as fake:
        made = Pds(fake=fake, **ways)
        made.commit()
        fake.routes |= {
            f"{XRPC}server.createSession": made.create_session,
            f"{XRPC}server.refreshSession": made.refresh_session,
            f"{XRPC}server.listAppPasswords": made.list_app_passwords,
            f"{XRPC}server.describeServer": made.describe_server,
            f"{XRPC}repo.applyWrites": made.apply_writes,
            f"{XRPC}repo.listRecords": made.list_records,
            f"{XRPC}repo.uploadBlob": made.upload_blob,
            f"{XRPC}sync.getLatestCommit": made.latest_commit,
            f"{XRPC}sync.getRepo": made.get_repo,
            f"{XRPC}sync.listBlobs": made.list_blobs,
            f"/{DID}": made.did_document,
            f"{XRPC}identity.resolveHandle": lambda handler, _: answer(handler, {"did": DID}),
        }
        yield made


class There:
    """A resolver by which every account is at one server."""

    def __init__(self, url: str) -> None:
        self.pds, self.did, self.handle = url, Did.parse(DID), None

    def resolve(self, _account: str) -> Any:  # noqa: ANN401 — stands for an Identity
        return self


@contextmanager
def session_at(server: Pds, settings: NetworkSettings) -> Iterator[Session]:
    """A session at it; nothing sleeps."""
    with Client(settings, sleep=lambda _: None) as client:
        yield Session.login(client, There(server.fake.url), DID, PASSWORD, code=server.code)  # type: ignore[arg-type]
