"""Downloads that go on where they broke off, from servers that break off, stall, drip and lie."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import Dataset
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, ChecksumMismatch, InvalidShard, NetworkError, RequestFailed
from catalog.network import http
from catalog.shards import download as remote
from catalog.shards.read_ahead import CONNECTIONS
from catalog.shards.reader import read_shard
from catalog.shards.shard import Shard
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)
SAMPLES = [(f"{number:03d}", hashlib.sha512(b"%d" % number).digest() * 100) for number in range(60)]
RAW = tar_of(*((f"{key}.msgpack", data) for key, data in SAMPLES))
OTHER = tar_of(*((f"{key}.msgpack", data[::-1]) for key, data in SAMPLES))
SHA256 = hashlib.sha256(RAW).hexdigest()


@dataclass(slots=True, kw_only=True)
class Served:
    """A shard on a server that does as told: after how many bytes each answer breaks off, and what it is like."""

    breaks: list[int | None] = field(default_factory=list)
    raw: bytes = RAW
    etag: str | None = '"one"'
    ranges: bool = True
    lie: str | None = None
    then: Served | None = None
    stall: float = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        served = self.then if self.then is not None and self.asked else self
        self.asked.append(asked.headers)
        start = 0
        wanted = asked.headers.get("range", "")
        if served.ranges and wanted and asked.headers.get("if-range") in (None, served.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(served.raw):
            answer(handler, b"", 416)
            return
        handler.send_response(206 if start or wanted.startswith("bytes=0-") else 200)
        if start:
            content_range = served.lie or f"bytes {start}-{len(served.raw) - 1}/{len(served.raw)}"
            handler.send_header("Content-Range", content_range)
        if served.etag is not None:
            handler.send_header("ETag", served.etag)
        handler.send_header("Content-Length", str(len(served.raw) - start))
        handler.end_headers()
        stop = self.breaks.pop(0) if self.breaks else None
        handler.wfile.write(served.raw[start:] if stop is None else served.raw[start : start + stop])
        if stop is not None:
            handler.wfile.flush()
            time.sleep(self.stall)
            handler.close_connection = True


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


@pytest.fixture(autouse=True)
def hurry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(http, "READ_SECONDS", 0.3)
    monkeypatch.setattr(remote, "STALL_SECONDS", 1.5)


def at(fake: Fake, served: Served, *, checksum: bool = False) -> Shard:
    fake.routes["/a.tar"] = served
    return Shard(url=f"{fake.url}/a.tar?token=secret", checksum=f"sha256:{SHA256}" if checksum else None)


def read(shard: Shard) -> list[tuple[str, bytes]]:
    return [(key, bytes(data)) for key, data in read_shard(shard, settings=LOOPBACK)]


# --- going on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke_off_or_stalled(
    fake: Fake, *, checksum: bool, stall: float, ranges: bool
) -> None:
    """With the version that it began with; from a server without ranges, the bytes that are here are passed over."""
    served = Served(breaks=[100_000, 120_000 if ranges else 200_000], stall=stall, ranges=ranges)
    assert read(at(fake, served, checksum=checksum)) == SAMPLES
    assert [asked.get("range") for asked in served.asked][:2] == [None, "bytes=100000-"]
    assert len(served.asked) == 3
    assert served.asked[1]["if-range"] == '"one"'


def test_a_download_that_moves_on_is_never_given_up(fake: Fake) -> None:
    """More breaks than tries in a row; each brings something."""
    served = Served(breaks=[70_000] * 5)
    assert len(RAW) > 5 * 70_000
    assert read(at(fake, served)) == SAMPLES
    assert len(served.asked) == 6


@settings(deadline=None, max_examples=30)  # each is a server
@given(st.lists(st.integers(0, 150_000), max_size=4), st.booleans(), st.booleans())
def test_wherever_it_breaks_the_samples_are_the_same_or_there_is_an_error(
    breaks: list[int], ranges: bool, versioned: bool  # noqa: FBT001 - Hypothesis gives them by place
) -> None:  # fmt: skip
    served = Served(breaks=[*breaks], ranges=ranges, etag='"one"' if versioned else None)
    with pytest.MonkeyPatch.context() as patch, fake_server({}) as running:
        patch.setattr(remote, "LONGEST_PAUSE", 0.1)
        patch.setattr(time, "sleep", lambda _: None)
        got: list[tuple[str, bytes]] = []
        try:
            for key, data in read_shard(at(running, served), settings=LOOPBACK):
                got.append((key, bytes(data)))
        except NetworkError:
            assert not versioned
        assert got == SAMPLES[: len(got)]
        assert not versioned or len(got) == len(SAMPLES)


@pytest.mark.parametrize("etag", [None, 'W/"weak"', "unquoted", '"'])
def test_without_a_version_that_is_sure_a_stream_is_not_gone_on_with(fake: Fake, etag: str | None) -> None:
    """The other half might be of another shard. A file begins anew: its checksum tells."""
    with pytest.raises(RequestFailed, match="version"):
        read(at(fake, Served(breaks=[100_000], etag=etag)))
    served = Served(breaks=[100_000], etag=etag)
    assert read(at(fake, served, checksum=True)) == SAMPLES
    assert [asked.get("range") for asked in served.asked] == [None, None]


def test_a_date_is_a_version_when_it_is_older_than_the_answer() -> None:
    old, now = "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:01 GMT"
    assert remote.validator_of({"last-modified": old, "date": now}) == old
    for headers in ({"last-modified": now, "date": now}, {"last-modified": old}, {"last-modified": "x", "date": now}):
        assert remote.validator_of(headers) is None
    assert remote.validator_of({"etag": '"e"', "last-modified": old, "date": now}) == '"e"'


# --- another shard at the same address -----------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
def test_a_shard_that_changes_midway_is_an_error_never_a_mixture(fake: Fake, *, ranges: bool) -> None:
    served = Served(breaks=[100_000], then=Served(raw=OTHER, etag='"two"', ranges=ranges))
    got: list[tuple[str, bytes]] = []
    with pytest.raises(InvalidShard, match="changed while it was read"):
        got.extend((key, bytes(data)) for key, data in read_shard(at(fake, served), settings=LOOPBACK))


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_file_begins_anew_when_the_shard_changed(fake: Fake, tmp_path: Path, etag: str | None) -> None:
    """Here it changed into the one that was promised."""
    served = Served(raw=OTHER, breaks=[100_000], then=Served(etag=etag))
    assert read(at(fake, served, checksum=True)) == SAMPLES
    assert [path.name for path in (tmp_path / "cache" / "shards").iterdir()] == [f"sha256-{SHA256}.tar"]


def test_a_server_that_does_not_look_at_the_version_is_found_out(fake: Fake) -> None:
    """It sends the asked range, of as many bytes, but of another version."""
    served = Served(breaks=[100_000])

    def careless(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "range" not in asked.headers:
            served(handler, asked)
        else:
            content_range = f"bytes 100000-{len(RAW) - 1}/{len(RAW)}"
            answer(handler, OTHER[100_000:], 206, ETag='"two"', Content_Range=content_range)

    fake.routes["/a.tar"] = careless
    with pytest.raises(InvalidShard, match="changed"):
        read(Shard(url=f"{fake.url}/a.tar"))


def test_a_range_that_is_shorter_than_the_rest_is_gone_on_from(fake: Fake) -> None:
    """A server may send less than it was asked for."""
    served = Served(breaks=[100_000])

    def in_parts(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "range" not in asked.headers:
            served(handler, asked)
            return
        start = int(asked.headers["range"][6:-1])
        part = RAW[start : start + 90_000]
        content_range = f"bytes {start}-{start + len(part) - 1}/{len(RAW)}"
        answer(handler, part, 206, ETag='"one"', Content_Range=content_range)

    fake.routes["/a.tar"] = in_parts
    assert read(Shard(url=f"{fake.url}/a.tar")) == SAMPLES
    assert read(Shard(url=f"{fake.url}/a.tar", checksum=f"sha256:{SHA256}")) == SAMPLES


def test_a_shard_that_got_shorter_is_noticed(fake: Fake) -> None:
    """416: there is no such range any more."""
    with pytest.raises(InvalidShard, match="changed"):
        read(at(fake, Served(breaks=[100_000], then=Served(raw=RAW[:5000]))))
    with pytest.raises(ChecksumMismatch):
        read(at(fake, Served(breaks=[100_000], then=Served(raw=RAW[:5000])), checksum=True))


@pytest.mark.parametrize(
    "lie",
    ["bytes 0-99/100", "bytes 100001-400000/400001", "bytes 100000-5/400000", "bytes 100000-200000/7", "", "x",
     f"bytes 100001-{len(RAW) - 1}/{len(RAW)}", "bytes */400000", "bytes 100000-" + "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("checksum", [False, True])
def test_a_content_range_that_lies_is_refused(fake: Fake, lie: str, tmp_path: Path, *, checksum: bool) -> None:
    with pytest.raises(InvalidShard, match=r"another range|changed"):
        read(at(fake, Served(breaks=[100_000], lie=lie or " "), checksum=checksum))
    assert not list(tmp_path.glob("cache/shards/*"))


def test_more_bytes_than_promised_are_never_read(fake: Fake) -> None:
    """The rest of an answer is nobody's; a range that is too long is an error."""

    def too_much(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(RAW)))
        handler.end_headers()
        handler.wfile.write(RAW + b"x" * 100_000)
        handler.close_connection = True

    fake.routes["/a.tar"] = too_much
    assert read(Shard(url=f"{fake.url}/a.tar")) == SAMPLES
    longer = Served(raw=RAW + RAW, lie=f"bytes 100000-{len(RAW) - 1}/{len(RAW)}")
    with pytest.raises(InvalidShard, match="more bytes than"):
        read(at(fake, Served(breaks=[100_000], then=longer), checksum=True))


