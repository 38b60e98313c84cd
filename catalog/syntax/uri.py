"""URIs of any scheme: https://atproto.com/specs/lexicon#uri"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match

_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,79}:[!-~]+")


class Uri(str):
    """An address of any scheme: a scheme, a colon, visible ASCII characters.

    A valid URI may be unsafe to open or to link: ``javascript:`` is a scheme, too.
    Specification: https://atproto.com/specs/lexicon#uri and RFC 3986
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a URI of at most 8,192 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        hint = "a URI looks like https://example.org/path, in ASCII and without spaces (write %20)"
        return cls(match(_PATTERN, text, kind="a URI", longest=8192, hint=hint))

    @property
    def scheme(self) -> str:
        """The scheme, in lower case."""
        return self.split(":", 1)[0].lower()
