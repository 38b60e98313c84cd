"""DID or handle: https://atproto.com/specs/lexicon#at-identifier"""

from __future__ import annotations

from typing import Self

from catalog.syntax.did import Did
from catalog.syntax.grammar import refusal
from catalog.syntax.handle import Handle


class AtIdentifier(str):
    """An account by either of its names.

    Specification: https://atproto.com/specs/lexicon#at-identifier
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a DID or a handle. Raises :class:`~catalog.errors.InvalidSyntax`."""
        if not isinstance(text, str):
            raise refusal("a DID or a handle", text, "did:plc:… or alice.example.org")
        return cls(Did.parse(text) if text.startswith("did:") else Handle.parse(text))

    @property
    def value(self) -> Did | Handle:
        """The DID or handle as its own type. No handle starts with ``did:``, as none has a colon."""
        return Did(self) if self.startswith("did:") else Handle(self)
