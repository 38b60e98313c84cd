"""The catalog as DCAT 3 in Turtle (https://www.w3.org/TR/vocab-dcat-3/), along DCAT-AP 3.0.1, a thousand datasets a
page.

``catalog.ttl`` is the first page. Each page names the next one with ``hydra:next``, which harvesters such as
ckanext-dcat follow, and describes the same ``dcat:Catalog``: together the pages list every dataset.

The identifier of a dataset is the address of its page with ``#dataset``. Without the site's address it is the at:// URI
of a published record. Drafts have the status ``UnderDevelopment`` and no dates. Resources that DCAT-AP requires to be
typed (licences, media types, pages) are typed once a page.
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
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode, Graph
    from catalog.store.rows import Publisher

_EACH: Final = 1000
_MOST_SHARDS: Final = 10
_CATALOG: Final = "catalog.ttl"
_PREFIXES: Final = """\
@prefix adms: <http://www.w3.org/ns/adms#> .
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix hydra: <http://www.w3.org/ns/hydra/core#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix vcard: <http://www.w3.org/2006/vcard/ns#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
_MEDIA_TYPES: Final = "https://www.iana.org/assignments/media-types/"
_FILE_TYPES: Final = "http://publications.europa.eu/resource/authority/file-type/"
_FILE_TYPE: Final = {
    "application/x-tar": "TAR",
    "application/x-parquet": "PARQUET",
    "text/csv": "CSV",
    "application/jsonlines": "JSON",
}
"""Media type → the name in the file types of the EU's Publications Office."""
_DRAFT: Final = "<http://purl.org/adms/status/UnderDevelopment>"
_THEMES: Final = "<http://publications.europa.eu/resource/authority/data-theme>"
_SCIENCE: Final = "<http://publications.europa.eu/resource/authority/data-theme/TECH>"
"""The theme "Science and technology": that of the collection ``science.alt.dataset``."""
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = re.compile(r'[\\"\n\r\t]')


