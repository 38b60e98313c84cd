"""The searchable texts of a record: the terms by which every search finds it, by the level at which they count.

::

    dataset        name (of one, two, three, more parts) ▸ tags ▸ schema and fields ▸ description: its start ▸ the rest
                   ▸ publisher, creators, licence, DOI, citation
    schema, lens   name ▸ tags, fields, schemas of a lens ▸ description and publisher

A term counts at the best of its levels only. All levels of datasets are before those of schemas and lenses.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from catalog.records import Dataset, Lens, Schema
from catalog.store.tokenizer import LONGEST, cut, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from catalog.schema import SampleType

Searched: TypeAlias = "Dataset | Schema | Lens"
LEVELS: Final = 12
_TAGS: Final = 4
_FIELDS: Final = 5
_START: Final = 6
_DESCRIPTION: Final = 7
_ABOUT: Final = 8
_OTHER_NAME: Final = 9
_OTHER_FIELDS: Final = 10
_OTHER_TEXT: Final = 11
BY_NAME: Final = (*range(_TAGS), _OTHER_NAME)
"""The levels of names."""
_MOST_NAME_PARTS: Final = 4
_START_CHARACTERS: Final = 240
_MOST_FIELDS: Final = 200
_MOST_CREATORS: Final = 50
_MOST_CITATION: Final = 4000
_MOST_CITED: Final = 300
_CITED: Final = re.compile(r"\b(?:author|title|doi|eprint|year)\s*=\s*[{\"]?([^\n]*)", re.IGNORECASE)
"""The indexed fields of a citation in BibTeX: abstracts and URLs would make up most of the index."""
_MOST_FIELD_TEXT: Final = 300
_SHORT: Final = 80
_SHORTEST_SPELT: Final = 4
"""Shorter words are at edit distance one from too many others."""
_LINK_TARGET: Final = re.compile(r"\]\([^)\s]*\)|<[^>\s][^>]*>")
_URL_SCHEME: Final = re.compile(r"https?://")
_DID: Final = re.compile(r"did:[a-z]+:[^\s]+")


def levels_of(record: Searched, *, handle: str | None, did: str, schemas: Sequence[str] = ()) -> list[set[str]]:
    """Return the terms of a record by level, each at its best one.

    ``schemas`` are the texts of the schemas that the record refers to (:func:`schema_texts`).
    """
    found: list[set[str]] = [set() for _ in range(LEVELS)]
    met: set[str] = set()
    for level, texts in _texts(record, handle, schemas):
        terms = set().union(*map(_terms, texts)) - met
        found[level] |= terms
        met |= terms
    found[_ABOUT if isinstance(record, Dataset) else _OTHER_TEXT] |= _did_terms(did) - met
    return found


@lru_cache(maxsize=1000)
def _did_terms(did: str) -> frozenset[str]:
    texts = (did, did[8:])
    return frozenset("".join(part for run in each for part in run)[:LONGEST] for text in texts for each in cut(text))


def _texts(record: Searched, handle: str | None, schemas: Sequence[str]) -> Iterator[tuple[int, Iterable[str]]]:
    """Yield the texts of a record with their level, the best first."""
    publisher = handle or ""
    match record:
        case Dataset():
            parts = sum(len(run) for each in cut(record.name) for run in each)
            yield min(_MOST_NAME_PARTS, max(1, parts)) - 1, (record.name,)
            yield _TAGS, record.tags
            yield _FIELDS, schemas
            start, rest = _halves(_plain(record.description))
            yield _START, (start,)
            yield _DESCRIPTION, (rest,)
            yield _ABOUT, (publisher, record.license or "", *_metadata(record.metadata))
        case Schema():
            sample_type = record.sample_type
            yield _OTHER_NAME, (sample_type.name,)
            yield _OTHER_FIELDS, (*record.tags, *schema_texts(sample_type))
            yield _OTHER_TEXT, (_plain(sample_type.description), publisher, record.license or "")
        case Lens():
            yield _OTHER_NAME, (record.name,)
            yield _OTHER_FIELDS, schemas
            yield _OTHER_TEXT, (_plain(record.description), publisher)


def spelt_terms(record: Searched) -> set[str]:
    """Return the terms of name and tags that a misspelt word may have been meant to be."""
    name = record.sample_type.name if isinstance(record, Schema) else record.name
    texts = (name,) if isinstance(record, Lens) else (name, *record.tags)
    terms = set().union(*map(_terms, texts))
    return {term for term in terms if len(term) >= _SHORTEST_SPELT and not term.isdecimal()}


def _terms(text: str) -> frozenset[str] | set[str]:
    return _kept_terms(text) if len(text) <= _SHORT else terms_of(text)


@lru_cache(maxsize=20_000)
def _kept_terms(text: str) -> frozenset[str]:
    """Return the terms of a short text: tags, fields and publishers are those of many records."""
    return frozenset(terms_of(text))


def schema_texts(sample_type: SampleType, *, names_only: bool = False) -> tuple[str, ...]:
    """Return the searchable texts of a schema: its name, the names of its fields, and their descriptions."""
    if names_only:
        return (sample_type.name,)
    fields = sample_type.fields[:_MOST_FIELDS]
    described = [field.description[:_MOST_FIELD_TEXT] for field in fields if field.description]
    return (sample_type.name, *(field.name for field in fields), *described)


def _plain(markdown: str | None) -> str:
    """Return the words of a Markdown text: without the targets of links, and without tags."""
    return _URL_SCHEME.sub(" ", _LINK_TARGET.sub(" ", markdown or ""))


def _halves(text: str) -> tuple[str, str]:
    """Cut a text behind its start, between two words."""
    if len(text) <= _START_CHARACTERS:
        return text, ""
    place = text.rfind(" ", 0, _START_CHARACTERS) + 1 or _START_CHARACTERS
    return text[:place], text[place:]


def _metadata(metadata: Mapping[str, object]) -> Iterator[str]:
    """Yield the texts of a dataset's metadata: creators, DOI, homepage, citation."""
    yield from creators(metadata)
    for name in ("doi", "homepage"):
        text = metadata.get(name)
        if isinstance(text, str):
            yield _URL_SCHEME.sub(" ", text[:_MOST_CITATION])
    citation = metadata.get("citation")
    if isinstance(citation, str):
        found = [match[1][:_MOST_CITED] for match in _CITED.finditer(citation[:_MOST_CITATION])]
        yield from found or [citation[:_MOST_CITED]]


def creators(metadata: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names under ``creators``: strings, or maps with a ``name``."""
    found = metadata.get("creators", metadata.get("authors"))
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list):
        return ()
    names = [item.get("name") if isinstance(item, dict) else item for item in found[:_MOST_CREATORS]]
    return tuple(name for name in names if isinstance(name, str) and name.strip())
