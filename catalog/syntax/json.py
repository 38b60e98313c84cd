"""JSON values in Python: the form of records in memory."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"
"""No floats: the atproto data model has none."""


def most_json_values(text: str | bytes) -> int:
    """Return an upper bound for the number of values that begin in a piece of JSON, but for the first of all.

    Each of them follows one of three characters, which texts may have as well.
    """
    if isinstance(text, str):
        return text.count(",") + text.count("[") + text.count("{")
    return text.count(b",") + text.count(b"[") + text.count(b"{")
