"""Common parsing of all identifiers: text only, of a bounded length, with errors that show the refused text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import InvalidSyntax

if TYPE_CHECKING:
    import re

SHOWN = 80
"""Characters of a refused text that an error shows."""


def match(pattern: re.Pattern[str], text: object, *, kind: str, longest: int, hint: str) -> str:
    """Return ``text`` if it has at most ``longest`` characters and ``pattern`` matches all of it.

    The length is checked first, so that hostile text never reaches the pattern. Raises :class:`InvalidSyntax`.
    """
    if not isinstance(text, str):
        raise refusal(kind, text, hint)
    if len(text) > longest:
        raise refusal(kind, text, f"it has {len(text):,} characters; the most is {longest:,}")
    if pattern.fullmatch(text) is None:
        raise refusal(kind, text, hint)
    return text


def refusal(kind: str, text: object, hint: str) -> InvalidSyntax:
    """The error that says: this is not a ``kind`` (with its article)."""
    if not isinstance(text, str):
        return InvalidSyntax(f"a value of type {type(text).__name__} is not {kind}", hint=hint)
    shown = repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")
    return InvalidSyntax(f"{shown} is not {kind}", hint=hint)
