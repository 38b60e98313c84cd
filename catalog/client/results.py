"""What is searched for, and what comes back: the same for every place (:mod:`catalog.client.search`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalog.errors import InvalidConfig
from catalog.records import DATASET, LENS, SCHEMA, Dataset, Lens, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalog.atproto.datamodel import Json
    from catalog.client.filters import SchemaName
    from catalog.client.records import Finding
    from catalog.records import Record

__all__ = ["COLLECTIONS", "KINDS", "Results", "Sought", "licence_key", "loosely", "says"]

COLLECTIONS: Final = {"dataset": DATASET, "schema": SCHEMA, "lens": LENS}
KINDS: Final = tuple(COLLECTIONS)
"""What is searched for."""
_MOST_TEXT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is searched for: words, all of which must be there, and conditions; what isn't said doesn't matter."""

    text: str = ""
    kinds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    license: str | None = None
    schema: SchemaName | None = None
    dtype: str | None = None
    publisher: str | None = None
    limit: int = 20

    def __post_init__(self) -> None:
        """Raises :class:`InvalidConfig` for kinds that there are not, and for texts and limits nobody means."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise InvalidConfig(f"{kind[:100]!r} is no kind", where="kind", hint=f"one of {', '.join(KINDS)}")
        if self.limit < 1:
            raise InvalidConfig("must be at least 1", where="limit")
        if len(self.text) > _MOST_TEXT:
            raise InvalidConfig(f"more than {_MOST_TEXT} characters", where="query", hint="a few words are enough")

    @property
    def shown_kinds(self) -> tuple[str, ...]:
        """The kinds that can be: only datasets are of a schema, and lenses have no tags, licence or dtype."""
        kinds = self.kinds or KINDS
        if self.schema is not None:
            return tuple(kind for kind in kinds if kind == "dataset")
        if self.tags or self.license is not None or self.dtype is not None:
            return tuple(kind for kind in kinds if kind != "lens")
        return kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was found, best first, without words the newest first. ``total`` is how many there are, where it is known.

    ``notes`` are sentences for people: which words nothing has, what else was looked for.
    """

    findings: tuple[Finding[Record], ...]
    total: int | None
    place: str
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Finding[Record]]:
        """The findings."""
        return iter(self.findings)

    def __len__(self) -> int:
        """How many findings are here."""
        return len(self.findings)

    def as_json(self) -> dict[str, Json]:
        """For programs; each result as :meth:`Finding.as_json`."""
        return {
            "place": self.place, "total": self.total, "notes": list(self.notes),
            "results": [found.as_json() for found in self.findings],
        }  # fmt: skip


def says(record: Record, sought: Sought) -> bool:
    """What a record says itself: kind, tags and licence."""
    kind = {Dataset: "dataset", Schema: "schema", Lens: "lens"}.get(type(record))
    if kind not in sought.shown_kinds or not set(sought.tags) <= set(getattr(record, "tags", ())):
        return False
    return sought.license is None or licence_key(getattr(record, "license", None)) == licence_key(sought.license)


def licence_key(text: str | None) -> str:
    """A licence as it is compared: whatever its case."""
    return (text or "").strip().casefold()


def loosely(loose: Sequence[str]) -> tuple[str, ...]:
    """The note on words that nothing has."""
    if not loose:
        return ()
    return (f"no record has {', '.join(loose)}: words that begin so, or are spelled nearly so, count in its place",)
