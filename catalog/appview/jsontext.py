"""Encode and decode JSON fast enough for pages of a hundred records.

orjson refuses lone surrogates, which unproven records may contain; Python's encoder writes those.
"""

from __future__ import annotations

import json
from typing import Any

import orjson


def loaded(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a record's JSON: its numbers are whole and below 2^53."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def as_it_is(text: str) -> Any:  # noqa: ANN401 - orjson's
    """JSON that goes into an answer without being decoded and encoded: a large record costs no more than its bytes."""
    return orjson.Fragment(text.encode("utf-8", "replace"))


def spliced(text: str, about: dict[str, Any]) -> Any:  # noqa: ANN401 - orjson's
    """The object in the text with these fields before its own, which must have other names; not decoded either."""
    inner = text.strip()[1:-1]
    return as_it_is(f"{json.dumps(about)[:-1]}{',' if inner else ''}{inner}}}")


def dumped(value: object) -> bytes:
    """In UTF-8, without blanks; a lone surrogate becomes ``?``."""
    try:
        found: bytes = orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_decoded)
        return text.encode("utf-8", "replace")
    return found


def _decoded(part: object) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(part.contents) if isinstance(part, orjson.Fragment) else str(part)
