"""Checksums of shards: local copies hashed, URLs read once, each fault with its line."""

from __future__ import annotations

import gzip
import hashlib
import sys
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
import yaml

from catalog.config import NetworkSettings
from catalog.errors import CatalogError, InvalidManifest
from catalog.manifest import BucketDraft, ManifestSet, load
from catalog.publish import checksums as measuring
from catalog.publish.checksums import with_checksums
from catalog.records import Dataset, HttpStorage
from catalog.shards import download as remote
from catalog.shards.hash_cache import ShardStats
from catalog.shards.hash_local import LocalHasher
from catalog.shards.reader import count_samples
from catalog.shards.shard import Shard
from catalog.syntax import Datetime, Did, Tid
from tests import forked
from tests.fakes import Asked, Fake, answer, fake_server
from tests.shards.test_s3 import environment, store  # noqa: F401 - fixtures
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.conftest import HttpsServer
    from tests.shards.test_s3 import Store

    Route = Callable[[BaseHTTPRequestHandler, Asked], None]

LOOPBACK = NetworkSettings(allow_loopback=True)
SAMPLES = [
    (f"{number:03d}.msgpack", msgpack.packb({"a": number, "b": hashlib.sha512(b"%d" % number).digest() * 200}))
    for number in range(60)
]
RAW = tar_of(*SAMPLES)
OTHER = tar_of(*SAMPLES[:7])
BASE = "https://data.example/"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with fake_server({}) as running:
        yield running


