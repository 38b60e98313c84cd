"""Metadata of a dataset in the formats of research repositories, written beside its page on request.

- ``ro-crate-metadata.json``: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), a detached crate whose files are URLs.
- ``datacite.json``: DataCite 4.5 (https://schema.datacite.org/meta/kernel-4.5/), the JSON to register a DOI with.

Both require a date of publication, so a draft has neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog import formatting
from catalog.records import licences
from catalog.site import addresses
from catalog.site.exports import common
from catalog.site.exports.downloads import downloads
from catalog.site.markup import shown
from catalog.store.searchable import creators

if TYPE_CHECKING:
    from catalog.site.exports.downloads import Download
    from catalog.site.settings import SiteSettings
    from catalog.store.graph import DatasetNode

RO_CRATE: Final = "ro-crate-metadata.json"
DATACITE: Final = "datacite.json"
_MOST_SHARDS: Final = 10_000


def ro_crate(node: DatasetNode, settings: SiteSettings) -> str:
    """Return the RO-Crate of a published dataset."""
    shards = downloads(node, _MOST_SHARDS)
    agents = [{"@id": f"#agent-{number}", **agent} for number, agent in enumerate(common.agents(node), 1)]
    licence = common.licence(node.license)
    account = {"@id": node.publisher.did, "@type": "Organization", "name": shown(node.publisher.shown)}
    root: dict[str, object | None] = {
        "@id": "./",
        "@type": "Dataset",
        "name": common.name(node),
        "description": common.description(node),
        "datePublished": formatting.day(node.created),
        "license": {"@id": licence or "#licence"},
        "identifier": common.doi_url(node) or str(node.uri),
        "url": settings.absolute(_address(node)),
        "author": [{"@id": agent["@id"]} for agent in agents],
        "publisher": {"@id": node.publisher.did},
        "keywords": common.keywords(node) or None,
        "version": common.version(node),
        "hasPart": [{"@id": shard.url} for shard in shards] or None,
    }
    named = "not specified" if node.license is None or not node.license.strip() else shown(node.license)
    held: dict[str, object] = {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [
            {
                "@id": RO_CRATE,
                "@type": "CreativeWork",
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
                "about": {"@id": "./"},
            },
            {key: value for key, value in root.items() if value is not None},
            *agents,
            account,
            {"@id": licence or "#licence", "@type": "CreativeWork", "name": named},
            *(_file(shard, node) for shard in shards),
        ],
    }
    return formatting.compact_json(held) + "\n"


def _file(shard: Download, node: DatasetNode) -> dict[str, str]:
    held = {
        "@id": shard.url,
        "@type": "File",
        "name": shard.url.rpartition("/")[2] or shard.url,
        "encodingFormat": common.media_type(node),
    }
    if shard.size is not None:
        held["contentSize"] = str(shard.size)
    if shard.sha256 is not None:
        held["sha256"] = shard.sha256
    return held


def datacite(node: DatasetNode, settings: SiteSettings) -> str:
    """Return the DataCite metadata of a published dataset."""
    doi, page, version = common.doi_url(node), settings.absolute(_address(node)), common.version(node)
    spdx = None if node.license is None else licences.spdx_id(node.license)
    size = node.size
    sizes = [] if size is None or size.samples is None else [formatting.counted(size.samples, "sample")]
    sizes += [] if size is None or size.bytes is None else [f"{size.bytes} B"]
    named = creators(node.record.metadata)
    people = [{"name": shown(name), "nameType": "Personal"} for name in named]
    account = [{"name": shown(node.publisher.shown), "nameType": "Organizational"}]
    held: dict[str, object | None] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "doi": None if doi is None else doi.removeprefix("https://doi.org/"),
        "url": page,
        "alternateIdentifiers": [{"alternateIdentifier": str(node.uri), "alternateIdentifierType": "AT URI"}],
        "types": {"resourceType": "Dataset", "resourceTypeGeneral": "Dataset"},
        "titles": [{"title": common.name(node)}],
        "creators": people or account,
        "publisher": {"name": shown(node.publisher.shown)},
        "publicationYear": str(node.created.year),
        "dates": [
            {"date": formatting.day(node.created), "dateType": "Issued"},
            {"date": formatting.day(node.updated), "dateType": "Updated"},
        ],
        "descriptions": [{"description": common.description(node), "descriptionType": "Abstract"}],
        "subjects": [{"subject": tag} for tag in common.keywords(node)] or None,
        "version": version,
        "sizes": sizes or None,
        "formats": [common.media_type(node)],
        "rightsList": _rights(node, spdx),
    }
    return formatting.compact_json({key: value for key, value in held.items() if value is not None}) + "\n"


def _rights(node: DatasetNode, spdx: str | None) -> list[dict[str, str]] | None:
    if node.license is None or not node.license.strip():
        return None
    held = {"rights": licences.title(spdx) or spdx if spdx is not None else shown(node.license)}
    url = common.licence(node.license)
    if url is not None:
        held["rightsUri"] = url
    if spdx is not None:
        held |= {"rightsIdentifier": spdx, "rightsIdentifierScheme": "SPDX"}
    return [held]


def _address(node: DatasetNode) -> str:
    return addresses.of_record("dataset", node.publisher.did, node.rkey)
