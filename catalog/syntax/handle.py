"""Handles: https://atproto.com/specs/handle"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LABEL: Final = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PATTERN: Final = re.compile(rf"(?:{_LABEL}\.)+{_TOP_LABEL}")


class Handle(str):
    """A domain name as the name of an account: ``alice.example.org``.

    It may move to another account; the DID is permanent. The text is kept as written.
    Specification: https://atproto.com/specs/handle#handle-identifier-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a handle of at most 253 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        hint = "a handle is a domain name in ASCII, without @, such as alice.example.org"
        return cls(match(_PATTERN, text, kind="a handle", longest=253, hint=hint))

    @property
    def normalised(self) -> Handle:
        """The same handle in lower case: the form to compare and to store."""
        return Handle(self.lower())
