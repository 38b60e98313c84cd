"""The commands that read remote shards keep connections open: a host has one for each concurrent request."""

from __future__ import annotations

import re
import ssl
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
import trustme

from catalog.atproto.identity import Identity
from catalog.config import NetworkSettings
from catalog.manifest import load
from catalog.network.http import Client
from catalog.publish.checks import State
from catalog.publish.checksums import with_checksums
from catalog.publish.infer_manifest import sketch
from catalog.publish.manifest_yaml import as_yaml
from catalog.publish.verify_shards import Choice, check_shards
from catalog.records import Checksum, Dataset, HttpShard, HttpStorage
from catalog.records.fetch import Published
from catalog.samples.write_shards import write_shards
from catalog.shards.hash_remote import READERS
from catalog.syntax import AtUri, Cid, Datetime, Did
from tests.fakes import QuietServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
SHARDS = 20


class Server(QuietServer):
    """A file server with persistent connections, which it counts."""

    connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        """Count the connection, and serve it in a thread."""
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type] # socketserver's own types


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder with persistent connections."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder, signer, context = tmp_path / "served", trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_shards(({"value": number} for number in range(SHARDS)), folder / "n-%06d.tar", maxcount=1)
    signer.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    signer.issue_cert("localhost").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    running = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    running.socket = context.wrap_socket(running.socket, server_side=True)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def pattern(server: Server) -> str:
    return f"https://localhost:{server.server_port}/n-{{000000..{SHARDS - 1:06}}}.tar"


def test_from_shards_opens_one_connection(server: Server) -> None:
    found = sketch([pattern(server)], settings=LOOPBACK)
    assert found.samples == SHARDS
    assert server.connections == 1


def test_plan_read_urls_opens_a_connection_a_concurrent_request(server: Server, tmp_path: Path) -> None:
    text = as_yaml(sketch([pattern(server)], settings=LOOPBACK), tmp_path)
    (tmp_path / "drafted.yaml").write_text(re.sub(r",? *(sha256|bytes): *\w+", "", text), encoding="utf-8")
    server.connections = 0
    found = with_checksums(load([tmp_path / "drafted.yaml"]), read_urls=True, settings=LOOPBACK)
    assert all(shard.sha256 for shard in found.datasets[0].shards)
    assert 1 <= server.connections <= READERS


def test_verify_opens_one_connection(server: Server) -> None:
    found = sketch([pattern(server)], settings=LOOPBACK)
    server.connections = 0
    uri = AtUri.parse(f"at://did:plc:{'a' * 24}/science.alt.dataset.schema/x")
    shards = tuple(
        HttpShard(url=shard.url, checksum=Checksum(algorithm="sha256", digest=shard.sha256)) for shard in found.shards
    )
    record = Dataset(
        name="x", schema_ref=uri, storage=HttpStorage(shards=shards), created_at=Datetime.of(datetime.now(UTC))
    )
    account = Identity(did=Did("did:plc:" + "a" * 24), handle=None, pds="https://pds.example")
    published = Published(record=record, uri=uri, cid=Cid.of_block(b""), account=account)
    with Client(LOOPBACK) as client:
        checks = list(check_shards(published, client, choice=Choice(), watch=lambda *_: None))
    assert [check.state for check in checks[:SHARDS]] == [State.PASSED] * SHARDS
    assert server.connections == 1
