"""Write an inferred manifest as YAML: valid, with a comment for each decision of the author."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from catalog.errors import DataError
from catalog.formatting import counted
from catalog.manifest.publishable import repository_root
from catalog.manifest.shards import https_fault
from catalog.manifest.splits import infer_splits
from catalog.manifest.yaml_parser import MAX_BYTES
from catalog.publish.infer_manifest import NOWHERE
from catalog.schema import Array, Field, type_text
from catalog.shards.shard import display_url
from catalog.shards.split_names import split_in_path

if TYPE_CHECKING:
    from catalog.manifest.drafts import BucketDraft
    from catalog.publish.infer_manifest import FoundShard, Sketch

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ .-][A-Za-z0-9_]+)*")
_NO_TEXT: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_LONG_KEY: Final = 100
"""A simple key of YAML has at most 1024 characters on one line; longer ones have another form."""
_SHOWN_NAME: Final = 60
_SCHEMA_NAME: Final = 90
_TABLES: Final = frozenset({"parquet", "csv", "jsonl"})


def as_yaml(sketch: Sketch, folder: Path) -> str:
    """Return the text of a manifest in ``folder``: paths of local copies are relative to it.

    Raises :class:`DataError` if it would exceed the size limit of manifests.
    """
    text = "\n".join([*_head(sketch), "", *_schema(sketch), "", *_dataset(sketch, folder)]) + "\n"
    size = len(text.encode())
    if size > MAX_BYTES:
        hint = "make larger shards, or write a brace pattern for them yourself"
        raise DataError(f"the manifest would have {size:,} bytes; the most is {MAX_BYTES:,}", hint=hint)
    return text


def _head(sketch: Sketch) -> Iterator[str]:
    looked = f"; the types fit all {sketch.seen.samples:,}" if sketch.format in _TABLES else ""
    if sketch.seen.samples != sketch.samples:
        looked = f", {sketch.seen.samples:,} of which were looked at"
    yield f"# The first draft of a manifest, made by: {sketch.command}"
    yield f"# {counted(len(sketch.shards), 'shard')} with {counted(sketch.samples, 'sample')}{looked}."
    yield "# TODO marks what only you can know; then: catalog validate, catalog plan, catalog publish."
    if sketch.others:
        skipped = "all but .msgpack" if sketch.format == "msgpack" else "members that belong to no sample"
        yield f"# In the shards are also {', '.join(sketch.others)}; readers pass over {skipped}."
    if sketch.dotted is not None:
        key = _quoted(sketch.dotted[:_SHOWN_NAME])
        yield f"# Keys have dots ({key}): the webdataset library splits a key at its first dot, so it"
        yield "# can't read these shards; this library can. Write them with other keys to be read by both."
    for hint in sorted(sketch.seen.missing):
        yield f"# Some bytes may be arrays: {hint}"


def _schema(sketch: Sketch) -> Iterator[str]:
    yield "schemas:"
    if sketch.schema is None:
        yield "    # TODO: the name of your class, here and below; shards don't hold it (--schema NAME writes it)"
    yield f"  - name: {_schema_name(sketch)}"
    yield "    version: 1.0.0  # a published version never changes: a changed field needs a new one"
    yield "    # TODO: what one sample is, and where its values come from; Markdown"
    yield "    # description: …"
    yield "    # TODO: under which licence others may use this schema"
    yield "    # license: CC0-1.0"
    yield "    # tags: []"
    yield "    fields:"
    for field in sketch.seen.fields:
        yield from _field(field, sketch)
    for left_out in sketch.seen.left_out:
        yield f"      # {_quoted(left_out.name)[:_SHOWN_NAME]} is left out: {left_out.why}"
    if sketch.seen.left_out:
        yield "      # (readers pass over fields that a schema doesn't name)"


def _field(field: Field, sketch: Sketch) -> Iterator[str]:
    name = _text(field.name)
    if len(name) > _LONG_KEY:
        yield f"      ? {name}"
        start = "      :"
    else:
        start = f"      {name}:"
    present, looked = sketch.seen.present(field.name), sketch.seen.samples
    comment = f"  # in {present:,} of {looked:,} samples" if field.optional and present < looked else ""
    type_ = type_text(field.type, optional=field.optional)
    form = field.type.format if isinstance(field.type, Array) else "ndarrayBytes"
    shape = field.type.shape if isinstance(field.type, Array) else None
    if form == "ndarrayBytes" and not shape and field.description is None:
        yield f"{start} {type_}{comment}"
        return
    yield f"{start}{comment}" if not start.endswith(" :") else f"{start} # a map{comment}"
    yield f"        type: {type_}"
    if field.description is not None:
        yield f"        description: {_quoted(field.description)}"
    if form != "ndarrayBytes":
        yield f"        format: {form}"
    if field.name in sketch.dimensions:
        yield f"        dimensions: [{', '.join(_quoted(name) for name in sketch.dimensions[field.name])}]"
    elif shape:
        yield "        # TODO: what its axes are (--dims FIELD=y,x writes it)"
        yield f"        # dimensions: [{', '.join(f'axis{number}' for number in range(len(shape)))}]"


def _dataset(sketch: Sketch, folder: Path) -> Iterator[str]:
    yield "datasets:"
    yield f"  - name: {_text(sketch.name)}"
    yield f"    schema: {_schema_name(sketch)}@1.0.0"
    yield "    version: 1.0.0"
    yield "    # TODO: what is in it, how it was made, what it is good for; Markdown"
    yield "    # description: |"
    yield "    #   …"
    yield "    # TODO: under which licence others may use the data"
    yield "    # license: CC-BY-4.0"
    yield "    # tags: []"
    yield "    # metadata: {homepage: https://…, creators: […], citation: …}"
    if sketch.format != "msgpack":
        yield f"    format: {sketch.format}"
    yield f"    samples: {sketch.samples}"
    yield from _splits(sketch, folder)
    if sketch.bucket is not None:
        yield from _bucket(sketch, sketch.bucket, folder)
        return
    if sketch.as_blobs:
        yield from _blobs(sketch, folder)
        return
    yield "    shards:"
    if any(shard.url.startswith(NOWHERE) for shard in sketch.shards):
        yield "      # TODO: where the shards will be; --url-prefix writes it for all of them, and --blobs"
        yield "      # has them uploaded to your PDS"
    for shard in sketch.shards:
        yield f"      - url: {_text(shard.url)}"
        yield from _file(shard, folder, "        ")


def _splits(sketch: Sketch, folder: Path) -> Iterator[str]:
    places = [_place(shard, sketch, folder) for shard in sketch.shards]
    found = infer_splits(places)
    if found:
        yield "    splits:  # by the names of the shards"
    for name, patterns in found.items():
        of_split = [
            shard.samples for shard, place in zip(sketch.shards, places, strict=True) if split_in_path(place) == name
        ]
        texts = [_quoted(pattern) for pattern in patterns]
        listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        yield f"      {_text(name)}: {{shards: {listed}, samples: {sum(of_split)}}}"


def _place(shard: FoundShard, sketch: Sketch, folder: Path) -> str:
    return _relative(shard.local, folder) if sketch.as_blobs and shard.local is not None else shard.url


def _blobs(sketch: Sketch, folder: Path) -> Iterator[str]:
    """Yield the files to upload, which must be in the repository of the manifest: their bytes become public."""
    root = repository_root(folder)
    yield "    blobs:  # publishing uploads these files to your PDS"
    for shard in sketch.shards:
        if shard.local is not None and not shard.local.resolve().is_relative_to(root):
            what = "the file is outside the repository of the manifest, and publishing would refuse to upload it"
            raise DataError(what, where=display_url(str(shard.local)), hint="write the manifest beside it with -o")
        first, *others = _file(shard, folder, "        ")
        yield f"      - {first.strip()}"
        yield from others


def _bucket(sketch: Sketch, bucket: BucketDraft, folder: Path) -> Iterator[str]:
    yield "    s3:"
    yield f"      bucket: {_text(bucket.name)}"
    if bucket.region is not None:
        yield f"      region: {_text(bucket.region)}"
    if bucket.endpoint is not None and https_fault(bucket.endpoint) is None:
        yield f"      endpoint: {_text(bucket.endpoint)}"
    elif bucket.endpoint is not None:
        yield f"      # TODO: the https address by which others reach {_text(bucket.endpoint)}"
        yield "      # endpoint: https://…"
    yield "      keys:"
    for shard in sketch.shards:
        yield f"        - key: {_text(shard.url.removeprefix(f's3://{bucket.name}/'))}"
        yield from _file(shard, folder, "          ")


def _file(shard: FoundShard, folder: Path, margin: str) -> Iterator[str]:
    if shard.local is not None:
        yield f"{margin}local: {_text(_relative(shard.local, folder))}"
    yield f"{margin}sha256: {_text(shard.sha256)}"
    yield f"{margin}bytes: {shard.bytes}"


def _relative(file: Path, folder: Path) -> str:
    try:
        return os.path.relpath(file, folder).replace(os.sep, "/")
    except ValueError:  # another drive on Windows
        return str(file.absolute())


def _schema_name(sketch: Sketch) -> str:
    """Return a name for the sample type: ``DigitsSample`` for ``digits``; letters and digits only."""
    if sketch.schema is not None:
        return sketch.schema
    words = re.findall(r"[A-Za-z0-9]+", sketch.name)
    joined = "".join(word[0].upper() + word[1:] for word in words)[:_SCHEMA_NAME]
    return f"{joined}Sample" if joined[:1].isalpha() else "Sample"


def _text(text: str) -> str:
    """Return a text in YAML: plain if that is safe, else in quotes, on one line."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT and len(text) < _LONG_KEY:
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    dumped: str = yaml.dump(text, Dumper=yaml.SafeDumper, default_style='"', allow_unicode=False, width=float("inf"))
    return dumped.rstrip("\n")
