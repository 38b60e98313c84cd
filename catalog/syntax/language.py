"""Language tags: https://atproto.com/specs/lexicon#language"""

from __future__ import annotations

import re
from typing import Final, Self

from catalog.syntax.grammar import match, refusal

_PATTERN: Final = re.compile(
    r"""
    (?: [a-z]{2,3} (?:-[A-Za-z]{3}){0,3}                                     # language, and its extensions
        (?:-[A-Za-z]{4})?                                                    # script
        (?:-(?:[A-Za-z]{2}|[0-9]{3}))?                                       # region
        (?P<variants>  (?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))* )
        (?P<extensions>(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)* )
        (?:-[Xx](?:-[A-Za-z0-9]{1,8})+)?                                     # private use
    |   [Xx](?:-[A-Za-z0-9]{1,8})+
    )
    """,
    re.VERBOSE,
)

_GRANDFATHERED: Final = frozenset(
    {
        *("en-gb-oed", "sgn-be-fr", "sgn-be-nl", "sgn-ch-de"),
        *("i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo", "i-navajo"),
        *("i-pwn", "i-tao", "i-tay", "i-tsu"),
        *("art-lojban", "cel-gaulish", "no-bok", "no-nyn", "zh-guoyu", "zh-hakka", "zh-min", "zh-min-nan", "zh-xiang"),
    }
)
"""Tags older than the grammar (RFC 5646, section 2.1)."""

_HINT: Final = "a language tag (BCP 47) looks like en, pt-BR or zh-Hant"


class Language(str):
    """A language: ``en``, ``pt-BR``, ``zh-Hant``.

    Well-formed by RFC 5646, without a repeated variant or extension; whether the subtags are registered is not
    checked. The language itself must be in lower case, as the protocol's test vectors ask.
    Specification: https://atproto.com/specs/lexicon#language
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` as a language tag of at most 256 characters. Raises :class:`~catalog.errors.InvalidSyntax`."""
        if isinstance(text, str) and text.lower() in _GRANDFATHERED:
            return cls(text)
        tag = match(_PATTERN, text, kind="a language tag", longest=256, hint=_HINT)
        found = _PATTERN.fullmatch(tag)
        variants = (found and found["variants"]) or ""
        extensions = (found and found["extensions"]) or ""
        singletons = [part for part in extensions.split("-") if len(part) == 1]
        for name, parts in (("variant", variants.split("-")[1:]), ("extension", singletons)):
            if len({part.lower() for part in parts}) < len(parts):
                raise refusal("a language tag", tag, f"it has the same {name} twice")
        return cls(tag)
