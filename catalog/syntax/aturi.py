"""AT-URIs: https://atproto.com/specs/at-uri-scheme"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from catalog.errors import InvalidSyntax
from catalog.syntax.atidentifier import AtIdentifier
from catalog.syntax.grammar import refusal
from catalog.syntax.nsid import Nsid
from catalog.syntax.recordkey import RecordKey

if TYPE_CHECKING:
    from catalog.syntax.did import Did
    from catalog.syntax.handle import Handle

SCHEME: Final = "at://"
MAX_LENGTH: Final = 8192
_HINT: Final = "an AT-URI looks like at://did:plc:…/org.example.record/key"


class AtUri(str):
    """The address of a repo, a collection or a record::

        at://did:plc:7iza6de2dwap2sbkpav7c6c6/science.alt.dataset.entry/3jzfcijpj2z2a
             ╰─────────── authority ────────╯ ╰───── collection ──────╯ ╰── rkey ───╯

    The restricted form that records use: no fragment, no query, no trailing slash.
    Specification: https://atproto.com/specs/at-uri-scheme#restricted-at-uri-syntax
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as an AT-URI of at most 8,192 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        if not isinstance(text, str) or not text.startswith(SCHEME):
            raise refusal("an AT-URI", text, _HINT)
        if len(text) > MAX_LENGTH:
            raise refusal("an AT-URI", text, f"it has {len(text):,} characters; the most is {MAX_LENGTH:,}")
        authority, *path = text.removeprefix(SCHEME).split("/", 3)
        try:
            AtIdentifier.parse(authority)
            if path:
                Nsid.parse(path[0])
            if path[1:]:
                RecordKey.parse(path[1])
        except InvalidSyntax as error:
            raise refusal("an AT-URI", text, error.what) from error
        if path[2:]:
            raise refusal("an AT-URI", text, "nothing may follow the record key")
        return cls(text)

    @classmethod
    def of(cls, authority: str, collection: str, rkey: str) -> Self:
        """The address of a record. Raises :class:`~catalog.errors.InvalidSyntax` when a part is wrong."""
        return cls.parse(f"{SCHEME}{authority}/{collection}/{rkey}")

    @property
    def authority(self) -> Did | Handle:
        """The account of the repository."""
        return AtIdentifier(self.split("/", 3)[2]).value

    @property
    def collection(self) -> Nsid | None:
        """The collection, or None for a whole repository."""
        parts = self.split("/", 4)
        return Nsid(parts[3]) if parts[3:] else None

    @property
    def rkey(self) -> RecordKey | None:
        """The record key, or None for a whole repository or collection."""
        parts = self.split("/", 4)
        return RecordKey(parts[4]) if parts[4:] else None
