"""Opening shards: locations, checks, and the cache."""

from __future__ import annotations

import gzip
import hashlib
import multiprocessing
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import PackableSample
from catalog.config import NetworkSettings
from catalog.errors import ChecksumMismatch, DataError, InvalidShard, RefusedAddress, RefusedUrl, RequestFailed
from catalog.samples.write_shards import write_shards
from catalog.shards import cache as shard_cache
from catalog.shards.checksum import ExpectedDigest
from catalog.shards.reader import read_shard
from catalog.shards.shard import Shard, display_url
from tests.fakes import Asked, answer, fake_server
from tests.shards.test_tar import tar_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

LOOPBACK = NetworkSettings(allow_loopback=True)


class Number(PackableSample):
    """One number."""

    value: int


def numbers(count: int) -> list[Number]:
    return [Number(value=value) for value in range(count)]


def saved(path: Path, raw: bytes) -> Shard:
    path.write_bytes(raw)
    return Shard(url=str(path))


def read(shard: Shard) -> list[tuple[str, bytes]]:
    return [(key, bytes(data)) for key, data in read_shard(shard, settings=LOOPBACK)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


# --- opening -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["pipe:touch MARK", "PIPE:touch MARK", "ftp://example.org/a", "data:,x",
     " pipe:touch MARK", "\tpipe:touch MARK", "\x01pipe:touch MARK", "pipe:", "http+unix://%2Frun%2Fx/y", " https://example.org/a",
     "file:////host/share/a.tar", "//host/share/a.tar", "\\\\host\\share\\a.tar", "s3:b/k", "s3://", "s3://b", "s3://b/k",
     "s3://bucket/", "s3://bucket/a/../b", "s3://../k", "s3://a..b/k", "s3://buck%2Fet/k", "s3://bu@cket/k",
     "s3://bucket/\ud800", "fd:0", "zip://a", "https+pipe:x", "file://example.org/etc/passwd",
     "gs://b/k", "a\0b", "javascript:1", "hdfs://x/y"],
)  # fmt: skip
def test_every_other_scheme_is_refused_and_nothing_runs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedUrl):
        list(read_shard(Shard(url=url)))
    assert not (tmp_path / "MARK").exists()


def test_loopback_is_opened_only_when_the_settings_allow_it(serve: Callable[[Path], str], tmp_path: Path) -> None:
    write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar")
    with pytest.raises(RefusedAddress):
        list(read_shard(shard, settings=NetworkSettings()))
    assert [key for key, _ in read_shard(shard, settings=LOOPBACK)] == ["00000000", "00000001", "00000002"]


def test_a_shard_that_is_not_there_is_named(serve: Callable[[Path], str], tmp_path: Path) -> None:
    with pytest.raises(RequestFailed, match="404"):
        list(read_shard(Shard(url=serve(tmp_path) + "gone.tar"), settings=LOOPBACK))
    with pytest.raises(InvalidShard, match=r"gone\.tar: the file can't be read"):
        list(read_shard(Shard(url=str(tmp_path / "gone.tar"))))
    with pytest.raises(InvalidShard, match=r"gone-\*\.tar: the file can't be read: .* \(name many shards"):
        list(read_shard(Shard(url=str(tmp_path / "gone-*.tar"))))
    with pytest.raises(InvalidShard, match="can't be read"):
        list(read_shard(Shard(url=str(tmp_path))))


@given(
    st.text(max_size=60) | st.tuples(st.sampled_from(["s3://", "file:", "https:", "//", " "]), st.text()).map("".join)
)
def test_any_text_is_a_place_or_refused(url: str) -> None:
    try:
        path = Shard(url=url).path
    except RefusedUrl as error:
        assert str(error).isprintable()
    else:
        assert path is not None or url.lower().startswith(("http:", "https:", "s3://"))


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://u:p@example.org/a.tar?token=secret#x", "https://example.org/a.tar"),
        ("https://example.org/xrpc/com.atproto.sync.getBlob?did=d&cid=c",) * 2,
        ("s3://bucket/a?b#c",) * 2,
        ("a\nb", "a\\nb"),
    ],
)
def test_an_error_shows_a_shard_without_what_may_be_secret(url: str, text: str) -> None:
    assert display_url(url) == text


def test_a_local_file_is_named_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a b.tar", tar_of(("a.msgpack", b"\x80")))
    for url in (
        str(tmp_path / "a b.tar"),
        "a b.tar",
        f"file://{tmp_path}/a%20b.tar",
        f"file://localhost{tmp_path}/a b.tar",
    ):
        assert read(Shard(url=url)) == [("a", b"\x80")]


