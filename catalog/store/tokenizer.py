"""The tokenizer of every search: site, AppView, client, and the browser (``tokenizer.js``).

::

    "CelebA-HQ, 深海データ"  ─plain─▶  marks dropped, special letters spelt out
                             ─cut─▶    (celeb a | hq)  (深海データ)           compounds of runs of parts
                             ─terms─▶  celeb, a, hq, celeba, ahq, celebahq, 深海, 海デ, デー, ータ, 深, 海, …

A *part* ends where the script or the kind of character changes: letters and digits, lower and upper case. A *run* has
no signs inside, a *compound* single signs between its runs (``rgb-d``, ``snake_case``, ``10.5281/zenodo.7``). The index
has parts, runs, pairs of neighbours and short compounds as terms, so that ``rgbd`` finds ``RGB-D``. Scripts without
blanks between words are cut into overlapping pairs and single characters (Chinese, Japanese, Korean) or triples (Thai,
Lao, Khmer, Burmese). ``tests/data/tokens.json`` has the cases that all implementations are tested on.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain, pairwise
from typing import Final

LONGEST: Final = 32
"""Characters of a term that are kept."""
_MOST_JOINED: Final = 4
"""Parts of a compound that is a term as a whole."""
_DROPPED: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08d3-\u08e1\u08e3-\u08ff\u093c\u09bc\u0a3c\u0abc"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\u00ad\u0640\u200c\u200d"
)
"""Accents, vowel signs of Arabic and Hebrew, nuktas, tatweel, soft hyphens, joiners. Other marks are parts of words."""
_DROP: Final = re.compile(f"[{_DROPPED}]+")
_SPELT: Final = {
    "ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D",
    "þ": "th", "Þ": "Th", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T", "ŋ": "n",
    "Ŋ": "N", "ς": "σ", "ٱ": "ا", "ى": "ي", "ة": "ه", "ک": "ك", "ی": "ي", "ँ": "ं",
}  # fmt: skip
"""Letters that are no letter with a mark, and letters that are written either way (Arabic, Persian, Hindi)."""
_SPELL: Final = str.maketrans(_SPELT)
_NASAL: Final = re.compile("[ङञणनम]\u094d(?=[क-ह])")
"""A nasal before another consonant, for which Hindi also writes the anusvara."""
_MARK_BLOCKS: Final = ((0x900, 0x1CFF), (0x3099, 0x309A), (0xA800, 0xABFF), (0x11000, 0x11FFF))
_MARKS: Final = "".join(
    chr(code)
    for first, last in _MARK_BLOCKS
    for code in range(first, last + 1)
    if unicodedata.category(chr(code))[0] == "M"
)
_SIGNS: Final = "[-_./'’:&+@‐‑]"
_CODE: Final = r"(?<![^\W_])[A-Za-z](?:\+\+|#)(?![^\W_])"
"""Names of languages: C++, C#."""
_RUN: Final = re.compile(f"(?:[^\\W_]|[{_MARKS}])+")
_COMPOUND: Final = re.compile(f"{_CODE}|{_RUN.pattern}(?:{_SIGNS}{_RUN.pattern})*")
_ASCII_COMPOUND: Final = re.compile("[A-Za-z0-9]+(?:[-_./':&+@][A-Za-z0-9]+)*")
_ASCII_CODES: Final = re.compile(f"{_CODE}|{_ASCII_COMPOUND.pattern}")
_ASCII_PART: Final = re.compile("[0-9]+|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_ARTICLE: Final = re.compile("(?:وال|بال|كال|فال|لل|ال)(?=...)")
"""The Arabic article, with the prepositions that merge with it."""
_PAIRS: Final = 2
_TRIPLES: Final = 3
_DIGIT: Final = 0
_LATIN: Final = 1
_GREEK: Final = 2
_CYRILLIC: Final = 3
_MARK: Final = -1
_IDEOGRAPHIC: Final = -2
_HANGUL: Final = -3
_THAI: Final = -4
_SCRIPTS: Final = (
    (0x0E00, 0x0EFF, _THAI), (0x1000, 0x109F, _THAI), (0x1100, 0x11FF, _HANGUL), (0x1780, 0x17FF, _THAI),
    (0x3005, 0x3007, _IDEOGRAPHIC), (0x3040, 0x30FF, _IDEOGRAPHIC), (0x3130, 0x318F, _HANGUL),
    (0x3400, 0x9FFF, _IDEOGRAPHIC), (0xAC00, 0xD7AF, _HANGUL), (0xF900, 0xFAFF, _IDEOGRAPHIC),
    (0x20000, 0x3FFFF, _IDEOGRAPHIC),
    (0x0370, 0x03FF, _GREEK), (0x1F00, 0x1FFF, _GREEK), (0x0400, 0x052F, _CYRILLIC),
    (0x0000, 0x036F, _LATIN), (0x1E00, 0x1EFF, _LATIN), (0x2C60, 0x2C7F, _LATIN), (0xA720, 0xA7FF, _LATIN),
)  # fmt: skip
Compound = tuple[tuple[str, ...], ...]
"""The parts of each run."""


def tokenize(text: str) -> list[str]:
    """Return the terms by which a text is found, each once."""
    return list(dict.fromkeys(chain.from_iterable(map(_terms, _compounds(_plain(text))))))


def terms_of(text: str) -> set[str]:
    """Return the terms of :func:`tokenize` without their order, in half the time."""
    return set().union(*map(_terms, set(_compounds(_plain(text)))))


def cut(text: str) -> list[Compound]:
    """Return the compounds of a text, in their order."""
    return [_compound(found) for found in _compounds(_plain(text))]


def fold(text: str) -> str:
    """Return a text in lower case, without marks and compatibility forms."""
    return _lower(_plain(text))


def gram_size(part: str) -> int:
    """Return the length of a part's grams; 0 in a script with blanks between words."""
    script = _script(part[0])
    return _PAIRS if script in (_IDEOGRAPHIC, _HANGUL) else _TRIPLES if script == _THAI else 0


def grams(part: str, size: int) -> list[str]:
    """Return the overlapping grams of a part; a part that is shorter is one."""
    return [part[at : at + size] for at in range(max(1, len(part) - size + 1))]


def without_article(word: str) -> str | None:
    """Return an Arabic word without its article; None if it has none."""
    match = _ARTICLE.match(word)
    return None if match is None else word[match.end() :]


def _compounds(plain: str) -> list[str]:
    if not plain.isascii():
        return _COMPOUND.findall(plain)
    return (_ASCII_CODES if "+" in plain or "#" in plain else _ASCII_COMPOUND).findall(plain)


def _plain(text: str) -> str:
    if text.isascii():
        return text
    plain = _DROP.sub("", unicodedata.normalize("NFKD", text)).translate(_SPELL)
    return unicodedata.normalize("NFC", _NASAL.sub("ं", plain))


def _lower(plain: str) -> str:
    return plain.lower().replace("ς", "σ")  # which of the two it becomes depends on the letters around it


@lru_cache(maxsize=65_536)
def _terms(compound: str) -> tuple[str, ...]:
    runs = _compound(compound)
    parts = [part for run in runs for part in run]
    sizes = [gram_size(part) for part in parts]
    found: dict[str, None] = {}
    for part, size in zip(parts, sizes, strict=True):
        found.update(dict.fromkeys(_of_part(part, size)))
    if len(parts) > 1:
        ends = {sum(map(len, runs[: place + 1])) - 1 for place in range(len(runs))}
        found.update(dict.fromkeys("".join(run)[:LONGEST] for run in runs if not any(map(gram_size, run))))
        for place, (one, other) in enumerate(pairwise(parts)):
            numbers = place in ends and one.isdecimal() and other.isdecimal()
            if not (sizes[place] or sizes[place + 1] or numbers):
                found[(one + other)[:LONGEST]] = None
        if len(parts) <= _MOST_JOINED and not any(sizes) and not all(map(str.isdecimal, parts)):
            found["".join(parts)[:LONGEST]] = None
    return tuple(found)


def _of_part(part: str, size: int) -> list[str]:
    if not size:
        bare = without_article(part)
        return [part[:LONGEST]] if bare is None else [part[:LONGEST], bare[:LONGEST]]
    return [*grams(part, size), *(part if size == _PAIRS else ())]


def _compound(text: str) -> Compound:
    if text[-1] in "+#":
        return ((_lower(text),),)
    if text.isascii():
        if text.isalpha() and (text.islower() or text[1:].islower()):
            return ((text.lower(),),)
        runs = re.split(_SIGNS, text)
        return tuple(tuple(part.lower() for part in _ASCII_PART.findall(run)) for run in runs)
    return tuple(tuple(map(_lower, _parts(run))) for run in _RUN.findall(text))


def _parts(run: str) -> list[str]:
    """Cut a run where the script changes, at digits, and before capitals within a word."""
    if run.isascii():
        return _ASCII_PART.findall(run)
    found: list[str] = []
    last: int | None = None
    for letter in run:
        script = _script(letter)
        capital = script > 0 and _is_capital(letter) and bool(found) and _is_small(found[-1][-1])
        if not found or (script != _MARK and (script != last or capital)):
            found.append(letter)
        else:
            found[-1] += letter
        last = last if script == _MARK and last is not None else script
    return found


def _is_capital(letter: str) -> bool:
    return _has_cases(letter) and letter.lower() != letter


def _is_small(letter: str) -> bool:
    return _has_cases(letter) and letter.upper() != letter


def _has_cases(letter: str) -> bool:
    """Return True for the alphabets with capitals; what rarer letters have changes with the version of Unicode."""
    return letter < "\u0250" or "\u0370" <= letter < "\u0530"


@lru_cache(maxsize=8192)
def _script(letter: str) -> int:
    """Return the script of a letter; the block of 128 characters where a script isn't listed."""
    code = ord(letter)
    listed = next((script for first, last, script in _SCRIPTS if first <= code <= last), None)
    if listed in (_IDEOGRAPHIC, _HANGUL):
        return listed
    category = unicodedata.category(letter)[0]
    if category in "MN":
        return _MARK if category == "M" else _DIGIT
    return (code >> 7) + 4 if listed is None else listed
