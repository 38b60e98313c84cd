"""Shards at http:// addresses: accepted where a checksum is known, else refused with that hint."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from catalog import Dataset
from catalog.config import NetworkSettings
from catalog.errors import ChecksumMismatch, InvalidManifest, RefusedAddress
from catalog.manifest import load
from catalog.publish.checksums import with_checksums
from catalog.shards.hash_local import LocalHasher
from catalog.shards.shard import Shard
from tests.fakes import Fake, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RAW = tar_of(("0.msgpack", msgpack.packb({"a": 1})))
SHA256 = hashlib.sha256(RAW).hexdigest()
LOOPBACK = NetworkSettings(allow_loopback=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """A server at ``http://data.host.org``, a name that no setting allows without TLS."""
    resolve = socket.getaddrinfo

    def local(host: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as socket.getaddrinfo
        return resolve("127.0.0.1" if host == "data.host.org" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    with fake_server({"/a.tar": lambda handler, _: answer(handler, RAW, 200)}) as running:
        running.url = f"http://data.host.org:{running.url.rpartition(':')[2]}"
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))


def read(url: str, checksum: str | None) -> list[int]:
    shards = [Shard(url=url, checksum=checksum)]
    return [sample["a"] for sample in Dataset(shards, settings=LOOPBACK)]


def test_a_shard_with_a_checksum_is_read_over_http(server: Fake) -> None:
    assert read(f"{server.url}/a.tar", f"sha256:{SHA256}") == [1]
    with pytest.raises(ChecksumMismatch):
        read(f"{server.url}/a.tar", "sha256:" + "0" * 64)


@pytest.mark.parametrize("checksum", [None, f"md5:{hashlib.md5(RAW, usedforsecurity=False).hexdigest()}"])
def test_without_a_strong_checksum_it_is_refused(server: Fake, checksum: str | None) -> None:
    """MD5 shows damage, not a deliberate change."""
    with pytest.raises(RefusedAddress, match="SHA-256"):
        read(f"{server.url}/a.tar", checksum)
    assert server.asked == []


@pytest.mark.parametrize("stated", [f"sha256: '{SHA256}'", "local: a.tar", ""])
def test_a_manifest_may_name_it_where_a_checksum_is_known(tmp_path: Path, stated: str) -> None:
    (tmp_path / "a.tar").write_bytes(RAW)
    file = tmp_path / "m.yaml"
    file.write_text(
        "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]\ndatasets:\n  - name: d\n    schema: S@1.0.0\n"
        f"    shards:\n      - {{url: 'http://data.host.org/a.tar', {stated}}}\n",
        encoding="utf-8",
    )
    if not stated:
        with pytest.raises(InvalidManifest, match=r"m\.yaml:6: .*not an https URL.*'sha256'"):
            load([file])
        return
    done = with_checksums(load([file]), read_urls=False, settings=LOOPBACK, hasher=LocalHasher())
    assert done.datasets[0].shards[0].sha256 == SHA256


def test_its_stated_checksum_is_compared_when_it_is_read(tmp_path: Path, server: Fake) -> None:
    file = tmp_path / "m.yaml"
    for sha256 in (SHA256, "ab" * 32):
        file.write_text(
            "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]\ndatasets:\n  - name: d\n    schema: S@1.0.0\n"
            f"    shards:\n      - {{url: '{server.url}/a.tar', sha256: '{sha256}'}}\n",
            encoding="utf-8",
        )
        if sha256 == SHA256:
            done = with_checksums(load([file]), read_urls=True, settings=LOOPBACK, hasher=LocalHasher())
            assert done.datasets[0].samples == 1
            continue
        with pytest.raises(InvalidManifest, match=SHA256):
            with_checksums(load([file]), read_urls=True, settings=LOOPBACK, hasher=LocalHasher())