class Measuring:
    """One manifest of one dataset, measured again and again with one memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    def load(self, *shards: dict[str, Any], **more: Any) -> ManifestSet:  # noqa: ANN401
        """The dataset ``d`` with these shards, each on a line of its own from line 8 on."""
        entries = [{"url": f"{BASE}{number}.tar", **shard} for number, shard in enumerate(shards)]
        lines = [
            "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]",
            "datasets:",
            "  - name: d",
            "    schema: S@1.0.0",
            f"    metadata: {{}}\n    {yaml.dump(more, default_flow_style=True).strip()[1:-1]}",
            "    shards:",
            *(f"      - {yaml.dump(entry, default_flow_style=True, width=9999).strip()}" for entry in entries),
        ]
        file = self.folder / "m.yaml"
        file.write_text("\n".join(lines), encoding="utf-8")
        return load([file])

    def at(self, found: ManifestSet, base: str) -> ManifestSet:
        """The same with its shards on a server of this machine, which no manifest may name."""
        [draft] = found.datasets
        shards = tuple(replace(shard, url=shard.url.replace(BASE, f"{base}/")) for shard in draft.shards)
        return replace(found, datasets=(replace(draft, shards=shards),))

    def run(
        self, found: ManifestSet, *, read_urls: bool = True
    ) -> tuple[list[tuple[str | None, int | None]], int | None]:
        """(SHA-256, bytes) of each shard, and the samples of the dataset."""
        hasher = LocalHasher(self.folder / "memory", count=count_samples)
        done = with_checksums(found, read_urls=read_urls, settings=LOOPBACK, progress=self.lines.append, hasher=hasher)
        [draft] = done.datasets
        return [(shard.sha256, shard.bytes) for shard in draft.shards], draft.samples

    def faults(self, found: ManifestSet, *, read_urls: bool = True) -> list[str]:
        with pytest.raises(InvalidManifest) as caught:
            self.run(found, read_urls=read_urls)
        return [str(fault).removeprefix(f"{self.folder}/") for fault in caught.value.faults]


@pytest.fixture
def one(tmp_path: Path) -> Measuring:
    return Measuring(tmp_path)


def of(raw: bytes) -> tuple[str, int]:
    return hashlib.sha256(raw).hexdigest(), len(raw)


def serving(raw: bytes, **headers: str) -> Route:
    return lambda handler, _: answer(handler, raw, 200, **headers)


# --- local copies --------------------------------------------------------------------------------------------


def test_local_copies_give_checksums_bytes_and_samples(one: Measuring) -> None:
    """Nothing is asked of any server; the record says what was found."""
    (one.folder / "a.tar").write_bytes(RAW)
    (one.folder / "b.tar").write_bytes(gzip.compress(OTHER, mtime=0))
    found = one.load({"local": "a.tar"}, {"local": "b.tar"})
    for read_urls in (False, True):
        assert one.run(found, read_urls=read_urls) == ([of(RAW), of(gzip.compress(OTHER, mtime=0))], 67)
    assert one.lines == []
    done = with_checksums(found, read_urls=False, settings=LOOPBACK)
    drafts = done.records(
        Did.parse("did:plc:" + "a" * 24),
        created_at=Datetime.parse("2000-01-01T00:00:00.000Z"),
        new_tid=lambda: Tid.parse("2" * 13),
        hash_local=False,
    )
    record = drafts[1].record
    assert isinstance(record, Dataset)
    assert isinstance(record.storage, HttpStorage)
    assert record.size is not None
    assert (record.size.samples, record.size.bytes, record.size.shards) == (
        67,
        len(RAW) + of(gzip.compress(OTHER, mtime=0))[1],
        2,
    )
    assert all(shard.checksum is not None for shard in record.storage.shards)


def test_what_a_local_copy_is_not_is_told_with_its_line(one: Measuring) -> None:
    """Every fault of every shard; a dataset whose shards can't all be read isn't said to have other samples."""
    (one.folder / "a.tar").write_bytes(RAW)
    found = one.load({"local": "a.tar", "sha256": "ab" * 32, "bytes": 7}, {"local": "gone.tar"}, samples=3)
    wrong_sum, wrong_size, gone = one.faults(found, read_urls=False)
    assert wrong_sum.startswith(f"m.yaml:8: 'sha256' is {'ab' * 32}, but '")
    assert wrong_size.startswith("m.yaml:8: 'bytes' is 7, but '")
    assert gone.startswith("m.yaml:9: the local copy '")


def test_a_copy_that_is_elsewhere_is_believed_when_all_is_stated(one: Measuring) -> None:
    """A manifest is planned and published where its data isn't, too; one that states half of it isn't."""
    stated = {"local": "elsewhere.tar", "sha256": "ab" * 32, "bytes": 7}
    found = one.load(stated, samples=3)
    assert one.run(found, read_urls=False) == ([("ab" * 32, 7)], 3)
    did, moment = Did.parse("did:plc:" + "a" * 24), Datetime.parse("2000-01-01T00:00:00.000Z")
    drafts = found.records(did, created_at=moment, new_tid=lambda: Tid.parse("2" * 13))
    assert drafts[1].value["size"] == {"samples": 3, "bytes": 7, "shards": 1}
    for half in ("sha256", "bytes"):
        [fault] = one.faults(one.load({key: stated[key] for key in ("local", half)}), read_urls=False)
        assert fault.startswith("m.yaml:8: the local copy '")


def test_a_number_of_samples_that_is_stated_must_be_right(one: Measuring) -> None:
    (one.folder / "a.tar").write_bytes(RAW)
    [fault] = one.faults(one.load({"local": "a.tar"}, samples=61))
    assert fault == "m.yaml:6: 'samples' is 61, but the shards hold 60 (leave it out, and it is counted)"
    assert one.run(one.load({"local": "a.tar"}, samples=60)) == ([of(RAW)], 60)


@pytest.mark.parametrize(
    "raw", [b"", b"no tar", RAW[:400_000], tar_of(("README", b"x"), ("._a.jpg", b"1")), gzip.compress(RAW)[:1000]]
)
def test_a_file_that_is_no_shard_is_a_fault(one: Measuring, raw: bytes) -> None:
    """One line for the shard, also where the number of samples is stated; a second run reads the cache."""
    (one.folder / "a.tar").write_bytes(raw)
    (one.folder / "b.tar").write_bytes(RAW)
    shards = ({"local": "a.tar"}, {"local": "b.tar"})
    for more in ({}, {"samples": 5}, {}):
        [fault] = one.faults(one.load(*shards, **more))
        assert fault.startswith("m.yaml:8: '")


WEBDATASET = tar_of(("a.jpg", b"x"), ("a.a", b"1"), ("b.a", b"2"), ("._b.cls", b"x"))


def test_the_format_of_the_shards_is_recognised_and_compared(one: Measuring) -> None:
    """An ordinary WebDataset needs no word in the manifest; a wrong word, and shards of two formats, are faults."""
    for number in range(2):
        (one.folder / f"{number}.tar").write_bytes(WEBDATASET)
    (one.folder / "b.tar").write_bytes(RAW)
    shards = ({"local": "0.tar"}, {"local": "1.tar"})
    assert one.run(one.load(*shards)) == ([of(WEBDATASET)] * 2, 4)
    for more in ({}, {"format": "webdataset"}):
        [draft] = with_checksums(one.load(*shards, **more), read_urls=False, settings=LOOPBACK).datasets
        assert draft.sample_format == "webdataset"
    [draft] = with_checksums(one.load({"local": "b.tar"}), read_urls=False, settings=LOOPBACK).datasets
    assert draft.sample_format is None
    [fault] = one.faults(one.load({"local": "0.tar"}, format="msgpack"))
    assert fault.startswith(
        "m.yaml:8: the format is msgpack, but 'https://data.example/0.tar' has the format webdataset"
    )
    [fault] = one.faults(one.load({"local": "0.tar"}, {"local": "b.tar"}))
    assert fault.startswith("m.yaml:9: ")
    with pytest.raises(InvalidManifest, match=r"unknown format 'zarr'.*msgpack, webdataset"):
        one.load({"local": "0.tar"}, format="zarr")


def test_an_empty_tar_holds_no_samples(one: Measuring) -> None:
    (one.folder / "a.tar").write_bytes(tar_of())
    assert one.run(one.load({"local": "a.tar"})) == ([of(tar_of())], 0)


# --- addresses -----------------------------------------------------------------------------------------------


def test_without_being_asked_nobody_reads_an_address(one: Measuring, fake: Fake) -> None:
    """Those stated are believed."""
    (one.folder / "a.tar").write_bytes(RAW)
    found = one.at(one.load({}, {"sha256": "ab" * 32}, {"local": "a.tar"}, {}), fake.url)
    assert one.run(found, read_urls=False) == ([(None, None), ("ab" * 32, None), of(RAW), (None, None)], None)
    assert one.lines == []
    assert fake.asked == []


def test_each_address_is_read_once_and_compared_with_what_is_stated(one: Measuring, fake: Fake) -> None:
    fake.routes = {f"/{number}.tar": serving(RAW if number else OTHER) for number in range(3)}
    found = one.at(one.load({}, {}, {"sha256": of(RAW)[0].upper(), "bytes": len(RAW)}), fake.url)
    assert one.run(found) == ([of(OTHER), of(RAW), of(RAW)], 127)
    assert sorted(fake.paths()) == ["/0.tar", "/1.tar", "/2.tar"]
    assert one.lines == [f"read 3 of 3 shards, {(2 * len(RAW) + len(OTHER)) / 1e6:.3g} MB"]
    wrong = one.at(one.load({"sha256": "ab" * 32}, {"bytes": 7}, {}, samples=1), fake.url)
    told = one.faults(wrong)
    assert [fault.partition(", but")[0] for fault in told] == [
        f"m.yaml:8: 'sha256' is {'ab' * 32}",
        "m.yaml:9: 'bytes' is 7",
        "m.yaml:6: 'samples' is 1",
    ]
    assert f"{fake.url}/0.tar' has {of(OTHER)[0]}" in told[0]


def test_all_that_cannot_be_read_is_told_at_once(one: Measuring, fake: Fake) -> None:
    """With its line, its address without what may be secret, what the server said, and what to do."""
    fake.routes = {
        "/0.tar": serving(RAW),
        "/1.tar": lambda handler, _: answer(handler, b"", 403),
        "/3.tar": lambda handler, _: answer(handler, b"", 302, Location="https://10.0.0.1/a.tar"),
        "/4.tar": lambda handler, _: answer(handler, RAW, 206),
        "/6.tar": lambda handler, _: answer(handler, b"", 304),
    }
    found = one.at(one.load({}, {"url": f"{BASE}1.tar?token=secret"}, {}, {}, {}, {}, {}), fake.url)
    [draft] = found.datasets
    shards = list(draft.shards)
    shards[5] = replace(shards[5], url="http://127.0.0.1:9/a.tar")
    faults = one.faults(replace(found, datasets=(replace(draft, shards=tuple(shards)),)))
    assert [fault.partition(": ")[0] for fault in faults] == [f"m.yaml:{line}" for line in (9, 10, 11, 12, 13, 14)]
    assert f"'{fake.url}/1.tar' can't be read: HTTP 403" in faults[0]
    assert "make the shard public" in faults[0]
    assert "HTTP 404" in faults[1]
    assert "was it moved?" in faults[1]
    assert "can't be read" in faults[2]
    assert "HTTP 206" in faults[3]
    assert "can't be reached" in faults[4]
    assert "HTTP 304" in faults[5]
    assert not any("secret" in fault for fault in faults)


def test_no_more_than_a_few_are_read_at_a_time(one: Measuring, fake: Fake) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(OTHER)))
        handler.end_headers()
        for start in range(0, len(OTHER), 10_000):
            handler.wfile.write(OTHER[start : start + 10_000])
            time.sleep(0.01)
        with lock:
            now -= 1

    fake.routes = {f"/{number}.tar": slow for number in range(12)}
    assert one.run(one.at(one.load(*[{}] * 12), fake.url)) == ([of(OTHER)] * 12, 84)
    assert 2 <= most <= 4


# --- the same version again ----------------------------------------------------------------------------------

OLD = formatdate(time.time() - 1000, usegmt=True)
VERSIONS: dict[str, dict[str, str]] = {
    "an ETag": {"ETag": '"one"'},
    "a Last-Modified": {"Last-Modified": OLD},
}


@pytest.mark.parametrize("honours", [True, False])
@pytest.mark.parametrize("headers", VERSIONS.values(), ids=VERSIONS)
def test_a_version_that_was_read_is_not_read_again(
    one: Measuring, fake: Fake, headers: dict[str, str], *, honours: bool
) -> None:
    """The server is asked; it says 304, or it begins to send what is known, and nobody listens."""
    raw = RAW + bytes(40_000_000)
    sent: list[int] = []

    def versioned(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        known = asked.headers.get("if-none-match") == '"one"' or asked.headers.get("if-modified-since") == OLD
        if honours and known:
            answer(handler, b"", 304)
            return
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        sent.append(0)
        for start in range(0, len(raw), 1 << 20):
            sent[-1] += handler.connection.send(raw[start : start + (1 << 20)])

    fake.routes = {"/0.tar": versioned}
    found = one.at(one.load({}), fake.url)
    assert one.run(found) == ([of(raw)], 60)
    assert one.run(found) == ([of(raw)], 60)
    assert one.run(found) == ([of(raw)], 60)
    assert len(fake.asked) == 3
    assert sent[0] == len(raw)
    assert len(sent) == (1 if honours else 3)
    assert all(size < len(raw) / 2 for size in sent[1:])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"one"'},
        {"Last-Modified": formatdate(usegmt=True)},
        {"ETag": ""},
        {"ETag": '"' + "x" * 600 + '"'},
    ],
)
def test_what_names_no_version_for_sure_is_read_every_time(one: Measuring, fake: Fake, headers: dict[str, str]) -> None:
    fake.routes = {"/0.tar": partial(_dated, RAW, headers)}
    found = one.at(one.load({}), fake.url)
    assert one.run(found) == ([of(RAW)], 60)
    fake.routes = {"/0.tar": partial(_dated, OTHER, headers)}
    assert one.run(found) == ([of(OTHER)], 7)


def _dated(raw: bytes, headers: dict[str, str], handler: BaseHTTPRequestHandler, _: Asked) -> None:
    answer(handler, raw, 200, **{name.replace("-", "_"): text for name, text in headers.items()})


@pytest.mark.parametrize("change", ["the ETag", "the length"])
def test_another_version_is_read(one: Measuring, fake: Fake, change: str) -> None:
    """Also where the server forgot to change its ETag with the length."""
    fake.routes = {"/0.tar": serving(RAW, ETag='"one"')}
    found = one.at(one.load({}), fake.url)
    assert one.run(found) == ([of(RAW)], 60)
    fake.routes = {"/0.tar": serving(OTHER, ETag='"two"' if change == "the ETag" else '"one"')}
    assert one.run(found) == ([of(OTHER)], 7)


def test_the_memory_keeps_no_address(one: Measuring, fake: Fake) -> None:
    """There may be a secret in it."""
    fake.routes = {"/0.tar": serving(RAW, ETag='"one"')}
    one.run(one.at(one.load({"url": f"{BASE}0.tar?token=secret"}), fake.url))
    raw = (one.folder / "memory" / "measures.sqlite").read_bytes()
    assert of(RAW)[0].encode() in raw
    assert b"secret" not in raw
    assert b"127.0.0.1" not in raw


# --- downloads that break off --------------------------------------------------------------------------------


def _breaking(raw: bytes, at: int, handler: BaseHTTPRequestHandler, asked: Asked, **headers: str) -> None:
    """Sends ``at`` bytes of what is asked for, and hangs up."""
    start = int(asked.headers.get("range", "bytes=0-")[6:-1])
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Range", f"bytes {start}-{len(raw) - 1}/{len(raw)}")
    handler.send_header("Content-Length", str(len(raw) - start))
    for name, text in headers.items():
        handler.send_header(name, text)
    handler.end_headers()
    handler.wfile.write(raw[start : start + at])
    handler.close_connection = True


def test_a_download_goes_on_where_it_broke_off(one: Measuring, fake: Fake) -> None:
    fake.routes = {"/0.tar": lambda handler, asked: _breaking(RAW, 300_000, handler, asked, ETag='"one"')}
    assert one.run(one.at(one.load({}), fake.url)) == ([of(RAW)], 60)
    ranges = [asked.headers.get("range") for asked in fake.asked]
    assert ranges == [None, "bytes=300000-", "bytes=600000-"]


@pytest.mark.parametrize("tag", ['"two"', None])
def test_where_it_cannot_go_on_hash_and_count_begin_anew(one: Measuring, fake: Fake, tag: str | None) -> None:
    """Another version came, or the server names none: what is measured is the bytes that came whole."""

    def changing(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if len(fake.asked) == 1:
            _breaking(RAW, 300_000, handler, asked, **({"ETag": '"one"'} if tag else {}))
        else:
            answer(handler, OTHER, 200, **({"ETag": tag} if tag else {}))

    fake.routes = {"/0.tar": changing}
    assert one.run(one.at(one.load({}), fake.url)) == ([of(OTHER)], 7)


@pytest.mark.parametrize("raw", [RAW, b"no tar, and then nothing" * 20_000])
def test_a_broken_download_is_never_taken_for_a_whole_one(one: Measuring, fake: Fake, raw: bytes) -> None:
    """Also where the reader of tars gave up long before."""

    def lying(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if "range" in asked.headers:
            answer(handler, raw[5:], 206, ETag='"one"', Content_Range=f"bytes 5-{len(raw) - 1}/{len(raw)}")
        else:
            _breaking(raw, 10, handler, asked, ETag='"one"')

    fake.routes = {
        "/0.tar": lambda handler, asked: _breaking(raw, 10, handler, asked, ETag='"one"'),
        "/1.tar": lying,
    }
    broken, lie = one.faults(one.at(one.load({}, {}), fake.url))
    assert "broke off again and again" in broken
    assert "another range" in lie


def test_an_interrupt_ends_the_reading(one: Measuring, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody presses Ctrl-C while shards arrive that take a minute each."""

    def endless(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:  # until the client hangs up; without the interrupt the test would hang
            handler.wfile.write(b"x" * 1000)
            time.sleep(0.1)

    def interrupt(*_: object) -> None:
        if threading.current_thread() is threading.main_thread():  # Ctrl-C reaches no other
            raise KeyboardInterrupt

    fake.routes = {"/0.tar": serving(OTHER), "/1.tar": endless, "/2.tar": endless}
    monkeypatch.setattr(measuring._Reporter, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        one.run(one.at(one.load({}, {}, {}), fake.url))


# --- buckets -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
def test_keys_of_a_bucket_are_read_too_and_known_again(one: Measuring, store: Store) -> None:  # noqa: F811
    from tests.shards.test_s3 import RAW as STORED

    found = one.load({}, {})
    [draft] = found.datasets
    shards = tuple(replace(shard, url=key) for shard, key in zip(draft.shards, ("a.tar", "gone.tar"), strict=True))
    bucket = BucketDraft(name="open-data", endpoint=store.url)
    [fault] = one.faults(replace(found, datasets=(replace(draft, shards=shards, bucket=bucket),)))
    assert fault.startswith("m.yaml:9: 's3://open-data/gone.tar' can't be read: HTTP 404 NoSuchKey (there is no such")
    right = replace(found, datasets=(replace(draft, shards=shards[:1], bucket=bucket),))
    for _ in range(2):
        assert one.run(right) == ([of(STORED)], 60)


def test_a_bucket_of_a_manifest_is_asked_for_its_keys(one: Measuring, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the region and endpoint that it names; what has a local copy isn't asked for."""
    asked: list[Shard] = []

    def read(shards: list[Shard], *_: object, **__: object) -> dict[Shard, ShardStats]:
        asked.extend(shards)
        return {shard: ShardStats(sha256=of(RAW)[0], bytes=len(RAW), samples=60, counted=True) for shard in shards}

    monkeypatch.setattr(measuring, "hash_remote", read)
    (one.folder / "b.tar").write_bytes(OTHER)
    file = one.folder / "s3.yaml"
    file.write_text(
        "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]\n"
        "datasets:\n  - {name: d, schema: S@1.0.0, s3: {bucket: open-data, region: eu-west-1,"
        " endpoint: 'https://s3.example', keys: [x/a.tar, {key: b.tar, local: b.tar}]}}",
        encoding="utf-8",
    )
    assert one.run(load([file])) == ([of(RAW), of(OTHER)], 67)
    assert asked == [Shard(url="s3://open-data/x/a.tar", endpoint="https://s3.example", region="eu-west-1")]


def test_blobs_are_measured_where_they_are_and_never_read_from_elsewhere(one: Measuring) -> None:
    """One that isn't here is believed: it was uploaded once, and its checksum is its name."""
    (one.folder / "a.tar").write_bytes(RAW)
    file = one.folder / "blobs.yaml"
    file.write_text(
        "schemas: [{name: S, version: 1.0.0, fields: {a: int}}]\n"
        "datasets:\n  - {name: d, schema: S@1.0.0, blobs: [{local: a.tar},"
        f" {{local: gone.tar, sha256: {'ab' * 32}, bytes: 7}}]}}",
        encoding="utf-8",
    )
    for read_urls in (False, True):
        assert one.run(load([file]), read_urls=read_urls) == ([of(RAW), ("ab" * 32, 7)], None)
    assert one.lines == []


# --- nothing but our own errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"ETag": '"é"'}, {"Last-Modified": "x"}, {"Content-Length": "-1"}, {"Content-Length": "9" * 40},
     {"Content-Range": "bytes 0-0/*"}, {"Content-Encoding": "gzip"}, {"Transfer-Encoding": "chunked"}],
)  # fmt: skip
def test_a_server_that_says_nonsense_is_at_most_a_fault(one: Measuring, fake: Fake, headers: dict[str, str]) -> None:
    def odd(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        handler.send_response(200)
        for name, text in headers.items():
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(OTHER)
        handler.close_connection = True

    fake.routes = {"/0.tar": odd}
    for _ in range(2):
        try:
            [(sha256, size)], _samples = one.run(one.at(one.load({}), fake.url))
        except CatalogError as error:
            assert str(error).isprintable()
            assert "m.yaml:8" in str(error)
        else:
            assert (sha256, size) == of(OTHER)


# --- the command ---------------------------------------------------------------------------------------------


def test_validate_reads_addresses_when_asked_to(
    one: Measuring, https_server: Callable[[Path], HttpsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By https, as manifests name them: exit code 1 and the line of the manifest where a shard is another."""
    (one.folder / "0.tar").write_bytes(RAW)
    server = https_server(one.folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")

    def run(sha256: str, *options: str) -> subprocess.CompletedProcess[str]:
        one.load({"url": f"{server.url}/0.tar", "sha256": sha256})
        command = [sys.executable, "-m", "catalog", "validate", "m.yaml", *options]
        return forked.run(command, cwd=one.folder, timeout=60)

    good = run(of(RAW)[0], "--read-urls")
    assert (good.returncode, good.stdout) == (0, "valid: 1 schema, 1 dataset\n"), good.stderr
    assert good.stderr.splitlines()[0].startswith("read 1 of 1 shard, ")
    assert run("ab" * 32).returncode == 0  # the control: offline it is believed
    bad = run("ab" * 32, "--read-urls")
    assert bad.returncode == 1
    assert bad.stderr.splitlines()[-1].startswith(f"m.yaml:8: 'sha256' is {'ab' * 32}, but '{server.url}/0.tar' has")
    assert "Traceback" not in bad.stderr
