"""A set of lexicons that refer to each other, and validation by them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from catalog.atproto.lexicon.definitions import Array, Object, Record, Ref, Union
from catalog.atproto.lexicon.parser import read_lexicon
from catalog.atproto.lexicon.query import Query
from catalog.atproto.lexicon.report import Report, shown
from catalog.config import resources
from catalog.errors import CatalogError, Fault

if TYPE_CHECKING:
    from catalog.atproto.lexicon.report import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicons:
    """Lexicons by NSID, complete: every ref in them points at a definition among them."""

    definitions: Mapping[str, Definition]

    @classmethod
    def load(cls, folder: Path | None = None) -> Lexicons:
        """The lexicons of a folder (``*.json``), or our own, which are read once.

        Raises :class:`~catalog.errors.CatalogError` for an invalid lexicon, as it could validate no record.
        """
        return _ours() if folder is None else cls.of(_documents(folder))

    @classmethod
    def of(cls, documents: Iterable[tuple[str, object]]) -> Self:
        """The lexicons of these (name for errors, JSON value) pairs. Raises as :meth:`load` does."""
        definitions: dict[str, Definition] = {}
        for name, document in documents:
            try:
                found = read_lexicon(document)
            except CatalogError as error:
                place = name if error.where is None else f"{name}: {error.where}"
                raise CatalogError(f"broken lexicon: {error.what}", where=place, hint=error.hint) from error
            if twice := found.keys() & definitions.keys():
                raise CatalogError(f"broken lexicon: {min(twice)} is defined twice", where=name)
            definitions.update(found)
        for full, definition in definitions.items():
            _check_refs(full, definition, definitions)
        return cls(definitions=definitions)

    def validate(self, nsid: str, record: object) -> tuple[Fault, ...]:
        """Return all faults of a record of the collection ``nsid``, about ``MAX_FAULTS`` at most.

        ``record`` may be any value. The place of a fault is a path such as ``storage.shards[2].url``.
        """
        definition = self.definitions.get(nsid)
        if not isinstance(definition, Record):
            return (Fault(where="", message=f"there is no record type {shown(nsid)}"),)
        return self._faults(definition, record)

    @property
    def queries(self) -> dict[str, Query]:
        """The queries by NSID."""
        return {name: found for name, found in self.definitions.items() if isinstance(found, Query)}

    def validate_answer(self, nsid: str, answer: object) -> tuple[Fault, ...]:
        """Return all faults of an answer to the query ``nsid``, as :meth:`validate` does for records."""
        definition = self.definitions.get(nsid)
        if not isinstance(definition, Query):
            return (Fault(where="", message=f"there is no query {shown(nsid)}"),)
        return self._faults(definition, answer)

    def _faults(self, definition: Definition, value: object) -> tuple[Fault, ...]:
        report = Report(definitions=self.definitions)
        definition.check(value, "", report, 1)
        return tuple(report.faults)


def lexicon_documents() -> dict[str, Any]:
    """Our own lexicons as JSON, by NSID: with what is for people. Raises :class:`~catalog.errors.CatalogError`."""
    return {document["id"]: document for _, document in _documents(resources.lexicons())}


@cache
def _ours() -> Lexicons:
    return Lexicons.of(_documents(resources.lexicons()))


def _documents(folder: Path) -> Iterator[tuple[str, Any]]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise CatalogError("no lexicons there", where=str(folder))
    for path in paths:
        try:
            yield path.name, json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CatalogError(f"broken lexicon: {error}", where=str(path)) from error


def _check_refs(full: str, definition: Definition, definitions: Mapping[str, Definition]) -> None:
    """Every ref leads somewhere, in a finite number of steps; every member of a union is an object."""
    for part in _parts(definition):
        if isinstance(part, Ref):
            _followed(full, part, definitions)
        elif isinstance(part, Union):
            for member in part.refs:
                target = _followed(full, Ref(to=member), definitions)
                if not isinstance(target, Object | Record):
                    raise CatalogError(f"broken lexicon: {member}, in a union, is not an object", where=full)


def _parts(definition: Definition) -> Iterator[Definition]:
    yield definition
    match definition:
        case Array():
            yield from _parts(definition.items)
        case Object():
            for item in definition.properties.values():
                yield from _parts(item)
        case Record():
            yield from _parts(definition.content)
        case Query():
            yield from _parts(definition.output)
        case _:
            return


def _followed(full: str, ref: Ref, definitions: Mapping[str, Definition]) -> Definition:
    seen: set[str] = set()
    target: Definition = ref
    while isinstance(target, Ref):
        if target.to in seen:
            raise CatalogError(f"broken lexicon: the ref to {ref.to} goes in a circle", where=full)
        seen.add(target.to)
        found = definitions.get(target.to)
        if found is None:
            raise CatalogError(f"broken lexicon: there is no definition {target.to}", where=full)
        target = found
    return target