def test_a_pipe_or_a_device_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for url in (str(tmp_path / "pipe"), "/dev/zero"):
        for checksum in (None, "sha256:" + "0" * 64):
            with pytest.raises(InvalidShard, match="device or a pipe"):
                read(Shard(url=url, checksum=checksum))


@pytest.mark.parametrize("remote", [True, False])
def test_a_compressed_shard_is_read_by_what_it_is(
    serve: Callable[[Path], str], tmp_path: Path, *, remote: bool
) -> None:
    """Its checksum is that of the compressed bytes."""
    packed = gzip.compress(tar_of(("a.msgpack", b"\x80" * 100_000)))
    local = saved(tmp_path / "a.tar.gz", packed).url
    url = serve(tmp_path) + "a.tar.gz" if remote else local
    for checksum in (None, f"sha256:{hashlib.sha256(packed).hexdigest()}"):
        assert read(Shard(url=url, checksum=checksum)) == [("a", b"\x80" * 100_000)]


def test_a_file_that_is_cut_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """Another process does so; a mapped file would end ours."""
    found = [(f"{number}.msgpack", bytes([number]) * 100_000) for number in range(50)]
    shard = saved(tmp_path / "a.tar", tar_of(*found))
    reading = read_shard(shard)
    key, data = next(reading)
    os.truncate(shard.url, 300_000)
    with pytest.raises(InvalidShard, match="cut short"):
        list(reading)
    assert (key, bytes(data)) == ("0", bytes(100_000))


# --- checksums -----------------------------------------------------------------------------------------------


def test_a_remote_shard_is_checked_before_its_first_sample_and_fetched_once(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path
) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}")
    first = list(read_shard(shard, settings=LOOPBACK))
    assert len(first) == 3
    assert [path.name for path in cache.iterdir()] == [f"sha256-{info.sha256}.tar"]
    info.path.unlink()
    assert list(read_shard(shard, settings=LOOPBACK)) == first


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path
) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    shard = Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}")
    list(read_shard(shard, settings=LOOPBACK))
    (cache / f"sha256-{info.sha256}.tar").write_bytes(b"rubbish")
    assert len(list(read_shard(shard, settings=LOOPBACK))) == 3


@pytest.mark.parametrize("remote", [True, False])
def test_a_wrong_checksum_yields_no_sample_and_leaves_nothing(
    serve: Callable[[Path], str], tmp_path: Path, cache: Path, *, remote: bool
) -> None:
    write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    where = serve(tmp_path) + "n-000000.tar" if remote else str(tmp_path / "n-000000.tar")
    samples = read_shard(Shard(url=where, checksum="sha256:" + "0" * 64), settings=LOOPBACK)
    with pytest.raises(ChecksumMismatch, match="the record promises 0000"):
        next(samples)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_local_shard_that_changes_is_checked_again(tmp_path: Path) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    shard = Shard(url=str(info.path), checksum=f"SHA-256:{info.sha256.upper()}")
    assert len(list(read_shard(shard))) == 3
    write_shards(numbers(4), tmp_path / "n-%06d.tar", maxcount=9)
    with pytest.raises(ChecksumMismatch):
        list(read_shard(shard))


@pytest.mark.parametrize("checksum", ["sha256:12", "crc32:00000000", "", "sha256:" + "g" * 64, "none:"])
def test_a_checksum_that_cannot_be_checked_is_not_taken_for_right(tmp_path: Path, checksum: str) -> None:
    path = saved(tmp_path / "a.tar", tar_of(("a.msgpack", b"\x80"))).url
    with pytest.raises(ChecksumMismatch, match="not a checksum"):
        list(read_shard(Shard(url=path, checksum=checksum)))


def test_what_is_checked_is_what_is_read(tmp_path: Path) -> None:
    """Also when another file takes the path in between."""
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    reading = read_shard(Shard(url=str(info.path), checksum=f"sha256:{info.sha256}"))
    first = next(reading)
    write_shards(numbers(9), tmp_path / "n-%06d.tar", maxcount=9)
    assert [first[0], *(key for key, _ in reading)] == ["00000000", "00000001", "00000002"]


def test_a_cache_that_cannot_be_written_is_named(
    serve: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"the cache can't be used.*CATALOG_CACHE"):
        read(Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}"))


