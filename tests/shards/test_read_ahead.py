"""Shards are read ahead: several at once, bounded, the first sample early, and every error in its place."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from catalog import Dataset
from catalog.config import NetworkSettings
from catalog.errors import ChecksumMismatch, RequestFailed
from catalog.shards import read_ahead
from catalog.shards.read_ahead import BUFFER, CONNECTIONS
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
DUE = 60
"""Seconds until a server gives up waiting, which fails the test."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as server:
        yield server


def shard(number: int, samples: int = 3, size: int = 100) -> bytes:
    packed = msgpack.packb({"number": number, "data": bytes(size)})
    return tar_of(*((f"{number}-{place}.msgpack", packed) for place in range(samples)))


def serve(raw: bytes, status: int = 200) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    return lambda handler, _: answer(handler, raw, status)


def dataset(fake: Fake, raws: list[bytes], *, checksum: bool) -> Dataset[Any]:
    urls = [f"{fake.url}/{number}.tar" for number in range(len(raws))]
    checksums = [f"sha256:{hashlib.sha256(raw).hexdigest()}" for raw in raws] if checksum else None
    return Dataset(urls, checksums=checksums, settings=LOOPBACK)


@pytest.mark.parametrize("checksum", [False, True])
def test_shards_are_requested_while_others_are_on_their_way(fake: Fake, *, checksum: bool) -> None:
    raws = [shard(number) for number in range(7)]
    together = threading.Barrier(3, timeout=DUE)

    def waiting(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        number = int(asked.path.strip("/").partition(".")[0])
        if number:  # of the others no answer comes before three are requested
            together.wait()
        answer(handler, raws[number])

    fake.routes = {f"/{number}.tar": waiting for number in range(7)}
    assert [sample["number"] for sample in dataset(fake, raws, checksum=checksum)] == [
        n for n in range(7) for _ in "abc"
    ]


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_first_samples_come_before_the_rest_of_their_shard(fake: Fake, *, shuffled: bool) -> None:
    raw, go_on = shard(0, samples=40, size=10_000), threading.Event()

    def slow(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw[: len(raw) // 2])
        handler.wfile.flush()
        assert go_on.wait(DUE)
        handler.wfile.write(raw[len(raw) // 2 :])

    fake.routes = {"/0.tar": slow}
    given = dataset(fake, [raw], checksum=False)
    samples = iter(given.shuffled(buffer_samples=4) if shuffled else given)
    first = [next(samples) for _ in range(3)]
    go_on.set()
    assert len(first) + len(list(samples)) == 40


def test_a_shard_that_is_not_used_yet_takes_bounded_memory() -> None:
    made = 0

    def download() -> Any:  # noqa: ANN401 - as download_shard
        nonlocal made
        for number in range(20 * BUFFER // 65536):
            made += 65536
            yield number * 65536, bytes(65536)

    ahead = read_ahead._Buffered(download())
    used = 0
    for chunk in ahead:
        assert made - used <= BUFFER + 65536
        used += len(chunk)
    assert used == made == 20 * BUFFER


def test_no_more_shards_than_connections_are_begun(fake: Fake) -> None:
    raws = [shard(number) for number in range(30)]
    for number, raw in enumerate(raws):
        fake.routes[f"/{number}.tar"] = serve(raw)
    samples = iter(dataset(fake, raws, checksum=False))
    assert next(samples)["number"] == 0
    assert set(fake.paths()) <= {f"/{number}.tar" for number in range(CONNECTIONS)}
    assert len(list(samples)) == 89


@pytest.mark.parametrize("checksum", [False, True])
def test_an_error_comes_when_its_shard_is_read(fake: Fake, *, checksum: bool) -> None:
    raws = [shard(number) for number in range(4)]
    fake.routes = {f"/{number}.tar": serve(raw) for number, raw in enumerate(raws)}
    fake.routes["/2.tar"] = serve(raws[2] + b"?") if checksum else serve(b"no", 404)
    seen: list[int] = []
    with pytest.raises(ChecksumMismatch if checksum else RequestFailed, match=r"2\.tar"):
        seen.extend(sample["number"] for sample in dataset(fake, raws, checksum=checksum))
    assert seen == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("checksum", [False, True])
def test_nothing_is_downloaded_after_an_iteration_was_left(fake: Fake, *, checksum: bool) -> None:
    """The threads end, although the server has only sent a part of what they wait for."""
    raws, left = [shard(number, samples=50, size=20_000) for number in range(4)], threading.Event()

    def half(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        number = int(asked.path.strip("/").partition(".")[0])
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(raws[number])))
        handler.end_headers()
        handler.wfile.write(raws[number][:100_000])
        handler.wfile.flush()
        if number:
            assert left.wait(DUE)
        handler.wfile.write(raws[number][100_000:])

    fake.routes = {f"/{number}.tar": half for number in range(4)}
    samples = iter(dataset(fake, raws, checksum=checksum))
    next(samples)
    threads = [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
    assert len(threads) >= 3
    samples.close()  # type: ignore[attr-defined] # a generator
    left.set()
    for thread in threads:
        thread.join(DUE)
        assert not thread.is_alive()
    assert not list((read_ahead_cache()).glob("*.part"))


def read_ahead_cache() -> Path:
    """The folder of cached shards."""
    from catalog.config import cache_folder

    return cache_folder() / "shards"