# --- giving up -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [False, True])
def test_a_server_that_stalls_is_given_up_in_time_and_named(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, checksum: bool
) -> None:
    """URL, bytes and seconds stand in the error; a token in the URL doesn't."""
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.2)
    served = Served(breaks=[10_000, *[0] * 20], stall=0.5)
    with pytest.raises(
        RequestFailed, match=r"a\.tar: the server stalls; 10,000 of [0-9,]+ bytes came in [0-9]+ sec"
    ) as e:
        read(at(fake, served, checksum=checksum))
    assert "secret" not in str(e.value)
    assert not list(tmp_path.glob("cache/shards/*"))


def test_a_server_that_drips_is_given_up(fake: Fake) -> None:
    """Each byte comes in time, the shard never would."""

    def drip(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(RAW)))
        handler.end_headers()
        for byte in RAW:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.02)

    fake.routes["/a.tar"] = drip
    with pytest.raises(RequestFailed, match="stalls"):
        read(Shard(url=f"{fake.url}/a.tar"))


def test_a_drip_of_chunk_sizes_is_given_up(fake: Fake) -> None:
    """Bytes come, but never one of the body."""

    def drip(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:  # until the client hangs up
            handler.wfile.write(b"0")
            time.sleep(0.02)

    fake.routes["/a.tar"] = drip
    with pytest.raises(RequestFailed, match=r"stalls|again and again"):
        read(Shard(url=f"{fake.url}/a.tar"))


def test_a_server_that_never_answers_is_given_up(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TRIES", 2)
    fake.routes["/a.tar"] = lambda *_: time.sleep(1)
    with pytest.raises(
        RequestFailed, match=r"a\.tar: didn't answer \(it took too long\); 0 bytes came in [0-9]+ seconds"
    ):
        read(Shard(url=f"{fake.url}/a.tar"))


def test_a_server_that_always_breaks_off_is_given_up(fake: Fake) -> None:
    """Also one that sends a byte each time."""
    served = Served(breaks=[1] * 50)
    with pytest.raises(RequestFailed, match=r"broke off again and again; 6 of|stalls; [0-9] of"):
        read(at(fake, served))
    assert len(served.asked) <= remote.TRIES + 1


def test_the_time_that_samples_are_used_for_is_not_the_servers(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.5)
    reading = read_shard(at(fake, Served()), settings=LOOPBACK)
    next(reading)
    time.sleep(1)
    assert len(list(reading)) == len(SAMPLES) - 1


@pytest.mark.parametrize("status", [404, 410, 403, 206, 416])
def test_a_shard_that_is_not_given_is_an_error_with_its_status(fake: Fake, status: int, tmp_path: Path) -> None:
    fake.routes["/a.tar"] = lambda handler, _: answer(handler, b"no", status)
    for checksum in (None, f"sha256:{SHA256}"):
        with pytest.raises(RequestFailed) as caught:
            read(Shard(url=f"{fake.url}/a.tar", checksum=checksum))
        assert caught.value.status == (0 if status == 416 else status)
        assert status != 404 or "no such shard" in str(caught.value)
    assert not list(tmp_path.glob("cache/shards/*"))


def test_a_shard_that_vanishes_midway_is_an_error(fake: Fake) -> None:
    def gone(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        (served if len(fake.asked) == 1 else lambda h, _: answer(h, b"", 404))(handler, asked)

    served = Served(breaks=[50_000])
    fake.routes["/a.tar"] = gone
    with pytest.raises(RequestFailed, match="404"):
        read(Shard(url=f"{fake.url}/a.tar"))


def test_after_a_bad_shard_the_next_is_read(fake: Fake) -> None:
    bad = at(fake, Served(breaks=[1] * 50))
    fake.routes["/b.tar"] = Served()
    with contextlib.suppress(CatalogError):
        read(bad)
    assert read(Shard(url=f"{fake.url}/b.tar")) == SAMPLES


def test_an_iterator_that_is_dropped_closes_its_connection(fake: Fake) -> None:
    """No thread, no socket and no warning is left of it."""
    threads = threading.active_count()
    reading = read_shard(at(fake, Served(breaks=[200_000], stall=0.1)), settings=LOOPBACK)
    next(reading)
    del reading
    gc.collect()
    time.sleep(0.3)
    assert threading.active_count() <= threads


# --- connections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_shards_of_a_host_share_a_few_connections(fake: Fake, *, checksum: bool, shuffled: bool) -> None:
    """Also after a tar's end mark, before which its last bytes aren't read."""
    clients = set()
    packed = msgpack.packb({"text": "x" * 200_000})
    raws = [tar_of((f"{number}.msgpack", packed)) + bytes(20_000) for number in range(20)]

    def serving(raw: bytes) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
        def serve(handler: BaseHTTPRequestHandler, _: Asked) -> None:
            clients.add(handler.client_address)
            answer(handler, raw)

        return serve

    fake.routes = {f"/{number}.tar": serving(raw) for number, raw in enumerate(raws)}
    checksums = [f"sha256:{hashlib.sha256(raw).hexdigest()}" if checksum else None for raw in raws]
    dataset = Dataset([fake.url + path for path in fake.routes], checksums=checksums, settings=LOOPBACK)
    assert len(list(dataset.shuffled() if shuffled else dataset)) == 20
    assert len(clients) <= CONNECTIONS
