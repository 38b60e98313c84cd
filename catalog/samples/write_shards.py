"""Write samples into shards: deterministic files, created atomically.

::

    format="msgpack"       tar    KEY.msgpack                      every sample, the default
    format="webdataset"    tar    KEY.jpg KEY.cls KEY.json …       fields named as file extensions
    format="parquet"       table  a row a sample                   needs the extra [arrow]
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol, TypeAlias, get_args

from catalog.errors import InvalidSample
from catalog.samples.annotations import plan_of
from catalog.samples.manifest_builder import ManifestBuilder
from catalog.samples.packable import pack
from catalog.samples.packable import sample_type as type_of
from catalog.samples.ray_data import is_ray_dataset, write_ray_shards
from catalog.samples.shard_manifest import manifest_paths
from catalog.samples.storable import RESERVED
from catalog.samples.write_members import members_of
from catalog.samples.write_parquet import ParquetRows, ParquetWriter
from catalog.shards import limits
from catalog.shards.formats import FORMATS
from catalog.shards.formats.format import KEY
from catalog.shards.formats.members import split_name
from catalog.shards.formats.msgpack import SUFFIX
from catalog.shards.formats.text import KEY_DIGITS
from catalog.shards.tar import TarWriter, member_names

__all__ = ["ShardFormat", "ShardInfo", "check_iterable", "write_shards"]

ShardFormat: TypeAlias = Literal["msgpack", "webdataset", "parquet"]
"""The formats that ``write_shards`` writes."""

_Members: TypeAlias = list[tuple[bytes, bytes]]

_NUMBERED: Final = re.compile(r"[^%]*%0?[0-9]*d[^%]*")
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SKIPPED: Final = re.compile(r"__[^/]*__/")
"""The beginning of names that webdataset skips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """A written shard: its file, its samples and bytes, its SHA-256 in hex, and its format."""

    path: Path
    samples: int
    bytes: int
    sha256: str
    format: ShardFormat = "msgpack"


def write_shards(
    samples: Iterable[Any],
    pattern: str | Path,
    *,
    maxcount: int | None = None,
    maxsize: int | None = None,
    format: ShardFormat = "msgpack",  # noqa: A002 - the name of the record's field
    sample_type: type[Any] | None = None,
    per_shard: int | None = None,
    max_bytes: int | None = None,
    manifest: bool = False,
) -> tuple[ShardInfo, ...]:
    """Write samples (of packable classes, or dicts) into files; ``pattern`` numbers them: ``digits-%06d.tar``.

    See :func:`catalog.write_samples`, which returns the dataset of them. A pattern without a number is the name of the
    only file if there is no limit, else ``-%06d`` is added to it. ``per_shard`` and ``max_bytes`` are the former names
    of ``maxcount`` and ``maxsize``. ``manifest`` writes a shard manifest beside each shard.

    A ``ray.data.Dataset`` is written by its workers; its rows become samples of ``sample_type``.

    Raises :class:`InvalidSample` for a sample or key that can't be written and read again, or is longer than a shard
    may be, ValueError for a ``%`` in the pattern that is no number, an unknown format, or a limit below 1.
    """
    check_iterable(samples)
    maxcount = per_shard if maxcount is None else maxcount
    maxsize = max_bytes if maxsize is None else maxsize
    if min((limit for limit in (maxcount, maxsize) if limit is not None), default=1) < 1:
        raise ValueError("maxcount and maxsize are at least 1")
    if format not in get_args(ShardFormat):
        raise ValueError(f"the format {format!r} can't be written; {', '.join(get_args(ShardFormat))} can")
    if format == "parquet" and maxsize is not None:
        raise ValueError("the length of a Parquet file is not known before it is compressed: use maxcount")
    if is_ray_dataset(samples):
        if manifest:
            raise ValueError("the workers of Ray write no shard manifests; `manifests: true` publishes them")
        paths = _paths(Path(pattern), limited=True)

        def write(some: Iterable[Any], temporary: Path) -> tuple[ShardInfo, ...]:
            return _write(some, _paths(temporary, limited=True), maxcount=None, maxsize=maxsize, form=format)

        return write_ray_shards(
            samples, folder=Path(pattern).parent, paths=paths, sample_type=sample_type, maxcount=maxcount, write=write
        )
    if sample_type is not None:
        raise ValueError("sample_type is for rows of Ray Data: samples have their class")
    paths = _paths(Path(pattern), limited=maxcount is not None or maxsize is not None)
    return _write(samples, paths, maxcount=maxcount, maxsize=maxsize, form=format, manifest=manifest)


