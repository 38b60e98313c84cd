"""Infer a manifest from shards: fields and counts from the data, TODO comments for everything else.

::

    paths, patterns, URLs ─▶ shards ─▶ hashed, counted ─┐
                                └────▶ samples ─▶ fields ┴─▶ YAML with comments ─▶ catalog validate

Each shard is read once, completely. Its format is recognised by its first bytes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlsplit

from catalog.errors import DataError, InvalidShard, RefusedUrl
from catalog.manifest.blobs import MAX_BLOB, packed_with, size_of
from catalog.manifest.drafts import BucketDraft
from catalog.manifest.shards import MAX_SHARDS, https_fault, key_fault
from catalog.samples.inference import Inference
from catalog.samples.packing import DictSample, reader
from catalog.schema import Array
from catalog.shards.braces import expand, expand_ranges
from catalog.shards.files import shard_files
from catalog.shards.formats import opened
from catalog.shards.s3 import S3Object
from catalog.shards.shard import Shard, display_url
from catalog.shards.source import HashingSource
from catalog.shards.storage import open_shard, shared_client

if TYPE_CHECKING:
    from catalog.config import NetworkSettings
    from catalog.network.http import Client
    from catalog.samples.inference import LeftOut
    from catalog.schema import Field
    from catalog.shards.formats import Raw
    from catalog.shards.source import Source

NOWHERE: Final = "https://change-me.example/"
"""URL prefix until the author sets one; a host that never resolves (RFC 2606)."""

_S3: Final = "s3://"
_SOON: Final = 1000
"""Members without a sample after which a shard is rejected."""
_SHOWN_KINDS: Final = 6
_REMOTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_MAX_NAME: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundShard:
    """A shard that was read. ``local`` is its file, ``None`` for one at a URL."""

    url: str
    local: Path | None
    sha256: str
    bytes: int
    samples: int


class SeenFields(Protocol):
    """The fields of the samples that were read: inferred by :class:`~catalog.samples.inference.Inference`, or known."""

    @property
    def samples(self) -> int: ...  # noqa: D102 - as Inference has them
    @property
    def fields(self) -> tuple[Field, ...]: ...  # noqa: D102
    @property
    def left_out(self) -> tuple[LeftOut, ...]: ...  # noqa: D102
    @property
    def missing(self) -> Collection[str]: ...  # noqa: D102
    def present(self, name: str) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """The inferred contents of shards. ``name`` is the dataset's, ``seen`` the type inferred from the samples read.

    ``others`` are the kinds of members that are no samples, such as ``.json``; they are skipped. ``schema`` is the name
    of the sample type, ``None`` if not given, as shards don't have it. ``dimensions`` are names of axes, by field.
    ``bucket`` is the bucket of ``s3://`` URLs; ``as_blobs``: publishing uploads the files. ``format`` is that of the
    shards, ``command`` the one that makes the draft; ``dotted`` is a key with a dot, which ``webdataset`` would split.
    """

    name: str
    shards: tuple[FoundShard, ...]
    seen: SeenFields
    others: tuple[str, ...]
    schema: str | None = None
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bucket: BucketDraft | None = None
    as_blobs: bool = False
    format: str = "msgpack"
    command: str = "catalog manifest from-shards"
    dotted: str | None = None

    @property
    def samples(self) -> int:
        """Return the number of all samples, also of those that weren't decoded."""
        return sum(shard.samples for shard in self.shards)


def sketch(
    places: Sequence[str],
    *,
    settings: NetworkSettings,
    url_prefix: str | None = None,
    name: str | None = None,
    schema: str | None = None,
    dimensions: Mapping[str, tuple[str, ...]] | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    samples_per_shard: int | None = None,
    as_blobs: bool = False,
    progress: Callable[[str], object] | None = None,
) -> Sketch:
    """Read shards: files, folders, ``https`` and ``s3`` URLs, brace patterns of them, glob patterns of files.

    Files will be at ``url_prefix`` and their own name. ``endpoint`` and ``region`` are those of an ``s3://bucket``; the
    default endpoint is the environment's, or AWS. ``schema`` names the sample type, and ``dimensions`` the axes of its
    arrays, by field, as shards have neither. All samples are decoded, or the first ``samples_per_shard`` of each shard.
    ``as_blobs``: publishing uploads the files to the PDS. ``progress`` gets a line for each shard.

    Raises :class:`~catalog.errors.DataError` (no such file; not a shard, or one with other samples; name conflicts;
    more than one bucket; axis names for fields that aren't arrays), or a :class:`~catalog.errors.NetworkError`.
    """
    found = _found(places, progress or str)
    urls = blob_names(found) if as_blobs else shard_urls(found, url_prefix)
    bucket = _bucket(urls, endpoint, region)
    shards: list[FoundShard] = []
    remote = any(isinstance(place, str) for place in found)
    with shared_client(settings) if remote else nullcontext() as client:
        shard_reader = _ShardReader(client, samples_per_shard, bucket)
        for number, (place, url) in enumerate(zip(found, urls, strict=True), start=1):
            shards.append(shard_reader.read(place, url))
            if progress is not None:
                samples = "1 sample" if shards[-1].samples == 1 else f"{shards[-1].samples:,} samples"
                progress(f"{number:,} of {len(found):,}: {display_url(str(place))}, {samples}")
    seen = shard_reader.seen
    if not seen.samples:
        raise InvalidShard("there is no sample in it", where=display_url(str(found[0])))
    if not seen.fields:
        what = "; ".join(f"{one.name!a}: {one.why}" for one in seen.left_out[:5]) or "the samples are empty"
        raise DataError(f"no field of these samples has a type: {what}", where=display_url(str(found[0])))
    axes = dimensions or {}
    _check_axes(seen, axes)
    return Sketch(
        name=name or _name(found[0], places[0]),
        shards=tuple(shards),
        seen=seen,
        others=tuple(kind for kind, _ in shard_reader.others.most_common(_SHOWN_KINDS)),
        schema=schema,
        dimensions=axes,
        bucket=bucket,
        as_blobs=as_blobs,
        format=shard_reader.format or "msgpack",
        dotted=shard_reader.dotted,
    )


