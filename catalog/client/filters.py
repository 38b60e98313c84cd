"""What is looked for, and whether a record is it.

A *schema* is named by its address (one version, one publisher), by ``Name@1.0.0``, or by ``Name``: any version,
whoever published it. *Tags* are exact, and all must be there. *Text* is words, each of which must stand somewhere in
the name, the description or the tags; case and the width of letters don't count.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.errors import InvalidSyntax
from catalog.records import SCHEMA, Dataset, Lens, Schema
from catalog.syntax import AtUri
from catalog.syntax.semver import SEMVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from catalog.records import Record
    from catalog.schema import SampleType

__all__ = ["SchemaName", "Wanted", "schema_name", "tags_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaName:
    """A schema by address, or by name and perhaps version."""

    uri: AtUri | None = None
    name: str = ""
    version: str | None = None

    def fits(self, uri: AtUri, sample_type_of: Callable[[AtUri], SampleType]) -> bool:
        """Whether a reference leads to it; the referred record is looked at only for a name. Raises its errors."""
        if self.uri is not None:
            return uri == self.uri
        found = sample_type_of(uri)
        return found.name == self.name and self.version in (None, found.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that must be true of a record; what isn't said doesn't matter."""

    text: str | None = None
    tags: tuple[str, ...] = ()
    schema: SchemaName | None = None
    source: SchemaName | None = None
    target: SchemaName | None = None

    def keeps(self, record: Record, sample_type_of: Callable[[AtUri], SampleType]) -> bool:
        """Whether this is one. Raises a :class:`CatalogError` when that hangs on a schema which can't be read."""
        references: tuple[tuple[SchemaName | None, AtUri], ...]
        said: Iterable[str | None]
        match record:
            case Dataset():
                references = ((self.schema, record.schema_ref),)
                said = (record.name, record.description, *record.tags)
                tags = record.tags
            case Schema():
                references = ()
                said = (record.sample_type.name, record.sample_type.description, *record.tags)
                tags = record.tags
            case Lens():
                references = ((self.source, record.source), (self.target, record.target))
                said, tags = (record.name, record.description), ()
            case _:
                return False
        if not set(self.tags) <= set(tags) or not self._says(said):
            return False
        return all(name is None or name.fits(uri, sample_type_of) for name, uri in references)

    def _says(self, texts: Iterable[str | None]) -> bool:
        words = () if self.text is None else _folded(self.text).split()
        if not words:
            return True
        whole = "\n".join(_folded(text) for text in texts if text is not None)
        return all(word in whole for word in words)


def schema_name(text: str | None, what: str) -> SchemaName | None:
    """A schema as a search names it. Raises :class:`InvalidSyntax`."""
    if text is None:
        return None
    if not isinstance(text, str) or not text.strip():
        raise InvalidSyntax(f"{text!r} names no schema", where=what, hint="an at:// URI, Name, or Name@1.0.0")
    if text.startswith("at:"):
        uri = AtUri.parse(text)
        if uri.collection != SCHEMA or uri.rkey is None:
            raise InvalidSyntax(f"{text[:200]!r} is not the address of a schema", where=what, hint=f"at://…/{SCHEMA}/…")
        return SchemaName(uri=uri)
    name, at, version = text.rpartition("@")
    if at and SEMVER.fullmatch(version):
        return SchemaName(name=name, version=version)
    return SchemaName(name=text)


def tags_of(tag: str | Sequence[str] | None) -> tuple[str, ...]:
    """One tag or several."""
    return () if tag is None else (tag,) if isinstance(tag, str) else tuple(tag)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
