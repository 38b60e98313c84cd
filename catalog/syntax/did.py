"""Decentralised identifiers: https://atproto.com/specs/did"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match

_PATTERN: Final = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]")


class Did(str):
    """An account's permanent name: ``did:plc:7iza6de2dwap2sbkpav7c6c6``.

    Any method passes; which methods can be resolved is the network's business.
    Specification: https://atproto.com/specs/did#at-protocol-did-identifier-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a DID of at most 2,048 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        return cls(match(_PATTERN, text, kind="a DID", longest=2048, hint="a DID looks like did:plc:… or did:web:…"))

    @property
    def method(self) -> str:
        """The part between the colons: ``plc``, ``web``."""
        return self.split(":", 2)[1]
