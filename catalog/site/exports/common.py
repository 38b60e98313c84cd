"""Values of a record that several exports share."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.records import licences
from catalog.shards.formats import FORMATS
from catalog.site.exports.downloads import uri
from catalog.site.markup import cut, is_web, plain, shown
from catalog.site.nodes import description_of, kind_of, name_of, schema_of
from catalog.store.searchable import creators

if TYPE_CHECKING:
    from catalog.store.graph import DatasetNode, Node

SHORTEST: Final = 50
"""Minimum characters of a description for dataset search engines."""
LONGEST: Final = 5000
"""Maximum characters of a description for dataset search engines."""
_UNKNOWN: Final = "application/octet-stream"


_DOI: Final = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.[0-9]{4,9}/[!-~]{1,300})", re.IGNORECASE)


def name(node: Node) -> str:
    """Return the name of a record on one line; its key if it has none."""
    return " ".join(shown(name_of(node)).split()) or node.rkey


def description(node: Node, *, longest: int = LONGEST) -> str:
    """Return the description as plain text; a short one is extended with facts of the record."""
    words = _plain(description_of(node) or "")
    if len(words) >= SHORTEST:
        return cut(words, longest)
    kind, whose = kind_of(node), shown(node.publisher.shown)
    what = f"the draft of a {kind}, not yet published" if node.draft else f"a {kind} that {whose} publishes"
    more = f"{name(node)}: {what} on the AT Protocol."
    schema = schema_of(node)
    if schema is not None:
        sample_type = schema.record.sample_type
        fields = ", ".join(shown(field.name) for field in sample_type.fields[:8])
        more += f" Each sample is a {shown(sample_type.name)}" + (f" with {fields}." if fields else ".")
    return cut(f"{words} {more}".strip(), longest)


@lru_cache(maxsize=64)  # needed several times for each page
def _plain(text: str) -> str:
    return plain(text, longest=LONGEST)


def keywords(node: DatasetNode) -> list[str]:
    """Return the tags that aren't blank."""
    return [shown(tag) for tag in node.tags if tag.strip()]


@lru_cache(maxsize=1024)
def licence(text: str | None) -> str | None:
    """Return the URL of a licence's text, from SPDX or from the record."""
    if text is None:
        return None
    known = licences.spdx_id(text)
    if known is not None:
        return f"{licences.TEXTS}{known}.html"
    return uri(text) if is_web(text) else None


def agents(node: DatasetNode) -> list[dict[str, str]]:
    """Return the creators in the metadata, else the account, as schema.org types."""
    named = [{"@type": "Person", "name": shown(name)} for name in creators(node.record.metadata)]
    account = {"@type": "Organization", "name": shown(node.publisher.shown), "identifier": node.publisher.did}
    return named or [account]


def homepage(node: DatasetNode) -> str | None:
    """Return the homepage in the metadata if it is a web address."""
    found = node.record.metadata.get("homepage")
    return uri(found) if isinstance(found, str) and is_web(found) else None


def doi_url(node: DatasetNode) -> str | None:
    """Return the DOI as a URL; the metadata has it bare, with ``doi:``, or as a URL."""
    found = node.record.metadata.get("doi")
    match = _DOI.fullmatch(found) if isinstance(found, str) else None
    return None if match is None else uri(f"https://doi.org/{match[1]}")


def media_type(node: DatasetNode) -> str:
    """Return the media type of the dataset's shards."""
    form = FORMATS.get(node.record.sample_format)
    return _UNKNOWN if form is None else form.media_type


def version(node: DatasetNode) -> str | None:
    """Return the version of the newest label that has one; labels are sorted, newest first."""
    newest = next((label.record.version for label in node.labels if label.record.version is not None), None)
    return None if newest is None else shown(newest)