def dcat_files(graph: Graph, settings: SiteSettings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the pages: path from the site's root, and the function that returns the text."""
    datasets = graph.datasets
    parts = [datasets[start : start + _EACH] for start in range(0, len(datasets), _EACH)] or [()]
    for number, part in enumerate(parts, 1):
        yield _path(number), partial(_page, graph, part, (number, len(parts)), settings)


def _path(number: int) -> str:
    return _CATALOG if number == 1 else f"catalog/dcat-{number}.ttl"


def _page(graph: Graph, part: Sequence[DatasetNode], place: tuple[int, int], settings: SiteSettings) -> str:
    """Return a page; ``place`` is its number and the number of pages."""
    number, last = place
    root = settings.url or "../" * _path(number).count("/")
    text = _PREFIXES + _catalog(graph, part, root, settings)
    if last > 1:
        text += _paging(number, last, len(graph.datasets), root)
    return text + "".join(_dataset(node, root) for node in part) + _typed(part, root)


def _catalog(graph: Graph, part: Sequence[DatasetNode], root: str, settings: SiteSettings) -> str:
    about = settings.description or f"{formatting.counted(len(graph.datasets), 'dataset')} on the AT Protocol"
    newest = max((node.updated for node in graph.datasets if not node.draft), default=None)
    pairs = [
        ("a", "dcat:Catalog"),
        ("dct:title", _literal(settings.name)),
        ("dct:description", _literal(about)),
        ("dct:publisher", f"[ a foaf:Agent ; foaf:name {_literal(settings.name)} ]"),
        ("dct:modified", "" if newest is None else _day(formatting.day(newest))),
        ("dcat:themeTaxonomy", _THEMES),
        ("foaf:homepage", "" if settings.url is None else _iri(settings.url)),
        ("dcat:dataset", ",\n    ".join(_name(node, root) for node in part)),
    ]
    return f"\n<{root}{_CATALOG}> {_joined(pairs)} .\n"


def _paging(number: int, last: int, total: int, root: str) -> str:
    # `nextPage` and the others are the former names; older harvesters know only those.
    links = {"first": 1, "previous": number - 1, "next": number + 1, "last": last}
    pairs = [("a", "hydra:PagedCollection, hydra:PartialCollectionView"), ("hydra:totalItems", str(total))]
    for name, to in links.items():
        if 1 <= to <= last:
            pairs += [(f"hydra:{name}", f"<{root}{_path(to)}>"), (f"hydra:{name}Page", f"<{root}{_path(to)}>")]
    return f"\n<{root}{_path(number)}> {_joined(pairs)} .\n"


def _dataset(node: DatasetNode, root: str) -> str:
    published = [
        ("dct:identifier", _literal(str(node.uri))),
        ("dct:issued", _day(formatting.day(node.created))),
        ("dct:modified", _day(formatting.day(node.updated))),
    ]
    version = common.version(node)
    pairs = [
        ("a", "dcat:Dataset"),
        ("dct:title", _literal(common.name(node))),
        ("dct:description", _literal(common.description(node))),
        ("dct:publisher", f"[ a foaf:Agent ; foaf:name {_literal(node.publisher.shown)} ]"),
        ("dct:creator", ", ".join(f"[ a foaf:Agent ; foaf:name {_literal(a['name'])} ]" for a in common.agents(node))),
        ("dcat:contactPoint", _contact(node.publisher, root)),
        ("dcat:theme", _SCIENCE),
        *([("adms:status", _DRAFT)] if node.draft else published),
        ("dcat:keyword", ", ".join(map(_literal, common.keywords(node)))),
        ("dcat:version", "" if version is None else _literal(version)),
        ("dcat:landingPage", f"<{root}{_address(node)}>"),
        ("dcat:distribution", _distribution(node, root)),
    ]
    return f"\n{_name(node, root)} {_joined(pairs)} .\n"


def _distribution(node: DatasetNode, root: str) -> str:
    """Return the dataset's files as one distribution: the storage section of the page, and the first shards."""
    kind, licence, size = common.media_type(node), common.licence(node.record.license), node.size
    shards = downloads(node, _MOST_SHARDS)
    if not shards:
        return ""
    form = _FILE_TYPE.get(kind)
    pairs = [
        ("a", "dcat:Distribution"),
        ("dct:description", _literal(f"Shards of the format {node.record.sample_format}")),
        ("dcat:accessURL", f"<{root}{_address(node)}#storage>"),
        ("dcat:downloadURL", ", ".join(f"<{shard.url}>" for shard in shards)),
        ("dcat:mediaType", f"<{_MEDIA_TYPES}{kind}>"),
        ("dct:format", "" if form is None else f"<{_FILE_TYPES}{form}>"),
        ("dcat:byteSize", "" if size is None or size.bytes is None else f'"{size.bytes}"^^xsd:nonNegativeInteger'),
        ("dct:license", "" if licence is None else f"<{licence}>"),
    ]
    return f"[ {_joined(pairs)} ]"


def _contact(publisher: Publisher, root: str) -> str:
    page = f"<{root}{addresses.of_publisher(publisher.did)}>"
    return f"[ a vcard:Kind ; vcard:fn {_literal(publisher.shown)} ; vcard:hasURL {page} ]"


def _typed(part: Sequence[DatasetNode], root: str) -> str:
    """Return the types of the resources that the datasets of a page refer to."""
    kinds = sorted({common.media_type(node) for node in part})
    licences = sorted({text for node in part if (text := common.licence(node.license)) is not None})
    types = [
        f'{_THEMES} a skos:ConceptScheme ; dct:title "Data theme" .',
        f'{_SCIENCE} a skos:Concept ; skos:prefLabel "Science and technology"@en .',
        f'{_DRAFT} a skos:Concept ; skos:prefLabel "Under development"@en .',
        *([f"<{root}> a foaf:Document ."] if ":" in root else []),
        *(f"<{_MEDIA_TYPES}{kind}> a dct:MediaType ." for kind in kinds),
        *(f"<{_FILE_TYPES}{_FILE_TYPE[kind]}> a dct:MediaTypeOrExtent ." for kind in kinds if kind in _FILE_TYPE),
        *(f"<{text}> a dct:LicenseDocument ." for text in licences),
        *(f"<{root}{_address(node)}> a foaf:Document ." for node in part),
    ]
    return "\n" + "\n".join(types) + "\n"


def _joined(pairs: Sequence[tuple[str, str]]) -> str:
    return " ;\n  ".join(f"{name} {value}" for name, value in pairs if value)


def _address(node: DatasetNode) -> str:
    return addresses.of_record("dataset", node.publisher.did, node.rkey)


def _name(node: DatasetNode, root: str) -> str:
    if ":" not in root and not node.draft:
        return _iri(str(node.uri))
    return f"<{root}{_address(node)}#dataset>"


def _day(text: str) -> str:
    return f'"{text}"^^xsd:date'


def _iri(text: str) -> str:
    return f"<{uri(text)}>"


def _literal(text: str) -> str:
    return '"' + _SPECIAL.sub(lambda match: _ESCAPES[match[0]], shown(text)) + '"'
