"""Full-text search without an index: match records with the words of a query, best first.

Words are cut as a site's text index cuts them (:mod:`catalog.site.textindex`), and a query means the same:

- Every word must match. A word that some record has matches itself only; ``word*`` matches all that begin so.
- A word that no record has matches those which begin so, and words of names and tags at an edit distance of one (two,
  from eight letters on).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catalog.store.tokenizer import fold, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MOST_WORDS", "PREFIX", "WEIGHTS", "Texts", "Word", "distance", "match", "question", "slips_allowed"]

MOST_WORDS: Final = 8
"""Words of a query that count; as in ``textindex.js``."""
WEIGHTS: Final = (10.0, 4.0, 1.0)
"""Of a word in a name; in tags, schema, fields, publisher; in a description."""
PREFIX: Final = 0.6
"""Weight of a prefix match or likely word, relative to an exact match."""
_SHORTEST: Final = 4
_LONG: Final = 8
_LONGEST_SLIP: Final = 40
_CHUNK: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a query; ``open`` if it matches all words that begin so."""

    text: str
    open: bool = False


def question(text: str) -> tuple[Word, ...]:
    """Return the words of a query, each once."""
    found: dict[str, bool] = {}
    for chunk in _CHUNK.findall(text):
        cut = tokenize(chunk)
        for place, word in enumerate(cut, 1):
            found.setdefault(word, chunk.endswith("*") and place == len(cut))
    return tuple(Word(text=word, open=is_open) for word, is_open in [*found.items()][:MOST_WORDS])


@dataclass(slots=True, kw_only=True)
class Texts:
    """The searchable texts of a record: name, short texts (tags, schema, …), and description as plain text."""

    name: str
    middle: tuple[str, ...] = ()
    description: str = ""
    whole: str = field(init=False)
    """All of it, folded: what is not in there is no word of it, nor the beginning of one."""
    _levels: tuple[set[str], ...] | None = None

    def __post_init__(self) -> None:
        self.whole = fold(" ".join((self.name, *self.middle, self.description)))

    @property
    def levels(self) -> tuple[set[str], ...]:
        """Its words, by where they stand."""
        if self._levels is None:
            middle = {token for text in self.middle for token in tokenize(text, parts=True)}
            self._levels = (set(tokenize(self.name, parts=True)), middle, set(tokenize(self.description)))
        return self._levels


def match(asked: Sequence[Word], texts: Sequence[Texts]) -> tuple[list[int], tuple[str, ...]]:
    """The places of what is found, best first, and the words that nothing has; all of them for a question of none."""
    scores = dict.fromkeys(range(len(texts)), 0.0)
    loose = []
    for word in asked:
        found, known = _of_word(word, texts)
        if not known and not word.open:
            loose.append(word.text)
        rare = math.log(1 + len(texts) / max(1, len(found)))
        scores = {row: scores[row] + rare * weight for row, weight in found.items() if row in scores}
    return sorted(scores, key=lambda row: (-scores[row], row)), tuple(loose)


def _of_word(word: Word, texts: Sequence[Texts]) -> tuple[dict[int, float], bool]:
    """Return the weights of the rows that match a word, and whether any matches exactly."""
    near = [(row, each) for row, each in enumerate(texts) if word.text in each.whole]
    exact = _weighed(near, lambda words: word.text in words, 1)
    if exact and not word.open:
        return exact, True
    found = {**_weighed(near, lambda words: any(map(_begins(word.text), words)), PREFIX), **exact}
    if not word.open:
        for row, weight in _near(word.text, texts).items():
            found[row] = max(weight, found.get(row, 0))
    return found, bool(exact)


def _weighed(texts: Iterable[tuple[int, Texts]], has: Callable[[set[str]], bool], factor: float) -> dict[int, float]:
    """Return the weight of each matching row, by its first matching level."""
    found = {}
    for row, each in texts:
        level = next((level for level, words in enumerate(each.levels) if has(words)), None)
        if level is not None:
            found[row] = WEIGHTS[level] * factor
    return found


def _begins(word: str) -> Callable[[str], bool]:
    return lambda other: other.startswith(word)


def _near(word: str, texts: Sequence[Texts]) -> dict[int, float]:
    """Those with a word in name or tags that may have been meant."""
    most = slips_allowed(word)
    if not most:
        return {}
    known: dict[str, int] = {}
    found: dict[int, float] = {}
    for row, each in enumerate(texts):
        for level in (0, 1):
            for other in each.levels[level]:
                if other not in known:
                    known[other] = distance(word, other, most)
                if known[other] <= most:
                    found[row] = max(found.get(row, 0.0), WEIGHTS[level] * PREFIX / (1 + known[other]))
    return found


def slips_allowed(word: str) -> int:
    """Return the edit distance that is allowed for a word."""
    if not _SHORTEST <= len(word) <= _LONGEST_SLIP:
        return 0
    return 2 if len(word) >= _LONG else 1


def distance(one: str, other: str, most: int) -> int:
    """Letters to change, leave out, put in, or swap with their neighbour; more than ``most`` is ``most + 1``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, sign in enumerate(one, 1):
        row = [i]
        for j, against in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (sign != against))
            if i > 1 and j > 1 and sign == other[j - 2] and one[i - 2] == against:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(*row, *last) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)
