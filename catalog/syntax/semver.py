"""Semantic versions, as schemas and labels have them: https://semver.org, version 2.0.0."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"

SEMVER: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
"""The grammar for versions we write; foreign versions are only sorted."""

_SORTABLE: Final = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,18})(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", re.ASCII)

SemverKey: TypeAlias = tuple[int, tuple[int, int, int], int, tuple[tuple[int, int, str], ...]]
"""1 for a version and 0 for none, its numbers, 1 for a release and 0 for what comes before it, its identifiers."""


def semver_key(text: str) -> SemverKey:
    """A sort key in semver's order (https://semver.org/#spec-item-11): 1.10.0 after 1.9.0, 1.0.0-rc.1 before 1.0.0.

    Invalid versions sort before all valid ones.
    """
    match = _SORTABLE.fullmatch(text)
    if match is None:
        return (0, (0, 0, 0), 0, ((1, 0, text),))
    numbers = (int(match[1]), int(match[2]), int(match[3]))
    if match[4] is None:
        return (1, numbers, 1, ())
    parts = match[4].split(".")
    return (1, numbers, 0, tuple((0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts))
