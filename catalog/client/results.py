"""The query and the results of a search, for every place (:mod:`catalog.client.search`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.client.records import FINDING_HEAD
from catalog.errors import InvalidConfig
from catalog.records import DATASET, LENS, SCHEMA, Dataset, Lens, Schema
from catalog.sanitize import html_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.client.filters import SchemaName
    from catalog.client.records import Finding
    from catalog.records import Record

COLLECTIONS: Final = {"dataset": DATASET, "schema": SCHEMA, "lens": LENS}
KINDS: Final = tuple(COLLECTIONS)
"""The kinds of records that can be searched."""
_MOST_TEXT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """The words, all of which are required, and the conditions of a search. Unset ones match everything."""

    text: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    license: str | None = None
    schema: SchemaName | None = None
    dtype: str | None = None
    publisher: str | None = None
    limit: int = 20

    def __post_init__(self) -> None:
        """Raises :class:`InvalidConfig` for an unknown kind, a limit below 1, and a text that is too long."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise InvalidConfig(f"{kind[:100]!r} is not a kind", where="kind", hint=f"one of {', '.join(KINDS)}")
        if self.limit < 1:
            raise InvalidConfig("must be at least 1", where="limit")
        if len(self.text) > _MOST_TEXT:
            raise InvalidConfig(f"more than {_MOST_TEXT} characters", where="query", hint="a few words are enough")

    @property
    def shown_kinds(self) -> tuple[str, ...]:
        """The kinds that can match: only datasets have a schema, and lenses have no tags, licence or dtype."""
        kinds = self.kinds or KINDS
        if self.schema is not None:
            return tuple(kind for kind in kinds if kind == "dataset")
        if self.tags or self.license is not None or self.dtype is not None:
            return tuple(kind for kind in kinds if kind != "lens")
        return kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The findings of a search, best first, or newest first without words. ``total`` is the number of matches if known.

    ``notes`` are messages for people, such as words that no record has.
    """

    findings: tuple[Finding[Record], ...]
    total: int | None
    place: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Finding[Record]]:
        """The findings."""
        return iter(self.findings)

    def __len__(self) -> int:
        """The number of findings."""
        return len(self.findings)

    def _repr_html_(self) -> str:
        """Return the findings as a table, for notebooks."""
        total = len(self) if self.total is None else self.total
        note = " ".join((f"{len(self):,} of {total:,} from {self.place}.", *self.notes))
        return html_table("Search results", FINDING_HEAD, [found.as_row() for found in self.findings], note=note)

    def as_json(self) -> dict[str, Json]:
        """Return the results as JSON, each as in :meth:`Finding.as_json`."""
        return {
            "place": self.place, "total": self.total, "notes": list(self.notes),
            "results": [found.as_json() for found in self.findings],
        }  # fmt: skip


def has_conditions(record: Record, query: SearchQuery) -> bool:
    """Return True if a record has the kind, tags and licence of the query."""
    kind = {Dataset: "dataset", Schema: "schema", Lens: "lens"}.get(type(record))
    if kind not in query.shown_kinds or not set(query.tags) <= set(getattr(record, "tags", ())):
        return False
    return query.license is None or licence_key(getattr(record, "license", None)) == licence_key(query.license)


def has_any_condition(query: SearchQuery) -> bool:
    """Return True if a query has a condition beside its words."""
    conditions = (query.license, query.schema, query.dtype, query.publisher)
    return query.shown_kinds != KINDS or bool(query.tags) or any(one is not None for one in conditions)


def licence_key(text: str | None) -> str:
    """The key for comparing licences, ignoring case."""
    return (text or "").strip().casefold()


def search_notes(
    loose: Sequence[str], dropped: Sequence[str] = (), full: int = 0, corrected: str | None = None
) -> tuple[str, ...]:
    """Return the notes about words that no record has, and about records that lack some of the words."""
    notes = []
    loose = [word for word in loose if word not in dropped]
    if loose and corrected:
        notes.append(f"no record has {', '.join(loose)}: these are the results for {corrected}")
    elif loose:
        words = ", ".join(loose)
        notes.append(f"no record has {words}: searched for words that begin so or have a similar spelling instead")
    if dropped:
        words = dropped[0] if len(dropped) == 1 else f"some of {', '.join(dropped)}"
        few, which = ("few records have", "the last results") if full else ("no record has", "the results")
        notes.append(f"{few} all words: {which} lack {words}")
    return tuple(notes)
