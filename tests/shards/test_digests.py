"""LocalHasher of local files: right, quick, remembered only while that is safe, whatever happened to the memory."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import CatalogError, DataError, InvalidManifest
from catalog.manifest import load
from catalog.shards import hash_cache, hash_local
from catalog.shards.hash_cache import HashCache, ShardStats
from catalog.shards.hash_local import LocalHasher
from catalog.shards.reader import Counted
from catalog.shards.source import HashingSource, Source
from catalog.syntax import Datetime, Did, Tid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalog.shards.hash_cache import Check

Found = dict[Path, ShardStats | CatalogError]


def right(*paths: Path) -> dict[Path, ShardStats]:
    """The slow obvious version."""
    raws = {path: path.read_bytes() for path in paths}
    return {path: ShardStats(sha256=hashlib.sha256(raw).hexdigest(), bytes=len(raw)) for path, raw in raws.items()}


def some(folder: Path, count: int = 5) -> list[Path]:
    paths = [folder / f"{number}.tar" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number * (number * 100_000))
    return paths


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(hash_local, "_RACY_NANOSECONDS", 0)
    time.sleep(0.02)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose bytes are read from here on."""
    found: list[str] = []
    measure = LocalHasher._hash

    def watched(self: LocalHasher, path: Path, check: Check | None) -> tuple[ShardStats, str | None]:
        found.append(path.name)
        return measure(self, path, check)

    monkeypatch.setattr(LocalHasher, "_hash", watched)
    return found


def test_every_file_has_the_digest_that_hashlib_gives_it(tmp_path: Path) -> None:
    """Several at a time, one asked for twice, an empty one."""
    paths = some(tmp_path, 9)
    assert LocalHasher().hash_files([*paths, paths[3]]) == right(*paths)
    assert LocalHasher(workers=1).hash_files(iter(paths)) == right(*paths)
    assert LocalHasher().hash_files([]) == {}


@pytest.mark.usefixtures("settled")
def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    """Also by another process, also under a relative path; without a folder nothing is remembered."""
    paths = some(tmp_path)
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    assert sorted(reads) == [path.name for path in paths]
    reads.clear()
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    relative = Path(os.path.relpath(paths[0]))
    assert LocalHasher(tmp_path / "memory").hash_files([relative]) == right(relative)
    assert reads == []
    LocalHasher().hash_files(paths)
    assert len(reads) == len(paths)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("way", ["longer", "written over, its time put back", "another file moved there"])
def test_a_file_that_changed_is_read_again(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"before")
    first = LocalHasher(tmp_path / "memory").hash_files([path])
    status = path.stat()
    time.sleep(0.02)
    if way == "another file moved there":
        (tmp_path / "b.tar").write_bytes(b"after!")
        (tmp_path / "b.tar").replace(path)
    else:
        path.write_bytes(b"after!" if way != "longer" else b"before and after")
    if way != "longer":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    second = LocalHasher(tmp_path / "memory").hash_files([path])
    assert second == right(path) != first
    assert LocalHasher(tmp_path / "memory").hash_files([path]) == second


def test_a_file_of_just_now_is_not_remembered(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be written once more and keep its time; two seconds later it can't."""
    path = some(tmp_path, 2)[1]
    for _ in range(2):
        assert LocalHasher(tmp_path / "memory").hash_files([path]) == right(path)
    assert len(reads) == 2
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 2_100_000_000)
    for _ in range(2):
        assert LocalHasher(tmp_path / "memory").hash_files([path]) == right(path)
    assert len(reads) == 3


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = some(tmp_path, 3)[2]

    def grow(source: Source, _: str) -> Counted:
        source.readinto(memoryview(bytearray(10)))
        with path.open("ab") as file:
            file.write(b"more")
        return Counted(None, None)

    found = LocalHasher(tmp_path / "memory", count=grow).hash_files([path])[path]
    assert isinstance(found, DataError)
    assert "changed while it was read" in str(found)
    assert LocalHasher(tmp_path / "memory").hash_files([path]) == right(path)


