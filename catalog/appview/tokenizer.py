"""Words as the index has them, and as a question is cut into them.

*Tricky bits.*

- Accents and case are dropped; ``_`` and punctuation part words.
- ``DigitSample`` in a record is found by its parts, too; in a question it is one word.
- Chinese, Japanese and Korean don't part words: pairs of characters take their place.
- The engine gets words parted by blanks and cuts nothing itself, so that both sides agree.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LONGEST", "folded", "in_order", "plain", "words"]

LONGEST: Final = 32
"""Letters of a word that are kept."""

_WORD: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PAIRED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af]")
_TARGET: Final = re.compile(r"\]\([^)\s]*\)")
_SCHEME: Final = re.compile(r"https?://")


def folded(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(sign for sign in apart if not unicodedata.category(sign).startswith("M"))


def in_order(text: str) -> list[str]:
    """The words of a text, one after the other, as often as they are there."""
    found = _WORD.findall(folded(text))
    if text.isascii():  # as most are, and in half the time
        return [word[:LONGEST] for word in found]
    return [word for whole in found for word in _cut(whole)]


def words(texts: Iterable[str], *, parts: bool = False) -> dict[str, None]:
    """The words of some texts, each once; with ``parts`` also those that capitals part."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(in_order(text))
        if parts and _HUMP.search(text):
            for whole in _humped(text):
                found |= dict.fromkeys(_cut(folded(whole)))
    return found


def plain(markdown: str) -> str:
    """A description without where its links lead: nobody looks for that."""
    return _SCHEME.sub(" ", _TARGET.sub(" ", markdown))


def _humped(text: str) -> Iterator[str]:
    for whole in _WORD.findall(text):
        parts = _HUMP.split(whole)
        if len(parts) > 1:
            yield from parts


def _cut(word: str) -> Iterable[str]:
    if len(word) > 1 and not word.isascii() and _PAIRED.search(word):
        return [word[at : at + 2] for at in range(min(len(word), LONGEST) - 1)]
    return (word[:LONGEST],) if word else ()
