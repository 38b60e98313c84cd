"""Record keys: https://atproto.com/specs/record-key"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match

_PATTERN: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~:-]+")


class RecordKey(str):
    """The name of a record in its collection: ``3jzfcijpj2z2a``, ``Digit:1.0.0``, ``self``.

    Specification: https://atproto.com/specs/record-key#record-key-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a record key of 1 to 512 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        hint = "a record key has letters, digits and . _ ~ : - only, and is not . or .."
        return cls(match(_PATTERN, text, kind="a record key", longest=512, hint=hint))