def _write(
    samples: Iterable[Any],
    paths: Iterator[Path],
    *,
    maxcount: int | None,
    maxsize: int | None,
    form: ShardFormat,
    manifest: bool = False,
) -> tuple[ShardInfo, ...]:
    layout = _Table() if form == "parquet" else _Tar(_packed if form == "msgpack" else members_of)
    written: list[_ShardFile] = []
    try:
        for number, sample in enumerate(samples):
            own = _own_key(sample)
            key = f"{number:08d}" if own is None else own
            encoded = _encoded(layout, sample, key, own)
            if not written or written[-1].is_full(encoded, maxcount, maxsize):
                if written:
                    written[-1].finish()
                written.append(_ShardFile(next(paths), form, layout, _builder(form, sample) if manifest else None))
            written[-1].add(key, encoded, maxsize)
        infos = tuple(shard.finish() for shard in written)
        for shard in written:
            shard.part.replace(shard.path)
            shard.write_manifest()
    finally:
        for shard in written:
            shard.discard()
    return infos


def _builder(form: ShardFormat, sample: object) -> ManifestBuilder:
    """Return the builder of the manifest of a shard with samples like this one."""
    kind = type_of(type(sample)) if hasattr(type(sample), "__packable__") else None
    return ManifestBuilder(FORMATS[form], kind)


def _paths(pattern: Path, *, limited: bool) -> Iterator[Path]:
    """Return the paths of the shards. Raises ValueError for a ``%`` that is no number."""
    if "%" not in pattern.name:
        if not limited:
            return iter([pattern])
        pattern = pattern.with_name(f"{pattern.stem}-%06d{pattern.suffix}")
    if not _NUMBERED.fullmatch(pattern.name):
        raise ValueError(f"{pattern.name[:200]!r} has no number for the shards: name it like 'digits-%06d.tar'")
    return (pattern.with_name(pattern.name % number) for number in count())


def write_members(
    path: Path,
    samples: Iterable[tuple[str, Sequence[tuple[str, bytes]]]],
    format: ShardFormat,  # noqa: A002 - the name of the record's field
) -> ShardInfo:
    """Write samples that are encoded already into one tar: key, and suffix (``.jpg``) and data of each member.

    The rules for keys and the temporary file are those of :func:`write_shards`.
    """
    shard = _ShardFile(path, format, _Tar(_packed))
    try:
        for key, members in samples:
            _check_key(key)
            shard.add(key, [(TarWriter.header(key + suffix, len(data)), data) for suffix, data in members], None)
        info = shard.finish()
        shard.part.replace(path)
    finally:
        shard.discard()
    return info


def _encoded(layout: _Layout, sample: object, key: str, own: str | None) -> Any:  # noqa: ANN401 - as the layout has it
    try:
        return layout.encode(_without_reserved(sample), key, own)
    except InvalidSample as error:
        error.where = error.where or key[:100]
        raise


def _packed(sample: object, key: str) -> list[tuple[str, bytes]]:
    data = pack(sample)
    if len(data) > limits.MAX_MEMBER:
        what = f"a sample of {len(data):,} bytes; the most is {limits.MAX_MEMBER:,}"
        raise InvalidSample(what, hint="divide it into several samples")
    return [(key + SUFFIX, data)]


class _Content(Protocol):
    """The contents of a file that is being written."""

    @property
    def bytes(self) -> int: ...

    def length(self, encoded: Any) -> int: ...  # noqa: ANN401

    def size_with(self, encoded: Any) -> int: ...  # noqa: ANN401

    def add(self, key: str, encoded: Any) -> None: ...  # noqa: ANN401

    def stored(self, encoded: Any) -> tuple[Any, list[int]]:  # noqa: ANN401
        """Return a sample that was added as a reader gets it, and begin and end of its bytes."""
        ...

    def close(self) -> str: ...

    def abandon(self) -> None: ...


