"""A hint for a missing field: the field that was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_MAX_LENGTH: Final = 40
_MAX_CANDIDATES: Final = 20


def near_miss(missing: str, present: Iterable[object], known: Container[str]) -> str | None:
    """Return a hint at an unknown key similar to the missing one, or None. Only a few short names are compared."""
    strangers = (name for name in islice(present, 4 * _MAX_CANDIDATES) if isinstance(name, str) and name not in known)
    short = {name.lower(): name for name in islice(strangers, _MAX_CANDIDATES) if len(name) <= _MAX_LENGTH}
    found = get_close_matches(missing.lower(), list(short), n=1, cutoff=0.75)
    return f"there is {short[found[0]]!r}: is it meant?" if found else None
