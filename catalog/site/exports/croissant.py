"""Croissant 1.1 (http://mlcommons.org/croissant/1.1), the metadata of a dataset for machine learning loaders.

- A sample is a msgpack map, and Croissant can't express a key of such a map. So there is one field, the whole member,
  whose bytes a loader gets; the map's fields annotate it. As its sub-fields they would hide it (``mlcroissant`` then
  gives ``None`` for each and no bytes), as separate fields its bytes are cast to numbers.
- Every file contains the whole context, 1.2 kB: readers refuse a reference to it, and warn of another one.
- A field of a type that Croissant lacks (raw bytes, complex numbers, any array) has no type: unknown ones are errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from catalog import formatting
from catalog.records import BlobStorage, HttpStorage, S3Storage
from catalog.schema import Array, List, Scalar
from catalog.shards.formats.msgpack import MSGPACK, SUFFIX
from catalog.shards.locations import expanded
from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.exports.downloads import downloads
from catalog.site.exports.jsonld import licence_jsonld
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.records import Split
    from catalog.schema import Field, FieldType, SampleType
    from catalog.site.exports.downloads import Download
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode

_CONTEXT: Final = {
    "@language": "en", "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in (
        "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
        "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
        "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
        "source", "subField", "transform",
    )},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"}, "name": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
}  # fmt: skip
"""The standard's own, whole: readers warn of any other."""

_SCALARS: Final = {
    "str": "sc:Text",
    "int": "sc:Integer",
    "float": "sc:Float",
    "bool": "sc:Boolean",
    "datetime": "sc:DateTime",
}
_MEDIA: Final = {"image": "sc:ImageObject", "audio": "sc:AudioObject", "video": "sc:VideoObject"}
"""The first part of a media type → what Croissant calls such content."""
_DTYPES: Final = {
    "bool": "sc:Boolean",
    **{f"int{bits}": f"cr:Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"cr:UInt{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"cr:Float{bits}" for bits in (16, 32, 64)},
    "?": "sc:Boolean", "b1": "sc:Boolean",
    **{f"{code}{size}": f"cr:{name}{size * 8}"
       for code, name, sizes in (("i", "Int", (1, 2, 4, 8)), ("u", "UInt", (1, 2, 4, 8)), ("f", "Float", (2, 4, 8)))
       for size in sizes},
}  # fmt: skip
"""numpy's names, and its codes without their byte order."""
_MEMBERS: Final = "members"
_MOST_FIELDS: Final = 300
_MOST_SHARDS: Final = 1000
_MOST_TABLES: Final = 100
_TABLES: Final = frozenset({"parquet", "csv", "jsonl"})
_MOST_SPLITS: Final = 20
_SPLITS: Final = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}


def croissant(node: DatasetNode, settings: SiteSettings, cite: str | None) -> str:
    """The whole file as text. ``cite`` is how it wants to be cited, in BibTeX."""
    record = node.record
    page = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    shards = downloads(node, _MOST_SHARDS)
    objects = [_file(number, shard, common.media_type(node)) for number, shard in enumerate(shards)]
    sample_type = None if node.schema is None or not objects else node.schema.record.sample_type
    if sample_type is not None and sample_type.foreign is not None:
        sample_type = None
    splits = _splits(node, len(objects))
    parts = [("", range(len(objects))), *((f"-{quote(split.name, safe='')}", split.shards) for split in splits)]
    members = [_members(*part) for part in parts] if record.sample_format == MSGPACK.name else []
    sets = [_split_names(splits)] if splits else []
    if sample_type is not None and record.sample_format == "msgpack":
        sets += [_record_set(sample_type, label) for label, _ in parts]
    elif sample_type is not None and record.sample_format in _TABLES:
        sets += [_rows(sample_type, number, len(objects)) for number in range(min(len(objects), _MOST_TABLES))]
    held: dict[str, object | None] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": common.name(node),
        "description": common.description(node),
        "license": licence_jsonld(record.license),
        "url": page or common.homepage(node) or str(node.uri),
        "identifier": None if node.draft else str(node.uri),
        "creator": common.agents(node),
        # The standard requires it, but a draft isn't published.
        "datePublished": None if node.draft else formatting.day(node.created),
        "version": common.version(node),
        "keywords": common.keywords(node) or None,
        "citeAs": None if cite is None else shown(cite, lines=True),
        # A shard without a checksum may change under its name.
        "isLiveDataset": True if any(shard.sha256 is None for shard in shards) else None,
        "distribution": [*objects, *members] if objects else None,
        "recordSet": sets or None,
    }
    return formatting.compact_json({key: value for key, value in held.items() if value is not None}) + "\n"