class _Layout(Protocol):
    """Encodes samples, and begins the contents of a file of them. ``own`` is the key that a sample has itself."""

    def encode(self, sample: object, key: str, own: str | None) -> Any: ...  # noqa: ANN401

    def content(self, file: BinaryIO) -> _Content: ...


class _Tar:
    """Samples as members of tars: headers and data."""

    def __init__(self, encode: Callable[[object, str], list[tuple[str, bytes]]]) -> None:
        self._encode = encode

    def encode(self, sample: object, key: str, own: str | None) -> _Members:  # noqa: ARG002
        return [(TarWriter.header(name, len(data)), data) for name, data in self._encode(sample, key)]

    def content(self, file: BinaryIO) -> _TarContent:
        return _TarContent(file, packed=self._encode is _packed)


class _TarContent:
    """A tar that is being written; refuses a key twice."""

    def __init__(self, file: BinaryIO, *, packed: bool) -> None:
        self._tar, self._packed = TarWriter(file), packed
        self._keys: set[str] = set()
        self._begin = self._end = 0

    @property
    def bytes(self) -> int:
        return self._tar.bytes

    def length(self, members: _Members) -> int:
        return sum(len(data) for _, data in members)

    def size_with(self, members: _Members) -> int:
        before = sum(len(header) + len(data) + (-len(data) & 511) for header, data in members[:-1])
        return self._tar.size_with(*members[-1], before)

    def add(self, key: str, members: _Members) -> None:
        if key in self._keys:
            raise InvalidSample("a key twice in one shard", where=key[:100])
        self._keys.add(key)
        for number, (header, data) in enumerate(members):
            if not number:
                self._begin = self._tar.bytes + len(header)
            self._end = self._tar.bytes + len(header) + len(data)
            self._tar.add(header, data)

    def stored(self, members: _Members) -> tuple[Any, list[int]]:
        places = [self._begin, self._end]
        if self._packed:
            return members[0][1], places
        names = (split_name(next(member_names(header), "")) for header, _ in members)
        named = zip(names, members, strict=True)
        return {name[1]: memoryview(data) for name, (_, data) in named if name is not None}, places

    def close(self) -> str:
        self._keys.clear()
        return self._tar.close()

    def abandon(self) -> None:
        """Do nothing: the file is deleted."""


class _Table:
    """Samples as rows of Parquet."""

    def __init__(self) -> None:
        self._rows = ParquetRows()

    def encode(self, sample: object, key: str, own: str | None) -> dict[str, Any]:
        return self._rows.row(sample, key, own)

    def content(self, file: BinaryIO) -> ParquetWriter:
        return ParquetWriter(file, self._rows)


def check_iterable(samples: object) -> None:
    """Check that samples are not a table, which iterates over its columns."""
    if isinstance(samples, Mapping):
        raise InvalidSample("a dict is one sample", hint="write_samples([sample], …); of columns, make dicts of rows")
    for method in ("to_pylist", "to_dicts", "to_dict"):  # pyarrow, polars, pandas
        if hasattr(samples, "columns") and hasattr(samples, method):
            rows = 'to_dict("records")' if method == "to_dict" else f"{method}()"
            what = f"a {type(samples).__name__} iterates over its columns, not its rows"
            raise InvalidSample(what, hint=f"write_samples(table.{rows}, …)")


def _own_key(sample: object) -> str | None:
    """Return the key that a sample has, ``None`` if it has none. Raises :class:`InvalidSample` for an invalid one."""
    key: object = getattr(sample, "__key__", "")
    if key == "" and isinstance(sample, Mapping):
        key = sample.get("__key__", None)
    elif key == "":
        key = None
    if key is None:
        return None
    _check_key(key)
    return str(key)


def _check_key(key: object) -> None:
    fault = _key_fault(key) if isinstance(key, str) else (f"a key of type {type(key).__name__}", "keys are text")
    if fault is not None:
        raise InvalidSample(fault[0], where=ascii(key)[:100], hint=fault[1])


