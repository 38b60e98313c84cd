"""Shards: tars of samples, opened safely, checked against their checksum, and written deterministically.

A shard is a WebDataset tar with one member a sample, ``<key>.msgpack``. It lies at an ``https`` address (plain ``http``
only on the own machine, and where the network settings allow loopback), or in a file of the local user. Every other
scheme is refused: ``pipe:`` runs shell commands in other readers.

Tricky bits
-----------
- A remote shard with a checksum is downloaded whole into a cache and checked before its first sample comes out; one
  without is read as it arrives. The cache is ``$CATALOG_CACHE``, else ``~/.cache/atdata-catalog``.
- A tar ends with a block of zeros. One that ends without is cut, even if it ends between two members.
- Braces in a URL mean a pattern only where somebody said so: :func:`expand` is called by ``Dataset.from_urls`` for a
  single string, and for the deprecated ``storageExternal``, nowhere else.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from catalog.errors import ChecksumMismatch, DataError, InvalidSample, InvalidShard, RefusedUrl
from catalog.samples.packable import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from catalog.config import NetworkSettings

__all__ = ["Shard", "ShardInfo", "expand", "read_shard", "write_shards"]

MAX_EXPANDED: Final = 100_000
"""Shards of one pattern."""

MAX_SAMPLE: Final = 1 << 30
"""Bytes of one sample; a header that claims more is not believed."""

MAX_SHARD: Final = 1 << 40
"""Bytes of one remote shard."""

_SLOWEST: Final = 86_400.0
"""Seconds for one shard: it is read as fast as its samples are used. A server that stalls is noticed much earlier."""

_MAX_HEADER_DATA: Final = 1 << 16
_BLOCK: Final = 512
_ALGORITHMS: Final = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"([0-9]{1,12})\.\.([0-9]{1,12})")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_KEY: Final = re.compile(r"(?:[A-Za-z0-9_~+=@-]+/)*[A-Za-z0-9_~+=@-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Where one shard lies. ``checksum`` is ``sha256:<hex>`` (or another algorithm's name), ``None`` for unchecked.

    Not opened and not looked at until it is read.
    """

    url: str
    checksum: str | None = None

    @property
    def path(self) -> Path | None:
        """The local file, ``None`` for a remote shard. Raises :class:`RefusedUrl` for a scheme that isn't opened."""
        match = _SCHEME.match(self.url)
        scheme = match[1].lower() if match else ""
        if scheme in ("http", "https"):
            return None
        if scheme == "file" and urlsplit(self.url).netloc in ("", "localhost"):
            return Path(unquote(urlsplit(self.url).path))
        if scheme or "\0" in self.url:
            shown = f"{scheme or 'file'}:"
            raise RefusedUrl(f"{shown} is not opened", where=_short(self.url), hint="https, http and files are")
        return Path(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """A shard that was written: its file, the samples in it, its bytes and the hex SHA-256 of them."""

    path: Path
    samples: int
    bytes: int
    sha256: str


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""


def expand(pattern: str) -> tuple[str, ...]:
    """Brace notation: ``a-{000..002}.tar`` → three names, ``{a,b}`` → two; several groups multiply, left slowest.

    Raises :class:`RefusedUrl` for more than ``MAX_EXPANDED`` names. Braces that are no pattern stay as they are.
    """
    parts = _BRACES.split(pattern)
    choices: list[tuple[str, ...]] = []
    total = 1
    for index, part in enumerate(parts):
        choices.append(_alternatives(part, pattern) if index % 2 else (part,))
        total *= len(choices[-1])
        if total > MAX_EXPANDED:
            raise RefusedUrl(f"the pattern stands for more than {MAX_EXPANDED} shards", where=_short(pattern))
    return tuple("".join(chosen) for chosen in product(*choices))


def _alternatives(inner: str, pattern: str) -> tuple[str, ...]:
    match = _RANGE.fullmatch(inner)
    if match is None:
        return tuple(inner.split(",")) if "," in inner else (f"{{{inner}}}",)
    first, last = int(match[1]), int(match[2])
    if abs(last - first) >= MAX_EXPANDED:
        raise RefusedUrl(f"the pattern stands for more than {MAX_EXPANDED} shards", where=_short(pattern))
    width = max(len(match[1]), len(match[2])) if match[1].startswith("0") else 0
    step = 1 if last >= first else -1
    return tuple(f"{number:0{width}d}" for number in range(first, last + step, step))


# --- opening -------------------------------------------------------------------------------------------------


def read_shard(shard: Shard, *, settings: NetworkSettings | None = None) -> Iterator[tuple[str, bytes]]:
    """The samples of a shard in their order: (key, msgpack bytes).

    Members of other kinds are passed over. Raises :class:`RefusedUrl`, :class:`ChecksumMismatch`,
    :class:`InvalidShard` (cut, no tar, nothing in it that is a sample, no such file) or a
    :class:`~catalog.errors.NetworkError`.
    """
    with _opened(shard, settings) as stream:
        samples = others = 0
        for name, data in _members(stream, _short(shard.url)):
            if name.endswith(".msgpack"):
                samples += 1
                yield name.removesuffix(".msgpack"), data
            else:
                others += 1
        if others and not samples:
            raise InvalidShard("no member is a .msgpack sample", where=_short(shard.url))


@contextmanager
def _opened(shard: Shard, settings: NetworkSettings | None) -> Iterator[_Readable]:
    path = shard.path
    if path is None and shard.checksum is not None:
        path = _cached(shard, settings)
    with ExitStack() as stack:
        if path is None:
            yield _Chunks(stack.enter_context(_download(shard.url, settings)))
        else:
            try:
                file = stack.enter_context(path.open("rb"))
                if shard.checksum is not None:
                    _verify(path, shard)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise InvalidShard(f"the file can't be read: {reason}", where=_short(shard.url)) from error
            yield file


@contextmanager
def _download(url: str, settings: NetworkSettings | None) -> Iterator[Iterator[bytes]]:
    from catalog.config import NetworkSettings
    from catalog.network.http import Client

    with (
        Client(settings or NetworkSettings.from_environment()) as client,
        client.stream(url, max_bytes=MAX_SHARD, seconds=_SLOWEST) as answer,
    ):
        yield answer.chunks


class _Chunks:
    """Chunks of bytes as something to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        parts: list[bytes] = []
        while size > 0:
            if self._at == len(self._chunk):
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._chunk, self._at = chunk, 0
            part = self._chunk[self._at : self._at + size]
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)


# --- checksums and the cache ---------------------------------------------------------------------------------

_verified: set[tuple[str, int, int, str]] = set()
"""Files found right in this process: (path, bytes, mtime in ns, checksum). A dataset is read more than once."""


def _checksum(shard: Shard) -> tuple[str, str]:
    algorithm, _, digest = (shard.checksum or "").partition(":")
    algorithm, digest = algorithm.lower().replace("sha-", "sha"), digest.lower()
    if _ALGORITHMS.get(algorithm) != len(digest) or not re.fullmatch(r"[0-9a-f]+", digest):
        what = f"a checksum that can't be checked: {(shard.checksum or '')[:80]!a}"
        raise ChecksumMismatch(what, where=_short(shard.url), hint=f"known: {', '.join(_ALGORITHMS)}, in hex")
    return algorithm, digest


def _verify(path: Path, shard: Shard) -> None:
    algorithm, promised = _checksum(shard)
    status = path.stat()
    mark = (str(path.resolve()), status.st_size, status.st_mtime_ns, f"{algorithm}:{promised}")
    if mark in _verified:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    _compare(shard, algorithm, promised, found)
    _verified.add(mark)


def _compare(shard: Shard, algorithm: str, promised: str, found: str) -> None:
    if found != promised:
        what = f"{algorithm} is {found}, the record promises {promised}"
        raise ChecksumMismatch(what, where=_short(shard.url), hint="it was changed or damaged; ask its publisher")


def _cached(shard: Shard, settings: NetworkSettings | None) -> Path:
    """The checked copy of a remote shard; files are named by their content, so equal shards are fetched once."""
    algorithm, promised = _checksum(shard)
    folder = Path(os.environ.get("CATALOG_CACHE") or Path.home() / ".cache" / "atdata-catalog") / "shards"
    path = folder / f"{algorithm}-{promised}.tar"
    if path.exists():
        try:
            _verify(path, shard)
        except ChecksumMismatch:
            path.unlink(missing_ok=True)  # our own copy went bad; the publisher's may be right
        else:
            return path
    try:
        return _fetched(shard, settings, path)
    except OSError as error:
        what = f"the cache can't be written: {error.strerror or error}"
        raise DataError(what, where=str(folder), hint="set CATALOG_CACHE to another folder") from error


def _fetched(shard: Shard, settings: NetworkSettings | None, path: Path) -> Path:
    algorithm, promised = _checksum(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False))
        stack.callback(Path(file.name).unlink, missing_ok=True)  # gone already when all went well
        for chunk in stack.enter_context(_download(shard.url, settings)):
            digest.update(chunk)
            file.write(chunk)
        file.close()
        _compare(shard, algorithm, promised, digest.hexdigest())
        Path(file.name).replace(path)
    return path


# --- the tar format ------------------------------------------------------------------------------------------


def _members(stream: _Readable, where: str) -> Iterator[tuple[str, bytes]]:
    """(name, data) of the regular files of a tar, in one pass. Directories, links and the like are passed over."""
    long_name: str | None = None
    while True:
        header = _exactly(stream, _BLOCK, where)
        if not any(header):
            return
        name, size, kind = _header(header, where)
        if kind in (b"x", b"L", b"g", b"K"):
            if size > _MAX_HEADER_DATA:
                raise InvalidShard("a member's extended header is too long", where=where)
            data = _data(stream, size, where)
            if kind == b"x":
                long_name = _pax_path(data, where) or long_name
            elif kind == b"L":
                long_name = data.rstrip(b"\0").decode("utf-8", "replace")
            continue
        data = _data(stream, size, where)
        if kind in (b"0", b"\0"):
            yield long_name or name, data
        long_name = None


def _exactly(stream: _Readable, size: int, where: str) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise InvalidShard("the shard is cut short", where=where, hint="it ends before the end mark of a tar")
    return data


def _data(stream: _Readable, size: int, where: str) -> bytes:
    if size > MAX_SAMPLE:
        raise InvalidShard(f"a member of {size} bytes; the most is {MAX_SAMPLE}", where=where)
    padded = -(-size // _BLOCK) * _BLOCK
    return _exactly(stream, padded, where)[:size]


def _header(header: bytes, where: str) -> tuple[str, int, bytes]:
    promised = _number(header[148:156], where)
    if sum(header[:148]) + sum(header[156:]) + 8 * 0x20 != promised:
        raise InvalidShard("not a tar, or a damaged one", where=where)
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    full = prefix + b"/" + name if prefix else name
    return full.decode("utf-8", "replace"), _number(header[124:136], where), header[156:157]


def _number(field: bytes, where: str) -> int:
    if field[0] == 0x80:  # GNU's base 256, for sizes from 8 GiB
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise InvalidShard("not a tar, or a damaged one", where=where)
    return int(digits or b"0", 8)


def _pax_path(data: bytes, where: str) -> str | None:
    """The ``path`` of a pax header: lines of ``<length> <key>=<value>``. Sizes there are for giants we refuse."""
    found = None
    while data:
        head, _, _ = data.partition(b" ")
        length = int(head) if re.fullmatch(rb"[0-9]{1,6}", head) else 0
        key, equals, value = data[len(head) + 1 : length].partition(b"=")
        if length <= len(head) or not equals or key == b"size":
            raise InvalidShard("a member's extended header can't be read", where=where)
        if key == b"path":
            found = value.rstrip(b"\n").decode("utf-8", "replace")
        data = data[length:]
    return found


def _short(url: str) -> str:
    shown = url if len(url) <= 200 else url[:199] + "…"
    return shown if shown.isprintable() else ascii(shown)[1:-1]


# --- writing -------------------------------------------------------------------------------------------------


def write_shards(samples: Iterable[Any], pattern: str | Path, *, per_shard: int) -> tuple[ShardInfo, ...]:
    """Write samples (of packable classes, or dicts) into tars; ``pattern`` numbers them: ``digits-%06d.tar``.

    A sample keeps its ``__key__``; one without is named by its running number. The same samples give the same bytes.
    All shards appear at their names together, after the last one was written; on an error none does, and what was
    there stays. Raises :class:`InvalidSample` for a sample or key that can't be written, ValueError for a pattern
    without a number.
    """
    if per_shard < 1 or not re.fullmatch(r"[^%]*%0?[0-9]*d[^%]*", Path(pattern).name):
        raise ValueError("the pattern needs one number like %06d, and per_shard at least 1")
    remaining = enumerate(samples)
    written: list[tuple[Path, ShardInfo]] = []
    try:
        while batch := list(islice(remaining, per_shard)):
            path = Path(pattern).parent / (Path(pattern).name % len(written))
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            written.append((part, ShardInfo(path=path, samples=len(batch), bytes=0, sha256="")))
            written[-1] = (part, _write_tar(batch, part, path))
        for part, info in written:
            part.replace(info.path)
    finally:
        for part, _ in written:
            part.unlink(missing_ok=True)
    return tuple(info for _, info in written)


def _write_tar(batch: list[tuple[int, Any]], part: Path, path: Path) -> ShardInfo:
    part.parent.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, sample in batch:
            key = getattr(sample, "__key__", "") or f"{number:08d}"
            if not _KEY.fullmatch(key) or key in seen:
                what = "a key twice in one shard" if key in seen else "a key that is not a plain name"
                raise InvalidSample(what, where=ascii(key)[1:100], hint="letters, digits, _ ~ + = @ - and /; no dots")
            seen.add(key)
            data = pack(sample)
            member = tarfile.TarInfo(f"{key}.msgpack")  # mtime 0, no owner: the same bytes every time
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ShardInfo(path=path, samples=len(batch), bytes=part.stat().st_size, sha256=digest)
