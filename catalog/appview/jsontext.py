"""JSON in and out, at the speed that pages of a hundred records need.

Half of an answer's time was Python's own encoder. orjson doesn't take half a character (a lone surrogate, which a
record of an unproven listing may have); what it refuses, Python's does.
"""

from __future__ import annotations

import json
from typing import Any

from catalog.errors import MissingExtra

try:
    import orjson
except ImportError:
    hint = "pip install 'atdata-catalog[appview]'"
    raise MissingExtra("the AppView needs a fast encoder", where="orjson", hint=hint) from None

__all__ = ["dumped", "loaded"]


def loaded(text: str) -> Any:  # noqa: ANN401 - any JSON
    """What the text says. It is a record's: its numbers are whole and below 2^53."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def dumped(value: object) -> bytes:
    """In UTF-8, without blanks; a ``?`` stands for half a character."""
    try:
        found: bytes = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return found
