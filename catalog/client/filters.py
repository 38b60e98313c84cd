"""Filters of records by schema, tags and text.

A *schema* is a URI (one version, one publisher), ``Name@1.0.0``, or ``Name``: any version and publisher. *Tags* are
exact, and all are required. Each word of the *text* must occur in the name, the description or the tags, ignoring case
and letter width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.errors import InvalidSyntax
from catalog.records import SCHEMA, Dataset, Lens, Schema
from catalog.store.tokenizer import fold
from catalog.syntax import AtUri
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from catalog.records import Record
    from catalog.schema import SampleType


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaName:
    """A schema by URI, or by name with an optional version."""

    uri: AtUri | None = None
    name: str = ""
    version: str | None = None

    def fits(self, uri: AtUri, sample_type_of: Callable[[AtUri], SampleType]) -> bool:
        """Return True if ``uri`` is this schema. ``sample_type_of`` is called only for a name; its errors propagate."""
        if self.uri is not None:
            return uri == self.uri
        found = sample_type_of(uri)
        return found.name == self.name and self.version in (None, found.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Conditions on a record, all of which must hold. Unset ones match everything."""

    text: str | None = None
    tags: tuple[str, ...] = ()
    schema: SchemaName | None = None
    source: SchemaName | None = None
    target: SchemaName | None = None

    def matches(self, record: Record, sample_type_of: Callable[[AtUri], SampleType]) -> bool:
        """Return True if the record matches. Raises a :class:`CatalogError` if a required schema can't be read."""
        references: tuple[tuple[SchemaName | None, AtUri], ...]
        texts: Iterable[str | None]
        match record:
            case Dataset():
                references = ((self.schema, record.schema_ref),)
                texts = (record.name, record.description, *record.tags)
                tags = record.tags
            case Schema():
                references = ()
                texts = (record.sample_type.name, record.sample_type.description, *record.tags)
                tags = record.tags
            case Lens():
                references = ((self.source, record.source), (self.target, record.target))
                texts, tags = (record.name, record.description), ()
            case _:
                return False
        if not set(self.tags) <= set(tags) or not self._matches_text(texts):
            return False
        return all(name is None or name.fits(uri, sample_type_of) for name, uri in references)

    def _matches_text(self, texts: Iterable[str | None]) -> bool:
        words = () if self.text is None else fold(self.text.casefold()).split()
        if not words:
            return True
        whole = "\n".join(fold(text.casefold()) for text in texts if text is not None)
        return all(word in whole for word in words)


def schema_name(text: str | None, what: str) -> SchemaName | None:
    """Parse the name of a schema in a search. Raises :class:`InvalidSyntax`."""
    if text is None:
        return None
    if not isinstance(text, str) or not text.strip():
        raise InvalidSyntax(f"{text!r} doesn't name a schema", where=what, hint="an at:// URI, Name, or Name@1.0.0")
    if text.startswith("at:"):
        uri = AtUri.parse(text)
        if uri.collection != SCHEMA or uri.rkey is None:
            raise InvalidSyntax(f"{text[:200]!r} is not the URI of a schema", where=what, hint=f"at://…/{SCHEMA}/…")
        return SchemaName(uri=uri)
    name, at, version = text.rpartition("@")
    if at and SEMVER.fullmatch(version):
        return SchemaName(name=name, version=version)
    return SchemaName(name=text)


def tags_of(tag: str | Sequence[str] | None) -> tuple[str, ...]:
    """One tag or several as a tuple."""
    return () if tag is None else (tag,) if isinstance(tag, str) else tuple(tag)
