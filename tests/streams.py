"""Streams made and recorded here: frames of the firehose, the real PDS's own ones, and a server that misbehaves."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from catalog.atproto.datamodel import bytes_json, encode
from catalog.atproto.keys import PublicKey
from tests.repos import REV, link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

    from catalog.atproto.datamodel import Json
    from tests.conftest import Account, Network
    from tests.repos import Repo

PATH = "/xrpc/com.atproto.sync.subscribeRepos"
TIME = "2026-01-02T03:04:05.678Z"
DID = "did:plc:" + "a" * 24


def frame(kind: str, body: Json) -> bytes:
    """A message's frame."""
    return encode({"op": 1, "t": kind}) + encode(body)


def error_frame(error: str, message: str = "") -> bytes:
    """An error's frame: the last before a server hangs up."""
    return encode({"op": -1}) + encode({"error": error, "message": message})


def op(path: str, cid: bytes | None, prev: bytes | None = None) -> dict[str, Json]:
    """An operation as a frame has it."""
    action = "delete" if cid is None else "create" if prev is None else "update"
    operation: dict[str, Json] = {"action": action, "path": path, "cid": None if cid is None else link(cid)}
    return operation if prev is None else {**operation, "prev": link(prev)}


def commit_body(repo: Repo, before: Repo | None, *, did: str, rev: str = REV, seq: int = 1) -> dict[str, Json]:
    """Return a server's commit event: the operations that lead from one repository to another, and all blocks."""
    old = {} if before is None else before.paths
    paths = sorted(old.keys() | repo.paths.keys())
    body: dict[str, Json] = {
        "seq": seq, "repo": did, "rev": rev, "since": None if before is None else "3l3qo2vuowo2a", "time": TIME,
        "commit": link(repo.commit), "blocks": bytes_json(repo.car()), "blobs": [], "rebase": False, "tooBig": False,
        "ops": [op(path, repo.paths.get(path), old.get(path)) for path in paths
                if repo.paths.get(path) != old.get(path)],
    }  # fmt: skip
    return body if before is None else {**body, "prevData": link(before.data)}


def signing_key(network: Network, did: str) -> PublicKey:
    """The key that an account's PDS signs with, as the PLC directory has it."""
    answer = httpx.get(f"{network.plc_url}/{did}/data", timeout=60).json()
    return PublicKey.parse(answer["verificationMethods"]["atproto"])


def activate(account: Account) -> None:
    """Bring a deactivated account back. The PDS takes no body here, not even an empty one."""
    headers = {"authorization": f"Bearer {account.access_jwt}"}
    url = f"{account.pds_url}/xrpc/com.atproto.server.activateAccount"
    httpx.post(url, headers=headers, timeout=60).raise_for_status()


@contextmanager
def recording(network: Network, *, silence: float = 1.0) -> Iterator[list[bytes]]:
    """The frames that the PDS sends for what happens meanwhile; the list is filled at the end."""
    frames: list[bytes] = []
    url = network.pds_url.replace("http", "ws", 1) + PATH
    # No reader: everything is queued, and no ping waits for an answer behind it.
    with connect(url, max_size=None, max_queue=None, ping_interval=None, proxy=None) as stream:
        yield frames
        try:
            while True:
                message = stream.recv(timeout=silence)
                assert isinstance(message, bytes)
                frames.append(message)
        except TimeoutError:
            pass


@dataclass(slots=True)
class FakeStream:
    """A websocket server: ``plays`` are called for one connection after the other, the last for all that follow."""

    plays: list[Callable[[ServerConnection], None]]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    agents: list[str | None] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def handle(self, connection: ServerConnection) -> None:
        """Play to whoever connects; afterwards the connection is closed as it should be."""
        assert connection.request is not None
        self.asked.append(connection.request.path)
        self.agents.append(connection.request.headers.get("User-Agent"))
        with suppress(ConnectionClosed):
            self.plays[min(len(self.asked), len(self.plays)) - 1](connection)


@contextmanager
def fake_stream(*plays: Callable[[ServerConnection], None]) -> Iterator[FakeStream]:
    """A server on loopback that plays so."""
    fake = FakeStream(list(plays))
    with serve(fake.handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        fake.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        try:
            yield fake
        finally:
            fake.over.set()
            server.shutdown()
            thread.join()
