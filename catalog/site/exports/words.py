"""What several exports say of a record in the same words."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.records import ExternalStorage, HttpStorage
from catalog.site import licences
from catalog.site.citation import creators
from catalog.site.markup import cut, is_web, plain, shown
from catalog.site.nodes import description_of, kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalog.graph import DatasetNode, Node
    from catalog.records import Checksum

__all__ = [
    "agents",
    "compact",
    "description",
    "doi_url",
    "file_name",
    "homepage",
    "licence_url",
    "version",
    "web_shards",
]

SHORTEST: Final = 50
"""Characters of a description that dataset search engines want at least."""
LONGEST: Final = 1000
"""Of what they take up to 5,000; the page has the rest."""


def compact(value: object) -> str:
    """JSON without a blank more than it needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def description(node: Node, *, longest: int = LONGEST) -> str:
    """The record's description as plain text; a short one is filled up with what is known."""
    words = _plain(description_of(node) or "")
    if len(words) >= SHORTEST:
        return cut(words, longest)
    more = f"{name_of(node)}: a {kind_of(node)} that {node.publisher.shown} publishes on the AT Protocol."
    schema = getattr(node, "schema", None)
    if schema is not None:
        fields = ", ".join(field.name for field in schema.record.sample_type.fields[:8])
        more += f" Each sample is a {schema.record.sample_type.name} with {fields}."
    return cut(f"{words} {shown(more)}".strip(), longest)


@lru_cache(maxsize=64)  # asked for several times for each page
def _plain(text: str) -> str:
    return plain(text, longest=LONGEST)


@lru_cache(maxsize=1024)
def licence_url(text: str) -> str:
    """The address of a licence's text where it is known, else what the record says."""
    known = licences.spdx_id(text)
    return f"{licences.TEXTS}{known}.html" if known is not None else shown(text)


def agents(node: DatasetNode) -> list[dict[str, str]]:
    """Who made it, as schema.org says it: the creators of the metadata, else the account."""
    named = [{"@type": "Person", "name": shown(name)} for name in creators(node.record.metadata)]
    account = {"@type": "Organization", "name": shown(node.publisher.shown), "identifier": node.publisher.did}
    return named or [account]


def homepage(node: DatasetNode) -> str | None:
    """A web address that its publisher gives for it."""
    found = node.record.metadata.get("homepage")
    return found if isinstance(found, str) and is_web(found) else None


def doi_url(node: DatasetNode) -> str | None:
    """Its DOI as a web address."""
    found = node.record.metadata.get("doi")
    if not isinstance(found, str):
        return None
    url = found if found.startswith("https://doi.org/") else f"https://doi.org/{found}"
    return url if "10." in url and is_web(url) else None


def version(node: DatasetNode) -> str | None:
    """The version of its newest label."""
    named = [label for label in node.labels if label.record.version is not None]
    return max(named, key=lambda label: label.created).record.version if named else None


def web_shards(node: DatasetNode) -> Iterable[tuple[str, Checksum | None]]:
    """The shards that have a web address."""
    storage = node.record.storage
    if isinstance(storage, HttpStorage):
        return [(shard.url, shard.checksum) for shard in storage.shards if is_web(shard.url)]
    if isinstance(storage, ExternalStorage):
        return [(url, None) for url in storage.urls if is_web(url)]
    return []


def file_name(url: str) -> str:
    """The last part of an address's path."""
    return re.split(r"[?#]", url, maxsplit=1)[0].rpartition("/")[2] or "shard"
