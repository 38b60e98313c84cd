"""The tokenizer of every search: site, AppView, client, and the browser (``tokenize`` in ``textindex.js``).

::

    "Pré-TrainedNet 深海データ" ─fold─▶ "Pre-TrainedNet 深海テータ" ─cut─▶ pre, trainednet, 深海, 海テ, テー, ータ
                                                          with parts: also trained, net

Text is folded first (compatibility forms unfolded, marks dropped, lower case), then cut into runs of letters and
digits, so that one letter which unfolds to several words (U+FDFA) is several tokens everywhere.
``tests/data/tokens.json`` has the cases that all implementations are tested on.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["LONGEST", "fold", "tokenize"]

LONGEST: Final = 32
"""Characters of a word that are kept."""
_WORD: Final = re.compile(r"[^\W_]+")
_CAMEL_CASE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af]")
"""Scripts without blanks between words: pairs of characters are the tokens."""
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def tokenize(text: str, *, parts: bool = False) -> list[str]:
    """Return the tokens of a text in their order; with ``parts``, then those of the parts of camel-case words."""
    plain = text if text.isascii() else _without_marks(text)
    found = _tokens(_lower(plain))
    if parts and _CAMEL_CASE.search(plain):
        for word in _WORD.findall(plain):
            split = _CAMEL_CASE.split(word)
            if len(split) > 1:
                found += _tokens(_lower(" ".join(split)))
    return found


def fold(text: str) -> str:
    """Return a text in lower case, without marks and compatibility forms."""
    return _lower(text if text.isascii() else _without_marks(text))


def _without_marks(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return _NOT_ASCII.sub(
        lambda run: "".join(letter for letter in run[0] if not unicodedata.category(letter).startswith("M")), decomposed
    )


def _lower(plain: str) -> str:
    return plain.lower().replace("ς", "σ")  # which of the two it becomes depends on the letters around it


def _tokens(folded: str) -> list[str]:
    words = _WORD.findall(folded)
    if folded.isascii():
        return [word[:LONGEST] for word in words]
    return [token for word in words for token in _cut(word)]


def _cut(word: str) -> list[str]:
    if len(word) > 1 and _UNSPACED.search(word):
        return [word[at : at + 2] for at in range(min(len(word), LONGEST) - 1)]
    return [word[:LONGEST]]
