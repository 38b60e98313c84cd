"""Serialize records in the shapes of the lexicons (:mod:`catalog.appview.queries` lists them)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from catalog.appview.jsontext import as_it_is, loaded
from catalog.records import KINDS

if TYPE_CHECKING:
    from catalog.appview.lens_network import Edge
    from catalog.store.reader import Shown

Answer = dict[str, Any]
"""A JSON object."""


OURS: Final = ("uri", "cid", "did", "verified", "indexedAt", "handle", "draft", "partial")
"""The metadata of a record; they replace fields of the record with these names."""
_DECODED: Final = 20_000
"""Characters of a record that is decoded to be encoded again; a longer one goes out as it is."""


def item_of(shown: Shown) -> Answer:
    """A record as an item."""
    value = loaded(shown.text)
    record = {key: part for key, part in value.items() if key != "$type"} if isinstance(value, dict) else {}
    for key in ("handle", "draft", "partial"):
        record.pop(key, None)  # they are said below, or not at all
    return {**record, **about_of(shown)}


def hit_of(shown: Shown) -> Answer:
    """A record as a hit."""
    return {"kind": KINDS[shown.collection], **about_of(shown), "record": record_of(shown.text)}


def record_of(text: str) -> Any:  # noqa: ANN401 - any JSON
    """A record as it is."""
    return loaded(text) if len(text) <= _DECODED else as_it_is(text)


def about_of(shown: Shown) -> Answer:
    """Return the metadata of a record."""
    about: Answer = {
        "uri": shown.uri,
        "cid": shown.cid,
        "did": shown.did,
        "verified": shown.verified,
        "indexedAt": moment_text(shown.updated),
    }
    if shown.handle is not None:
        about["handle"] = shown.handle
    if shown.draft:
        about["draft"] = True
    if shown.partial:
        about["partial"] = True
    return about


def step_of(edge: Edge, *, vouched: bool) -> Answer:
    """A lens as a step of a path."""
    return {
        "uri": edge.uri,
        "cid": edge.cid,
        "name": edge.name,
        "source": edge.source,
        "target": edge.target,
        "vouched": vouched,
    }


def field_of(shown: Shown, name: str) -> str | None:
    """A text of the record's outermost level."""
    value = loaded(shown.text)
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def moment_text(moment: datetime) -> str:
    """A moment in UTC, as records write it."""
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