def test_what_a_killed_process_left_is_written_over(serve: Callable[[Path], str], tmp_path: Path, cache: Path) -> None:
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar", maxcount=9)
    cache.mkdir(parents=True)
    (cache / f"sha256-{info.sha256}.tar.part").write_bytes(b"rubbish" * 10_000)
    assert len(read(Shard(url=serve(tmp_path) + "n-000000.tar", checksum=f"sha256:{info.sha256}"))) == 3
    assert [path.name for path in cache.iterdir()] == [f"sha256-{info.sha256}.tar"]


def test_what_a_killed_process_left_is_no_part_of_an_empty_shard(cache: Path) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    cache.mkdir(parents=True)
    (cache / f"sha256-{digest}.tar.part").write_bytes(tar_of(("a.msgpack", b"\x80")))
    with fake_server({"/a.tar": lambda handler, _: answer(handler, b"")}) as fake, pytest.raises(InvalidShard):
        read(Shard(url=f"{fake.url}/a.tar", checksum=f"sha256:{digest}"))


def _read_in_a_process(url: str, checksum: str, results: Any) -> None:  # noqa: ANN401 - a queue of multiprocessing
    results.put([key for key, _ in read_shard(Shard(url=url, checksum=checksum), settings=LOOPBACK)])


def test_four_processes_that_want_one_shard_download_it_once(tmp_path: Path, cache: Path) -> None:
    """The others wait; all have the samples, and nothing else is left in the cache."""
    (info,) = write_shards(numbers(300), tmp_path / "n-%06d.tar")
    raw = info.path.read_bytes()

    def slowly(handler: BaseHTTPRequestHandler, _asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        for start in range(0, len(raw), 40_000):
            handler.wfile.write(raw[start : start + 40_000])
            time.sleep(0.1)

    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with fake_server({"/a.tar": slowly}) as fake:
        arguments = (f"{fake.url}/a.tar", f"sha256:{info.sha256}", results)
        processes = [context.Process(target=_read_in_a_process, args=arguments) for _ in range(4)]
        for process in processes:
            process.start()
        found = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(timeout=60)
        assert fake.paths() == ["/a.tar"]
    assert found == [[f"{number:08d}" for number in range(300)]] * 4
    assert [path.name for path in cache.iterdir()] == [f"sha256-{info.sha256}.tar"]


@pytest.mark.parametrize("good", [True, False])
def test_threads_that_want_one_shard_have_it_or_an_error_each(cache: Path, *, good: bool) -> None:
    raw = tar_of(("a.msgpack", b"\x80" * 50_000))
    digest = hashlib.sha256(raw if good else b"").hexdigest()
    outcomes: list[object] = []

    def one(url: str) -> None:
        try:
            outcomes.append(len(read(Shard(url=url, checksum=f"sha256:{digest}"))))
        except ChecksumMismatch as error:
            outcomes.append(type(error))

    with fake_server({"/a.tar": lambda handler, _: answer(handler, raw)}) as fake:
        threads = [threading.Thread(target=one, args=(f"{fake.url}/a.tar",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(fake.asked) == (1 if good else 4)
    assert outcomes == [1 if good else ChecksumMismatch] * 4
    assert [path.suffix for path in cache.iterdir()] == ([".tar"] if good else [])


def test_who_comes_between_look_and_lock_finds_what_was_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw nothing, and before it could ask for the lock somebody else was done."""
    raw = tar_of(("a.msgpack", b"\x80" * 50_000))
    with fake_server({"/a.tar": lambda handler, _: answer(handler, raw)}) as fake:
        shard = Shard(url=f"{fake.url}/a.tar", checksum=f"sha256:{hashlib.sha256(raw).hexdigest()}")
        fetch = shard_cache._fetch

        def overtaken(*arguments: Any) -> None:  # noqa: ANN401
            monkeypatch.setattr(shard_cache, "_fetch", fetch)
            read(shard)
            fetch(*arguments)

        monkeypatch.setattr(shard_cache, "_fetch", overtaken)
        assert len(read(shard)) == 1
        assert len(fake.asked) == 1
    assert [path.suffix for path in cache.iterdir()] == [".tar"]


def test_a_shard_checked_once_is_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of many epochs is hashed once a process."""
    (info,) = write_shards(numbers(3), tmp_path / "n-%06d.tar")
    shard = Shard(url=str(info.path), checksum=f"sha256:{info.sha256}")
    assert len(read(shard)) == 3
    monkeypatch.setattr(ExpectedDigest, "check", lambda *_: pytest.fail("it was hashed again"))
    assert len(read(shard)) == 3
