"""The progress of downloads: a bar on a terminal with tqdm, else nothing."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest

from catalog.shards import cache, progress
from catalog.shards.checksum import ExpectedDigest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RAW = b"shard" * 1000


class Bar:
    """What tqdm's bar does here."""

    made: list[Bar]

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as tqdm's
        self.options, self.n, self.seen = options, 0, [0]
        self.made.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.seen.append(-1)

    def update(self, more: int) -> None:
        self.n += more
        self.seen.append(self.n)


def terminal(*, yes: bool) -> SimpleNamespace:
    """Return what the module uses of ``sys``; pytest puts its own ``stderr`` back before each test."""
    return SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: yes), modules={})


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    module = ModuleType("tqdm.auto")
    Bar.made = []
    monkeypatch.setattr(module, "tqdm", Bar, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))
    monkeypatch.setattr(progress, "sys", terminal(yes=True))
    return Bar.made


def fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("CATALOG_CACHE", str(folder))

    def download() -> Generator[tuple[int, bytes], None, None]:
        yield 0, RAW[:2000]
        yield 0, RAW[:1000]  # another version: from the beginning
        yield 1000, RAW[1000:]

    expected = ExpectedDigest.parse(f"sha256:{hashlib.sha256(RAW).hexdigest()}")
    with cache.cached_copy(expected, "https://shards.example/a.tar", download) as file:
        return bytes(file.read())


def test_a_bar_shows_the_bytes_of_a_download(bars: list[Bar], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetched(tmp_path, monkeypatch) == RAW
    (bar,) = bars
    assert bar.options["desc"] == "https://shards.example/a.tar"
    assert bar.seen == [0, 2000, 1000, 5000, -1]
    assert fetched(tmp_path, monkeypatch) == RAW
    assert len(bars) == 1, "nothing is downloaded the second time"


@pytest.mark.parametrize("where", ["no terminal", "a worker", "no tqdm"])
def test_elsewhere_there_is_none(bars: list[Bar], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "no terminal":
        monkeypatch.setattr(progress, "sys", terminal(yes=False))
    elif where == "a worker":
        monkeypatch.setattr(progress, "parent_process", object)
    else:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert fetched(tmp_path, monkeypatch) == RAW
    assert bars == []
