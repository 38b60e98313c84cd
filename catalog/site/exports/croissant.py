"""Croissant 1.1 (http://mlcommons.org/croissant/1.1): a dataset as loaders for machine learning read it.

::

    FileObject   one a shard ──▶ FileSet   *.msgpack in them ──▶ RecordSet   a sample, its fields with their types

A sample is a msgpack map, and Croissant has no words for a key of such a map. So there is one field, the whole member,
and the map's are its sub-fields, which say what they hold.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.sampletype import Array, List, Scalar
from catalog.site import addresses, figures
from catalog.site.exports import words
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.graph import DatasetNode
    from catalog.records import Checksum
    from catalog.sampletype import Field, FieldType, SampleType
    from catalog.site.settings import SiteSettings

__all__ = ["croissant"]

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
    "str": "sc:Text", "int": "sc:Integer", "float": "sc:Float", "bool": "sc:Boolean", "bytes": "sc:MediaObject",
}  # fmt: skip
_DTYPES: Final = {
    "bool": "sc:Boolean",
    **{f"int{bits}": f"cr:Int{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"cr:UInt{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"cr:Float{bits}" for bits in (16, 32, 64)},
}  # fmt: skip
_MEMBERS: Final = "members"
_MOST_FIELDS: Final = 300
_MOST_SHARDS: Final = 1000
_UNDATED: Final = "1970-01-01"
"""A draft was published on no day; the standard wants one."""


def croissant(node: DatasetNode, settings: SiteSettings, cite: str | None) -> str:
    """The whole file as text. ``cite`` is how it wants to be cited, in BibTeX."""
    record = node.record
    page = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    shards = list(words.web_shards(node))[:_MOST_SHARDS]
    objects = [_file(number, url, checksum) for number, (url, checksum) in enumerate(shards)]
    held: dict[str, object | None] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": shown(record.name),
        "description": words.description(node),
        "license": None if record.license is None else words.licence_url(record.license),
        "url": page or words.homepage(node) or str(node.uri),
        "identifier": str(node.uri),
        "creator": words.agents(node),
        "datePublished": _UNDATED if node.draft else figures.day(node.created),
        "version": words.version(node),
        "keywords": [shown(tag) for tag in record.tags] or None,
        "citeAs": cite,
        # A shard without a checksum may change under its name.
        "isLiveDataset": True if any("sha256" not in held for held in objects) else None,
        "distribution": [*objects, _members(len(objects))] if objects else None,
        "recordSet": [_record_set(node.schema.record.sample_type)] if objects and node.schema is not None else None,
    }
    return words.compact({key: value for key, value in held.items() if value is not None}) + "\n"


def _file(number: int, url: str, checksum: Checksum | None) -> dict[str, str]:
    held = {
        "@type": "cr:FileObject",
        "@id": f"{number}",
        "name": shown(words.file_name(url)),
        "contentUrl": shown(url),
        "encodingFormat": "application/x-tar",
    }
    is_sha256 = checksum is not None and checksum.algorithm == "sha256"
    return held | {"sha256": checksum.digest} if checksum is not None and is_sha256 else held


def _members(count: int) -> dict[str, object]:
    return {
        "@type": "cr:FileSet",
        "@id": _MEMBERS,
        "containedIn": [{"@id": f"{number}"} for number in range(count)],
        "encodingFormat": "application/vnd.msgpack",
        "includes": "*.msgpack",
    }


@lru_cache(maxsize=512)  # the same for all datasets of a schema
def _record_set(sample_type: SampleType) -> dict[str, object]:
    whole = {
        "@type": "cr:Field",
        "@id": "sample",
        "name": "sample",
        "source": {"fileSet": {"@id": _MEMBERS}, "extract": {"fileProperty": "content"}},
    }
    fields = [_field(number, field) for number, field in enumerate(sample_type.fields[:_MOST_FIELDS])]
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": shown(sample_type.name),
        "description": "One sample is one .msgpack member of a shard: a map with these fields.",
        "field": [whole | {"subField": fields} if fields else whole],
    }


def _field(number: int, field: Field) -> dict[str, object]:
    held: dict[str, object] = {"@type": "cr:Field", "@id": f"sample/{number}", "name": shown(field.name)}
    if field.description is not None:
        held["description"] = shown(field.description)
    return held | _typed(field.type)


def _typed(type_: FieldType) -> dict[str, object]:
    shape: list[int] = []
    listed = False
    while isinstance(type_, List):
        listed, type_ = True, type_.item
        shape.append(-1)
    if isinstance(type_, Array):
        listed = True
        known = type_.shape is not None
        shape = [*shape, *(-1 if length is None else length for length in type_.shape or ())] if known else []
        kind = _DTYPES.get(type_.dtype or "", "sc:Number")
    else:
        kind = _SCALARS[type_.kind] if isinstance(type_, Scalar) else "sc:Text"
    if not listed:
        return {"dataType": kind}
    return {"dataType": kind, "isArray": True, "arrayShape": ",".join(map(str, shape)) if shape else "-1"}
