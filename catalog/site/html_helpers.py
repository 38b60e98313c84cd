"""HTML fragments that every page has many times, as functions that the templates call: cached, faster than macros.

All text in them is escaped, or consists of characters that need no escaping.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from catalog import formatting
from catalog.site import addresses
from catalog.site.highlight import highlight
from catalog.site.markup import link, shown

if TYPE_CHECKING:
    from catalog.codegen import Snippet
    from catalog.store.graph import SchemaNode
    from catalog.store.rows import Publisher

__all__ = ["coloured", "publisher", "schema_link", "shard_row", "user", "when"]
"""The globals of the templates."""


_SHORT: Final = 24


@lru_cache(maxsize=8192)
def user(text: str) -> Markup:
    """Return text of a record, isolated from the direction of the text around it."""
    if len(text) <= _SHORT and text.isascii() and text.isprintable():
        return escape(text)  # it needs neither isolation nor line breaks: 30 bytes less each time
    return Markup(f'<bdi class="cat-user">{escape(shown(text))}</bdi>')


@lru_cache(maxsize=8192)
def when(moment: datetime) -> Markup:
    """Return a date as a ``<time>`` element."""
    return Markup(f"<time>{formatting.day(moment)}</time>")


@lru_cache(maxsize=4096)
def publisher(who: Publisher, root: str) -> Markup:
    """Return a link to an account's page; drafts have none."""
    if who.draft:
        return Markup(f"<span>{user('drafts')}</span>")
    return Markup(f'<a href="{root}{escape(addresses.of_publisher(who.did))}">{user(who.shown)}</a>')


@lru_cache(maxsize=4096)
def schema_link(schema: SchemaNode, root: str) -> Markup:
    """Return a schema's name as a link, and its version."""
    sample_type = schema.record.sample_type
    address = addresses.of_record("schema", schema.publisher.did, schema.rkey)
    version = escape(shown(sample_type.version))
    return Markup(
        f'<a class="cat-type" href="{root}{escape(address)}">{user(sample_type.name)}</a> '
        f'<span class="cat-version">{version}</span>'
    )


def shard_row(place: str, checksum: str | None, size: int | None) -> Markup:
    """Return a row of the storage table. ``size`` in bytes."""
    weight = "" if size is None else f' <span class="cat-quiet">{formatting.byte_size(size)}</span>'
    proof = '<span class="cat-quiet">none</span>'
    if checksum:
        proof = f"<code>{escape(shown(checksum))}</code>"
    return Markup(f"<tr><td>{link(place)}{weight}</td>\n<td>{proof}</td>\n</tr>\n")


def coloured(snippet: Snippet) -> Markup:
    """Return the highlighted code of a snippet."""
    return Markup("".join([highlight(part, snippet.language) for part in snippet.parts]))
