"""The tokenizer of the text search: words as records are indexed by, and as a query is cut into them.

``textindex.js`` is the same for the browser.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LONGEST", "folded", "words"]

LONGEST: Final = 32
"""Letters of a word that are kept."""
_WORD: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PAIRED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af]")


def words(text: str, *, parts: bool = False) -> set[str]:
    """The words of a text as they are indexed; with ``parts`` also those that capitals part."""
    found: set[str] = set()
    for whole in _WORD.findall(text):
        for word in (whole, *_HUMP.split(whole)) if parts else (whole,):
            for piece in _WORD.findall(folded(word)):  # one letter may unfold to several words (U+FDFA), or to none
                found.update(_cut(piece))
    return found


def folded(word: str) -> str:
    """A text without case and accents."""
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", word.lower())
    return "".join(sign for sign in apart if not unicodedata.category(sign).startswith("M")).lower()


def _cut(word: str) -> Iterable[str]:
    """Return the keys of one folded word."""
    if len(word) > 1 and not word.isascii() and _PAIRED.search(word):
        return [word[at : at + 2] for at in range(min(len(word), LONGEST) - 1)]
    return (word[:LONGEST],) if word else ()