def _file(number: int, shard: Download, kind: str) -> dict[str, str]:
    held = {
        "@type": "cr:FileObject",
        "@id": f"{number}",
        "contentUrl": shard.url,
        "encodingFormat": kind,
    }
    if shard.size is not None:
        held["contentSize"] = f"{shard.size} B"
    if shard.sha256 is not None:
        held["sha256"] = shard.sha256
    elif shard.md5 is not None:
        held["md5"] = shard.md5
    return held


def _splits(node: DatasetNode, count: int) -> list[Split]:
    """Return the splits whose shards are all among the first ``count``, the files of the document."""
    storage = expanded(node.record.storage, strict=False)
    total = len(storage.blobs) if isinstance(storage, BlobStorage) else 0
    if isinstance(storage, HttpStorage | S3Storage):
        total = len(storage.shards)
    if count != min(total, _MOST_SHARDS):  # some have no URL, and the numbers mean others
        return []
    found = {name: split for split in node.record.splits[:_MOST_SPLITS] if (name := shown(split.name))}
    named = (replace(split, name=name) for name, split in found.items())
    return [split for split in named if split.shards and max(split.shards) < count]


def _split_names(splits: Sequence[Split]) -> dict[str, object]:
    """Return the record set that lists the splits, with the standard's own address of each that it knows."""
    rows = [{"splits/name": split.name, "splits/url": _SPLITS.get(split.name, "cr:Split")} for split in splits]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": rows,
    }


def _members(label: str, numbers: Iterable[int]) -> dict[str, object]:
    return {
        "@type": "cr:FileSet",
        "@id": _MEMBERS + label,
        "containedIn": [{"@id": f"{number}"} for number in numbers],
        "encodingFormat": "application/vnd.msgpack",
        "includes": f"*{SUFFIX}",
    }


@lru_cache(maxsize=512)  # the same for all datasets of a schema
def _record_set(sample_type: SampleType, label: str) -> dict[str, object]:
    whole: dict[str, object] = {
        "@type": "cr:Field",
        "@id": f"sample{label}",
        "description": "The bytes of a msgpack map; the annotations say what lies under its keys.",
        "dataType": "sc:Text",
        "source": {"fileSet": {"@id": _MEMBERS + label}, "extract": {"fileProperty": "content"}},
    }
    fields = [
        _field(f"sample{label}/{number}", field) for number, field in enumerate(sample_type.fields[:_MOST_FIELDS])
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": f"samples{label}",
        "name": shown(sample_type.name) + unquote(label).replace("-", " ", 1),
        "field": [whole | {"cr:annotation": fields} if fields else whole],
    }


@lru_cache(maxsize=512)
def _rows(sample_type: SampleType, number: int, count: int) -> dict[str, object]:
    name = "rows" if count == 1 else f"rows/{number}"
    columns = [
        (field, typed) for field in sample_type.fields[:_MOST_FIELDS] if "dataType" in (typed := _typed(field.type))
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": shown(sample_type.name),
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{place}",
                "name": shown(field.name),
                **({} if field.description is None else {"description": shown(field.description)}),
                **typed,
                "source": {"fileObject": {"@id": f"{number}"}, "extract": {"column": field.name}},
            }
            for place, (field, typed) in enumerate(columns)
        ],
    }


def _field(place: str, field: Field) -> dict[str, object]:
    held: dict[str, object] = {"@type": "cr:Field", "@id": place, "name": shown(field.name)}
    if field.description is not None:
        held["description"] = shown(field.description)
    return held | _typed(field.type)


def _typed(type_: FieldType) -> dict[str, object]:
    shape: list[int] = []
    listed = False
    while isinstance(type_, List):
        listed, type_ = True, type_.item
        shape.append(-1)
    kind = _scalar(type_) if isinstance(type_, Scalar) else None
    if isinstance(type_, Array):
        listed = True
        known = type_.shape is not None
        shape = [*shape, *(-1 if length is None else length for length in type_.shape or ())] if known else []
        kind = _DTYPES.get((type_.dtype or "").lstrip("<>|="))
    held: dict[str, object] = {} if kind is None else {"dataType": kind}
    if listed:
        held |= {"isArray": True, "arrayShape": ",".join(map(str, shape)) if shape else "-1"}
    return held


def _scalar(scalar: Scalar) -> str | None:
    if scalar.media is not None:
        return _MEDIA.get(scalar.media.partition("/")[0])
    return _SCALARS.get(scalar.kind)