def test_what_is_no_file_is_told_and_nobody_waits_for_it(tmp_path: Path) -> None:
    """A missing one, a folder, a pipe that nobody writes to, a name that can't be; the others are hashed."""
    [good] = some(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe")
    bad = [tmp_path / "gone", tmp_path, tmp_path / "pipe", Path("a\0b")]
    found = LocalHasher().hash_files([*bad, good])
    assert found[good] == right(good)[good]
    for path in bad:
        error = found[path]
        assert isinstance(error, DataError)
        assert str(error).startswith("can't be read: ")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.usefixtures("settled")
def test_names_that_are_no_text_are_remembered_too(tmp_path: Path, reads: list[str]) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.tar"))
    path.write_bytes(b"x")
    for _ in range(2):
        assert LocalHasher(tmp_path / "memory").hash_files([path]) == right(path)
    assert len(reads) == 1


def test_large_files_tell_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever more bytes of the same total, and all of them at the end; small files say nothing."""
    monkeypatch.setattr(hash_local, "_LARGE", 1 << 21)
    paths = [tmp_path / "large.tar", tmp_path / "small.tar"]
    paths[0].write_bytes(bytes(7 << 20))
    paths[1].write_bytes(bytes(1 << 20))
    heard: list[tuple[str, int, int]] = []
    LocalHasher(progress=lambda path, done, total: heard.append((path.name, done, total))).hash_files(paths)
    assert [(name, total) for name, _, total in heard] == [("large.tar", 7 << 20)] * 4
    assert [done >> 20 for _, done, _ in heard] == [2, 4, 6, 7]


def test_an_interrupt_ends_every_thread_at_once(tmp_path: Path) -> None:
    paths = some(tmp_path, 4)

    def count(source: Source, name: str) -> Counted:
        if name == "3.tar":
            raise KeyboardInterrupt
        while source.readinto(memoryview(bytearray(10))) is not None:  # for ever, unless it is stopped
            time.sleep(0.01)
        return Counted(None, None)

    asked = LocalHasher(count=count, workers=4)
    with pytest.raises(KeyboardInterrupt):
        asked.hash_files(paths)
    asked._count = None
    assert asked.hash_files(paths) == right(*paths)  # the control: it works again


# --- samples -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settled")
def test_a_measure_without_a_count_is_not_enough_for_who_counts(tmp_path: Path, reads: list[str]) -> None:
    """The bytes are read through once for both; a count that is known serves who wants none."""
    [path] = some(tmp_path, 1)
    memory = tmp_path / "memory"

    def count(source: Source, _: str) -> Counted:
        source.readinto(memoryview(bytearray(3)))  # not to the end: the digest is of everything
        return Counted(7, "msgpack")

    counted = ShardStats(sha256=right(path)[path].sha256, bytes=0, samples=7, format="msgpack", counted=True)
    assert LocalHasher(memory).hash_files([path]) == right(path)
    assert LocalHasher(memory, count=count).hash_files([path]) == {path: counted}
    assert LocalHasher(memory, count=count).hash_files([path]) == {path: counted}
    assert LocalHasher(memory).hash_files([path]) == {path: counted}
    assert len(reads) == 2


# --- the memory ----------------------------------------------------------------------------------------------


def _garbage(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def _somebody_elses(file: Path) -> None:
    file.unlink()
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE measures_2 (other)")
    db.commit()
    db.close()


def _nonsense(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE measures_2 SET sha256 = 'x', bytes = 'many', counted = 7")
    db.commit()
    db.close()


def _no_digest(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE measures_2 SET sha256 = 'x'")
    db.commit()
    db.close()


def _wrong_text(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE measures_2 SET sha256 = CAST(x'ff' AS TEXT)")
    db.commit()
    db.close()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [_garbage, _cut, _somebody_elses, _nonsense, _no_digest, _wrong_text])
def test_a_damaged_memory_is_passed_over_and_written_anew(tmp_path: Path, reads: list[str], damage: object) -> None:
    paths = some(tmp_path)
    LocalHasher(tmp_path / "memory").hash_files(paths)
    assert callable(damage)
    damage(tmp_path / "memory" / "measures.sqlite")
    reads.clear()
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    assert len(reads) == len(paths)
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    assert len(reads) == len(paths)


@given(raw=st.binary(max_size=300), header=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_bytes_may_be_where_the_memory_should_be(tmp_path: Path, raw: bytes, *, header: bool) -> None:
    file = tmp_path / "measures.sqlite"
    file.write_bytes((b"SQLite format 3\0" if header else b"") + raw)
    measure = ShardStats(sha256="ab" * 32, bytes=3)
    with HashCache(tmp_path).opened() as memory:
        memory.get(b"k", "m")
        memory.put(b"k", "m", measure)
    with HashCache(tmp_path).opened() as memory:
        assert memory.get(b"k", "m") == measure
        assert memory.get(b"k", "another") is None
        assert (memory.mark(b"k"), memory.mark(b"j")) == ("m", None)


@pytest.mark.usefixtures("settled")
def test_a_memory_that_cannot_be_used_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder's place, a folder in the file's, a lock that somebody holds for long."""
    paths = some(tmp_path)
    (tmp_path / "taken").write_bytes(b"")
    (tmp_path / "folder" / "measures.sqlite").mkdir(parents=True)
    for name in ("taken", "folder"):
        assert LocalHasher(tmp_path / name).hash_files(paths) == right(*paths)
    LocalHasher(tmp_path / "memory").hash_files(paths)
    monkeypatch.setattr(hash_cache, "_BUSY_SECONDS", 0.05)
    db = sqlite3.connect(tmp_path / "memory" / "measures.sqlite")
    db.execute("BEGIN EXCLUSIVE")
    opened: list[Path] = []
    connect = sqlite3.connect

    def note(path: Path, *, timeout: float) -> sqlite3.Connection:
        opened.append(path)
        return connect(path, timeout=timeout)

    monkeypatch.setattr("catalog.shards.hash_cache.sqlite3.connect", note)
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    assert len(opened) == 1  # it is not opened again for each path
    db.rollback()
    assert db.execute("SELECT count(*) FROM measures_2").fetchone() == (len(paths),)  # nobody threw it away
    db.close()


def test_the_memory_keeps_the_newest_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_cache, "MAX_ROWS", 10)
    clock = iter(range(1, 1000))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    measure = ShardStats(sha256="ab" * 32, bytes=3)
    with HashCache(tmp_path).opened() as memory:
        for number in range(25):
            memory.put(b"%d" % number, "m", measure)
    with HashCache(tmp_path).opened() as memory:
        kept = [number for number in range(25) if memory.get(b"%d" % number, "m") is not None]
    assert kept == list(range(15, 25))