def _key_fault(key: str) -> tuple[str, str | None] | None:
    """Return why some reader would not give this key back, and what to do; ``None`` if all do."""
    name = key.rpartition("/")[2]
    faults = (
        (not name, "an empty key" if not key else "a key that ends with /", None),
        ("." in name, "a key with a dot after its last /, where readers split it", 'write key.replace(".", "_")'),
        (key[:1] == "/" or ".." in key.split("/"), "a key that leads out of its folder", 'write key without ".."'),
        (_CONTROL.search(key), "a key with control characters", None),
        (_SURROGATE.search(key), "a key with half a surrogate pair, which is not Unicode", None),
        (_SKIPPED.match(key), "a key that begins with __…__/, which webdataset skips", None),
        (len(key) > limits.MAX_NAME // 8, f"a key of {len(key):,} characters", None),  # of 4 bytes, in two headers
    )
    return next(((what, hint) for applies, what, hint in faults if applies), None)


def _without_reserved(sample: object) -> object:
    """Return the sample without the items that webdataset adds."""
    if isinstance(sample, Mapping):
        if not isinstance(sample, dict) or any(_is_reserved(name) for name in sample):
            return {name: value for name, value in sample.items() if not _is_reserved(name)}
    elif not hasattr(type(sample), "__packable__"):
        what = f"a sample is a dict or of a packable class, found {type(sample).__name__}"
        raise InvalidSample(what, hint='write_samples({"name": value, …} for … in …)')
    elif reserved := next((name for name in plan_of(type(sample)).by_name if _is_reserved(name)), None):
        what = f"field {reserved[:100]!a}: names like __key__ are not for fields"
        raise InvalidSample(what, hint="give the field another wire name; its key is the attribute __key__ of a sample")
    return sample


def _is_reserved(name: object) -> bool:
    return isinstance(name, str) and name[:2] == "__" and RESERVED.fullmatch(name) is not None


class _ShardFile:
    """A shard that is being written, in a temporary file in its folder."""

    def __init__(self, path: Path, form: ShardFormat, layout: _Layout, builder: ManifestBuilder | None = None) -> None:
        self.path, self.form, self._builder = path, form, builder
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = self.part.open("wb", buffering=1 << 20)
        self._content = layout.content(self._file)
        self._samples = 0
        self._info: ShardInfo | None = None

    def is_full(self, encoded: Any, maxcount: int | None, maxsize: int | None) -> bool:  # noqa: ANN401
        """Return whether the next sample belongs to the next shard."""
        too_long = maxsize is not None and self._content.size_with(encoded) > maxsize
        return too_long or (maxcount is not None and self._samples >= maxcount)

    def add(self, key: str, encoded: Any, maxsize: int | None) -> None:  # noqa: ANN401
        if maxsize is not None and self._content.size_with(encoded) > maxsize:
            what = f"a sample of {self._content.length(encoded)} bytes; a shard has at most {maxsize}"
            raise InvalidSample(what, where=key[:100])
        self._content.add(key, encoded)
        self._samples += 1
        if self._builder is not None:
            raw, places = self._content.stored(encoded)
            if self.form == "parquet":  # without a key of its own, the key of a row is its number
                key = raw.get(KEY, f"{self._samples - 1:0{KEY_DIGITS}d}")
                raw = {name: value for name, value in raw.items() if name != KEY}
            self._builder.add(key, raw, places)

    def finish(self) -> ShardInfo:
        """Finish the file and return its facts; later calls return the same."""
        if self._info is None:
            digest = self._content.close()
            self._file.close()
            self._info = ShardInfo(
                path=self.path, samples=self._samples, bytes=self._content.bytes, sha256=digest, format=self.form
            )
        return self._info

    def write_manifest(self) -> None:
        """Write the manifest beside the finished shard."""
        if self._builder is not None and self._info is not None:
            found = self._builder.finish().of_shard(self._info.sha256, self._info.bytes)
            found.write(*manifest_paths(self.path), self.path.stem)

    def discard(self) -> None:
        """Delete the temporary file."""
        if not self._file.closed:
            self._content.abandon()
        self._file.close()
        self.part.unlink(missing_ok=True)