def _check_axes(seen: SeenFields, axes: Mapping[str, tuple[str, ...]]) -> None:
    """Check that the named axes are those of arrays."""
    types = {field.name: field.type for field in seen.fields}
    for name, names in axes.items():
        type_ = types.get(name)
        if type_ is None:
            hint = f"its fields are {', '.join(types)}"[:300]
            raise DataError(f"no field is called {name!a}, whose axes are named", hint=hint)
        shape = type_.shape if isinstance(type_, Array) else None
        if shape is None or len(shape) != len(names):
            what = f"has {len(shape)}" if shape else "has no fixed number of axes"
            raise DataError(f"{len(names)} names for the axes of {name!a}, which {what}")


def _found(places: Iterable[str], say: Callable[[str], object]) -> list[str | Path]:
    """Return files and URLs, patterns expanded, each once. ``say`` gets a line for files that are left out."""
    found: dict[str | Path, None] = {}
    for place in places:
        if _REMOTE.match(place) and not Path(place).exists():
            found.update(dict.fromkeys(_addresses(place)))
        else:
            files = shard_files(place, say)
            for file in files:
                _check_path(file)
            found.update(dict.fromkeys(files))
        if len(found) > MAX_SHARDS:
            raise DataError(f"more than {MAX_SHARDS:,} shards", hint="make larger ones")
    if not found:
        raise DataError("no shard was named")
    return list(found)


def _addresses(pattern: str) -> tuple[str, ...]:
    urls = expand(pattern)
    for url in urls:
        fault = _s3_fault(url) if url.startswith(_S3) else https_fault(url)
        if fault is not None:
            raise RefusedUrl(fault[0], hint=fault[1])
    return urls


def _s3_fault(url: str) -> tuple[str, str | None] | None:
    """Return the fault of ``s3://bucket/key``, as a URL or in a manifest."""
    key = S3Object.parse(url, None, None).key
    if expand_ranges(key) != [key]:
        return f"the braces in {display_url(url)!r} would be a pattern", "copy the object to another key"
    return key_fault(key)


def _bucket(urls: Sequence[str], endpoint: str | None, region: str | None) -> BucketDraft | None:
    """Return the bucket of all shards, ``None`` for https URLs."""
    buckets = {url[len(_S3) :].partition("/")[0] if url.startswith(_S3) else None for url in urls}
    if len(buckets) > 1:
        hint = "a dataset's shards are in one bucket, or at https addresses; --url-prefix says where files will be"
        raise DataError("the shards are in several places", hint=hint)
    (name,) = buckets
    if name is None:
        if endpoint is not None or region is not None:
            raise DataError("an endpoint or region is for shards in a bucket", hint="s3://bucket/key")
        return None
    place = S3Object.parse(urls[0], endpoint, region)
    return BucketDraft(name=name, endpoint=place.endpoint, region=place.region)


def _check_path(file: Path) -> None:
    """Return whether a manifest can name a file: names are UTF-8, and some braces are a pattern."""
    text = str(file)
    if not text.isprintable() or text != text.strip():
        raise InvalidShard("a name that is no plain text", where=ascii(text)[1:200], hint="rename the file")
    if expand_ranges(text) != [text]:
        raise InvalidShard("the braces in its name would be a pattern", where=display_url(text), hint="rename the file")


