"""schema.org metadata in the pages, for dataset search engines (https://schema.org/Dataset).

It has the properties that Google's dataset search requires or recommends
(https://developers.google.com/search/docs/appearance/structured-data/dataset), as far as the record has them. No record
states that data are free of charge, so the metadata does not either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.site import addresses
from catalog.site.citation import own_citation
from catalog.site.exports import common
from catalog.site.exports.downloads import downloads
from catalog.site.markup import shown

if TYPE_CHECKING:
    from catalog.site.exports.downloads import Download
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode, Graph

_CONTEXT: Final = "https://schema.org/"
_MOST_VARIABLES: Final = 100
_OWN: Final = ("alternateName", "measurementTechnique", "spatialCoverage", "temporalCoverage")
"""Properties of schema.org that are taken from a record's metadata under the same name."""
_MOST_SHARDS: Final = 1
"""Maximum number of download URLs; the Croissant file beside the page has all."""


def dataset_jsonld(node: DatasetNode, settings: SiteSettings) -> dict[str, object]:
    """Return a dataset as a schema.org ``Dataset``."""
    record = node.record
    url = settings.absolute(addresses.of_record("dataset", node.publisher.did, node.rkey))
    also = [found for found in (common.doi_url(node), common.homepage(node)) if found is not None]
    held: dict[str, object | None] = {
        "@context": _CONTEXT,
        "@type": "Dataset",
        "name": common.name(node),
        "description": common.description(node),
        "url": url,
        "identifier": None if node.draft else str(node.uri),
        "citation": own_citation(record.metadata),
        "sameAs": also or None,
        "license": licence_jsonld(record.license),
        "creator": common.agents(node),
        "keywords": common.keywords(node) or None,
        "version": common.version(node),
        "datePublished": None if node.draft else formatting.day(node.created),
        "dateModified": None if node.draft else formatting.day(node.updated),
        "includedInDataCatalog": {"@type": "DataCatalog", "name": settings.name}
        | ({} if settings.url is None else {"url": settings.url}),
        "size": _size(node),
        "variableMeasured": _variables(node) or None,
        "distribution": [_download(shard, node) for shard in downloads(node, _MOST_SHARDS)] or None,
        **_own(record.metadata),
    }
    return {key: value for key, value in held.items() if value is not None}


def _variables(node: DatasetNode) -> list[dict[str, str]]:
    """Return the fields of a sample."""
    fields = () if node.schema is None else node.schema.record.sample_type.fields[:_MOST_VARIABLES]
    return [
        {"@type": "PropertyValue", "name": shown(field.name)}
        | ({} if field.description is None else {"description": shown(field.description)})
        for field in fields
    ]


def _download(shard: Download, node: DatasetNode) -> dict[str, str]:
    held = {"@type": "DataDownload", "contentUrl": shard.url, "encodingFormat": common.media_type(node)}
    if shard.size is not None:
        held["contentSize"] = f"{shard.size} B"
    return held


def _own(metadata: Mapping[str, object]) -> dict[str, object]:
    held: dict[str, object] = {
        name: shown(value) for name in _OWN if isinstance(value := metadata.get(name), str) and value.strip()
    }
    funder = metadata.get("funder")
    if isinstance(funder, str) and funder.strip():
        held["funder"] = {"@type": "Organization", "name": shown(funder)}
    return held


def licence_jsonld(text: str | None) -> str | dict[str, str] | None:
    """Return a licence for schema.org: the URL of its text, else its name in the record."""
    if text is None or not text.strip():
        return None
    return common.licence(text) or {"@type": "CreativeWork", "name": shown(text)}


def _size(node: DatasetNode) -> str | None:
    size = node.size
    if size is None:
        return None
    facts = [] if size.samples is None else [formatting.counted(size.samples, "sample")]
    facts += [] if size.bytes is None else [formatting.byte_size(size.bytes)]
    return ", ".join(facts) or None


def catalog_jsonld(graph: Graph, settings: SiteSettings) -> dict[str, object]:
    """Return the catalog as a schema.org ``DataCatalog``."""
    held = {
        "@context": _CONTEXT,
        "@type": "DataCatalog",
        "name": settings.name,
        "description": settings.description
        or f"{formatting.counted(len(graph.datasets), 'dataset')} on the AT Protocol",
        "url": settings.url,
    }
    return {key: value for key, value in held.items() if value is not None}


def script(held: dict[str, object]) -> str:
    """Return the JSON as a ``<script>`` element; no text in it can end the element."""
    text = formatting.compact_json(held).replace("<", "\\u003c")
    return f'<script type="application/ld+json">{text}</script>'