def _hash_all(folder: Path, paths: list[Path]) -> None:
    vars(hash_local)["_RACY_NANOSECONDS"] = 0
    for number in range(len(paths)):
        assert LocalHasher(folder).hash_files(paths[number:] + paths[:number]) == right(*paths)


def test_several_processes_share_the_memory(tmp_path: Path, reads: list[str]) -> None:
    paths = some(tmp_path, 6)
    time.sleep(0.02)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_hash_all, args=(tmp_path / "memory", paths)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert LocalHasher(tmp_path / "memory").hash_files(paths) == right(*paths)
    assert reads == []


# --- manifests -----------------------------------------------------------------------------------------------

MANIFEST = """\
schemas: [{name: S, version: 1.0.0, fields: {a: int}}]
datasets:
  - name: d
    schema: S@1.0.0
    shards:
      - {url: "https://example.org/d-{1..3}.tar", local: "{1..3}.tar"}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "m.yaml"
    file.write_text(MANIFEST, encoding="utf-8")
    some(tmp_path, 4)
    yield file
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.usefixtures("settled")
def test_records_are_made_with_what_is_remembered(tmp_path: Path, manifest: Path, reads: list[str]) -> None:
    """Without digests of one's own every build reads the copies; a missing one has its place in the manifest."""
    found = load([manifest])
    did, tid = Did.parse("did:plc:" + "a" * 24), Tid.parse("2" * 13)
    when = Datetime.parse("2000-01-01T00:00:00.000Z")
    made = [
        found.records(did, created_at=when, new_tid=lambda: tid, hasher=LocalHasher(tmp_path / "memory"))
        for _ in range(3)
    ]
    assert made[0] == made[2]
    assert sorted(reads) == ["1.tar", "2.tar", "3.tar"]
    (tmp_path / "2.tar").unlink()
    with pytest.raises(InvalidManifest, match=r"m\.yaml:6: the local copy '.*2\.tar' can't be read: No such file"):
        found.records(did, created_at=when, new_tid=lambda: tid, hasher=LocalHasher(tmp_path / "memory"))


def test_what_is_hashed_on_the_way_is_the_whole(tmp_path: Path) -> None:
    [_, path] = some(tmp_path, 2)
    seen: list[int] = []
    with path.open("rb", buffering=0) as file:
        hashing = HashingSource(file, seen.append)
        hashing.readinto(memoryview(bytearray(10)))
        assert hashing.finish() == right(path)[path].sha256
    assert (seen[0], seen[-1], hashing.bytes) == (10, 100_000, 100_000)