def shard_urls(found: Sequence[str | Path], prefix: str | None) -> list[str]:
    """Return the URL of each shard, or its future one below ``prefix``. Raises :class:`RefusedUrl`, DataError."""
    base = NOWHERE if prefix is None else prefix if prefix.endswith(("/", "=")) else f"{prefix}/"
    in_bucket = base.startswith(_S3)
    fault = _s3_fault(f"{base}x") if in_bucket else https_fault(base)
    if fault is not None:
        raise RefusedUrl(fault[0], hint=fault[1])
    names = (place if isinstance(place, str) else place.name if in_bucket else quote(place.name) for place in found)
    urls = [name if isinstance(place, str) else base + name for place, name in zip(found, names, strict=True)]
    url, count = Counter(urls).most_common(1)[0]
    if count > 1:
        what = f"{count} shards would have one address"
        raise DataError(what, where=display_url(url), hint="give them different names")
    return urls


def blob_names(found: Sequence[str | Path]) -> list[str]:
    """Return the files to upload as blobs. Raises :class:`InvalidShard` for what can't be one."""
    for place in found:
        if isinstance(place, str):
            hint = "leave out --blobs: the shards stay where they are"
            raise InvalidShard("only files on this machine become blobs", where=display_url(place), hint=hint)
        size = size_of(place)
        if size is not None and size > MAX_BLOB:
            what = f"a file of {size:,} bytes; a blob has at most {MAX_BLOB:,}"
            hint = "make smaller shards, or put them on a web server or in a bucket (--url-prefix)"
            raise InvalidShard(what, where=display_url(str(place)), hint=hint)
        if (packed := packed_with(place)) is not None:
            what, hint = f"a file packed with {packed}, which can't be a blob", "unpack it, or use --url-prefix"
            raise InvalidShard(what, where=display_url(str(place)), hint=hint)
    return [str(place) for place in found]


def _name(place: str | Path, named: str) -> str:
    """Return a name from the first shard: ``digits`` of ``…/digits-000000.tar``.

    The shards of a folder or pattern, which ``named`` is then, may have only numbers: the name is that of the folder.
    """
    file = place.name if isinstance(place, Path) else urlsplit(place).path.rpartition("/")[2]
    stem = re.sub(r"\.(tar|tgz|parquet|csv|tsv|data|jsonl|ndjson)(\.gz)?$", "", file)
    plain = re.sub(r"[-_.]*[0-9]+$", "", stem)
    if not plain:
        in_folder = isinstance(place, Path) and not Path(named).is_file()
        plain = place.absolute().parent.name if in_folder and isinstance(place, Path) else stem
    return plain[:_MAX_NAME].strip() or "dataset"


class _ShardReader:
    """Reads shards, and infers the fields of their samples."""

    def __init__(self, client: Client | None, most: int | None, bucket: BucketDraft | None) -> None:
        self._client, self._most = client, most
        self._bucket = bucket or BucketDraft(name="")
        self.seen = Inference()
        self.others = Counter[str]()
        self.format: str | None = None
        self.dotted: str | None = None

    def read(self, place: str | Path, url: str) -> FoundShard:
        """Read a shard to its end."""
        local = place if isinstance(place, Path) else None
        path = None if local is None else os.path.abspath(local)  # noqa: PTH100 - a link keeps its name
        shard = Shard(url=path or url, endpoint=self._bucket.endpoint, region=self._bucket.region)
        with open_shard(shard, client=self._client) as source:
            hashing = HashingSource(source)
            samples = self._samples(hashing, display_url(str(place)))
            sha256 = hashing.finish()
        return FoundShard(url=url, local=local, sha256=sha256, bytes=hashing.bytes, samples=samples)

    def _samples(self, source: Source, where: str) -> int:
        form, source = opened(source, None, where)
        if self.format not in (None, form.name):
            what = f"its format is {form.name}, that of the shards before {self.format}"
            raise InvalidShard(what, where=where, hint="a dataset has one format: draft a manifest for each")
        self.format = form.name
        stated = form.infer(source, where, self._most)
        if stated is not None:
            self.seen.add_stated(stated, text=form.name == "csv")
            return stated.total
        read = reader(form, DictSample)
        count = 0
        others = Counter[str]()

        def on_other(name: str) -> None:
            others[_kind(name)] += 1
            if not count and others.total() >= _SOON:
                raise InvalidShard("no member is a sample", where=where)

        for key, raw in form.samples(source, where, on_other=on_other, whole=True):
            if self._most is None or count < self._most:
                self._add(read, raw, key, where)
            if form.name == "msgpack" and self.dotted is None and "." in key.rpartition("/")[2]:
                self.dotted = key
            count += 1
        self.others.update(others)
        return count

    def _add(self, read: Callable[[Any, str], DictSample], raw: Raw, key: str, where: str) -> None:
        try:
            self.seen.add_values(read(raw, ""), "")
        except DataError as error:
            error.where = f"{where}, sample {ascii(key)[1:-1][:100]}"
            raise


def _kind(name: str) -> str:
    """Return WebDataset's field of a member: everything after the first dot of its file name."""
    _, dot, kind = name.rpartition("/")[2].partition(".")
    return ascii(dot + kind)[1:-1][:30] if kind else "without a suffix"
