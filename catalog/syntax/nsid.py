"""Namespaced identifiers: https://atproto.com/specs/nsid"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match

_LABEL: Final = r"(?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PATTERN: Final = re.compile(rf"[A-Za-z]{_LABEL}(?:\.[A-Za-z0-9]{_LABEL})+\.[A-Za-z][A-Za-z0-9]{{0,62}}")


class Nsid(str):
    """The name of a lexicon, and so of a collection: ``science.alt.dataset.entry``.

    Specification: https://atproto.com/specs/nsid#nsid-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as an NSID of at most 317 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        hint = "an NSID is a reversed domain name and a name, such as org.example.record"
        return cls(match(_PATTERN, text, kind="an NSID", longest=317, hint=hint))
