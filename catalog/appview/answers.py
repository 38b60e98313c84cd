"""How answers show a record: the shapes that lexicons describe (:mod:`catalog.appview.queries` tells of them)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalog.appview.jsontext import loaded
from catalog.records import KINDS

if TYPE_CHECKING:
    from datetime import datetime

    from catalog.appview.lensnet import Edge
    from catalog.store.reading import Shown

__all__ = ["Answer", "field_of", "hit_of", "item_of", "moment_text", "step_of"]

Answer = dict[str, Any]
"""A JSON object."""


def item_of(shown: Shown) -> Answer:
    """A record as an item."""
    value = loaded(shown.text)
    record = {key: part for key, part in value.items() if key != "$type"} if isinstance(value, dict) else {}
    for key in ("handle", "draft"):
        record.pop(key, None)  # they are said below, or not at all
    return {**record, **_about(shown)}


def hit_of(shown: Shown) -> Answer:
    """A record as a hit."""
    return {"kind": KINDS[shown.collection], **_about(shown), "record": loaded(shown.text)}


def _about(shown: Shown) -> Answer:
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
