"""The catalog as DCAT 3 in Turtle (https://www.w3.org/TR/vocab-dcat-3/), along DCAT-AP 3.0.1, a thousand datasets a
file.

The identifier of a dataset is the address of its page with ``#dataset`` if the site's address is known, else the
record's at:// URI. Resources that DCAT-AP requires to be typed (licences, media types, pages) are typed once a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.exports.downloads import downloads, uri
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.site.exports.downloads import Download
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode, Graph

_EACH: Final = 1000
_MOST_SHARDS: Final = 1
_LONGEST: Final = 300
_PREFIXES: Final = """\
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
_TAR: Final = "<https://www.iana.org/assignments/media-types/application/x-tar>"
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = re.compile(r'[\\"\n\r\t]')


def dcat_files(graph: Graph, settings: SiteSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the files: path from the site's root, and the function that returns the text."""
    datasets = [node for node in graph.datasets if not node.draft]
    parts = [datasets[start : start + _EACH] for start in range(0, len(datasets), _EACH)]
    yield "catalog.ttl", partial(_root, graph, len(parts), settings)
    for number, part in enumerate(parts, 1):
        yield f"catalog/dcat-{number}.ttl", partial(_part, number, part, settings)


def _root(graph: Graph, parts: int, settings: SiteSettings) -> str:
    about = settings.description or f"{formatting.counted(len(graph.datasets), 'dataset')} on the AT Protocol"
    listed = ", ".join(f"<catalog/dcat-{number}.ttl>" for number in range(1, parts + 1))
    catalogs = f" ;\n  dcat:catalog {listed}" if parts else ""
    return (
        f"{_PREFIXES}\n<> a dcat:Catalog ;\n  dct:title {_literal(settings.name)} ;\n"
        f"  dct:description {_literal(about)} ;\n"
        f"  dct:publisher [ a foaf:Agent ; foaf:name {_literal(settings.name)} ]{catalogs} .\n{_homepage(settings)}"
    )


def _homepage(settings: SiteSettings) -> str:
    return "" if settings.url is None else f"<> foaf:homepage {_iri(settings.url)} .\n{_document(settings.url)}"


def _document(page: str) -> str:
    return f"{_iri(page)} a foaf:Document .\n"


def _part(number: int, part: Sequence[DatasetNode], settings: SiteSettings) -> str:
    named = ",\n    ".join(_name(node, settings) for node in part)
    head = (
        f"<> a dcat:Catalog ;\n  dct:title {_literal(f'{settings.name}, part {number}')} ;\n"
        f"  dct:description {_literal(f'{len(part)} datasets')} ;\n"
        f"  dct:publisher [ a foaf:Agent ; foaf:name {_literal(settings.name)} ] ;\n"
        f"  dct:isPartOf <../catalog.ttl> ;\n  dcat:dataset {named} .\n"
    )
    texts = {common.licence(node.license) for node in part} - {None}
    typed = f"\n{_TAR} a dct:MediaType .\n" + "".join(
        f"<{text}> a dct:LicenseDocument .\n" for text in sorted(map(str, texts))
    )
    return f"{_PREFIXES}\n{head}{''.join(_dataset(node, settings) for node in part)}{typed}"


def _dataset(node: DatasetNode, settings: SiteSettings) -> str:
    record = node.record
    page = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    version = common.version(node)
    pairs = [
        ("a", "dcat:Dataset"),
        ("dct:identifier", _literal(str(node.uri))),
        ("dct:title", _literal(common.name(node))),
        ("dct:description", _literal(common.description(node, longest=_LONGEST))),
        ("dct:publisher", f"[ a foaf:Agent ; foaf:name {_literal(node.publisher.shown)} ]"),
        ("dct:issued", f'"{formatting.day(node.created)}"^^xsd:date'),
        ("dct:modified", f'"{formatting.day(node.updated)}"^^xsd:date'),
        ("dcat:keyword", ", ".join(map(_literal, common.keywords(node)))),
        ("dcat:version", "" if version is None else _literal(version)),
        ("dcat:landingPage", "" if page is None else _iri(page)),
        (
            "dcat:distribution",
            ", ".join(_distribution(shard, record.license) for shard in downloads(node, _MOST_SHARDS)),
        ),
    ]
    lines = " ;\n  ".join(f"{name} {value}" for name, value in pairs if value)
    return f"\n{_name(node, settings)} {lines} .\n{'' if page is None else _document(page)}"


def _distribution(shard: Download, licence: str | None) -> str:
    text = common.licence(licence)
    held = "" if text is None else f"; dct:license <{text}> "
    size = "" if shard.size is None else f'; dcat:byteSize "{shard.size}"^^xsd:nonNegativeInteger '
    place = f"dcat:accessURL <{shard.url}> ; dcat:downloadURL <{shard.url}>"
    return f"[ a dcat:Distribution ; {place} ; dcat:mediaType {_TAR} {size}{held}]"


def _name(node: DatasetNode, settings: SiteSettings) -> str:
    page = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    return _iri(str(node.uri) if page is None else f"{page}#dataset")


def _iri(text: str) -> str:
    return f"<{uri(text)}>"


def _literal(text: str) -> str:
    return '"' + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], shown(text)) + '"'
