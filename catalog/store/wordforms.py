"""Word forms: which words of a vocabulary are forms of a query's word (``wordforms.js`` in the browser).

English words are forms of each other if the Snowball stemmer (Porter 2, https://snowballstem.org/algorithms/english)
gives them one stem, after British spelling is made American and irregular plurals singular. In other scripts words are
forms of each other that begin alike and differ in a short ending. Stems aren't indexed: a query's word is compared with
the words of the vocabulary that begin like it, so that what is typed exactly ranks first.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from catalog.store.tokenizer import gram_size

IRREGULAR: Final = (
    "alga algae|analysis analyses|appendix appendices|axis axes|bacterium bacteria|basis bases|calf calves"
    "|child children|corpus corpora|crisis crises|criterion criteria|datum data|diagnosis diagnoses|elf elves"
    "|foot feet|formula formulae|fungus fungi|genus genera|goose geese|gray grey|half halves|hoof hooves"
    "|hypothesis hypotheses|index indices|knife knives|larva larvae|leaf leaves|life lives|loaf loaves|louse lice"
    "|man men|math maths mathematics|matrix matrices|medium media|mouse mice|nebula nebulae|nucleus nuclei|ox oxen"
    "|person people|phenomenon phenomena|plow plough|program programme|radius radii|scarf scarves|self selves"
    "|sheaf sheaves|shelf shelves|spectrum spectra|stimulus stimuli|stratum strata|sulfur sulphur"
    "|synthesis syntheses|taxon taxa|thesis theses|thief thieves|tire tyre|tooth teeth|vertebra vertebrae"
    "|vertex vertices|wife wives|wolf wolves|woman women"
)
"""Irregular plurals and spellings of English, the base form first."""
_FORMS: Final = [group.split(" ") for group in IRREGULAR.split("|")]
_BASE: Final = {form: group[0] for group in _FORMS for form in group}
_AMERICAN: Final = (
    ("(?<=..)is(e|es|ed|er|ers|ing|ation|ations|able)$", r"iz\1"), ("(?<=..)ys(e|es|ed|er|ers|ing)$", r"yz\1"),
    ("(?<=...)our(s|ed|ing|al|ful|less|able|)$", r"or\1"), ("(?<=[bt])re(s|d|)$", r"er\1"),
    ("(?<=..)ogue(s|d|)$", r"og\1"), ("^(an|p|h|f|c)?ae(?=[a-z]{3})", r"\1e"), ("oe(?=[dst][a-z]{3})", "e"),
)  # fmt: skip
"""British endings and their American ones."""
_RULES: Final = [(re.compile(pattern), by) for pattern, by in _AMERICAN]
_BRITISH: Final = re.compile("is|ys|our|re|ogue|ae|oe")
"""The letters that a word needs for any of the rules."""
_WORD: Final = re.compile("[a-z]+")
_UNSTABLE_END: Final = re.compile("(?<=..)[eiy]$|(?<=....)(?:er?|[rsz])$")
_SHORTEST: Final = 3
_LONGEST_ENDING: Final = 3
"""Characters that a word in another script may have more than another; of different ones it has one less."""

_VOWEL: Final = "[aeiouy]"
_STARTS: Final = re.compile("(?:gener|commun|arsen|past|univers|later|emerg|organ|inter)")
_REGION: Final = re.compile("[aeiouy][^aeiouy]")
_DOUBLE: Final = re.compile("(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$")
_SHORT_END: Final = re.compile("(?:[^aeiouy][aeiouy][^aeiouwxyY]|^[aeiouy][^aeiouy]|^past)$")
_SPECIAL: Final = {
    "skis": "ski", "skies": "sky", "idly": "idl", "gently": "gentl", "ugly": "ugli", "early": "earli", "only": "onli",
    "singly": "singl", **{word: word for word in ["sky", "news", "howe", "atlas", "cosmos", "bias", "andes"]},
}  # fmt: skip
_AFTER_PLURAL: Final = frozenset(
    ["inning", "outing", "canning", "herring", "earring", "evening", "proceed", "exceed", "succeed"]
)
_STEP_2: Final = {
    "ization": "ize", "ational": "ate", "fulness": "ful", "ousness": "ous", "iveness": "ive", "tional": "tion",
    "biliti": "ble", "lessli": "less", "entli": "ent", "ation": "ate", "alism": "al", "aliti": "al", "ousli": "ous",
    "iviti": "ive", "fulli": "ful", "ogist": "og", "enci": "ence", "anci": "ance", "abli": "able", "izer": "ize",
    "ator": "ate", "alli": "al", "bli": "ble", "ogi": "og", "li": "",
}  # fmt: skip
_STEP_3: Final = {
    "ational": "ate", "tional": "tion", "alize": "al", "icate": "ic", "iciti": "ic", "ative": "", "ical": "ic",
    "ness": "", "ful": "",
}  # fmt: skip
_STEP_4: Final = re.compile("(?:ement|ance|ence|able|ible|ment|ant|ent|ism|ate|iti|ous|ive|ize|al|er|ic|(?<=[st])ion)$")


def is_form(word: str, other: str) -> bool:
    """Return True if two terms are forms of one word."""
    if _WORD.fullmatch(word):
        return bool(_WORD.fullmatch(other)) and stem(word) == stem(other)
    if word.isascii() or other.isascii() or gram_size(word):
        return False
    same = next((at for at, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    longest = max(len(word), len(other))
    ending = _LONGEST_ENDING if same == min(len(word), len(other)) else _LONGEST_ENDING - 1
    return same >= max(_SHORTEST, -(-3 * longest // 5)) and longest - same <= ending


def form_starts(word: str) -> list[str]:
    """Return the beginnings of the terms that may be forms of a word, of two characters or more; none for a number."""
    if len(word) < _SHORTEST or (word.isascii() and not _WORD.fullmatch(word)):
        return []
    if not word.isascii():
        return [word[: max(2, -(-3 * len(word) // 5))]]
    group = next((group for group in _FORMS if _BASE.get(word) == group[0]), [])
    starts = {_start(each) for each in (word, stem(word), *group)}
    return sorted(start for start in starts if not any(start != other and start.startswith(other) for other in starts))


def _start(word: str) -> str:
    """Return what a word has in common with its stem, without an end that differs in other forms or spellings."""
    base = stem(word)
    same = next((at for at, (a, b) in enumerate(zip(word, base, strict=False)) if a != b), min(len(word), len(base)))
    return _UNSTABLE_END.sub("", word[:same]) if same >= _SHORTEST else word[: max(_SHORTEST, len(word) - _SHORTEST)]


def spellings(word: str) -> list[str]:
    """Return other spellings of a word: ``gebaeude`` for ``gebaude``, as German is typed without umlauts."""
    plain = re.sub("(?<=[a-z])([aou])e", r"\1", word)
    return [] if plain == word else [plain]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the English stem of a word in lower-case ASCII letters."""
    plain = _BASE.get(word, word)
    if _BRITISH.search(plain):
        for pattern, by in _RULES:
            plain = pattern.sub(by, plain)
    return _snowball(_BASE.get(plain, plain))


def _snowball(word: str) -> str:
    if len(word) < _SHORTEST or word in _SPECIAL:
        return _SPECIAL.get(word, word)
    marked = re.sub("(?<=[aeiouy])y|^y", "Y", word) if "y" in word else word
    first = _region(marked, 0)
    second = _REGION.search(marked, first)
    r1, r2 = first, len(marked) if second is None else second.end()
    found = _plural(marked)
    if found in _AFTER_PLURAL:
        return found
    found = _past(found, r1)
    found = re.sub(f"(?<=.)(?<!{_VOWEL[:-1]}])[yY]$", "i", found) if len(found) > 2 else found
    return _suffixes(found, r1, r2).replace("Y", "y")


def _region(word: str, start: int) -> int:
    known = _STARTS.match(word)
    if known is not None:
        return known.end()
    found = _REGION.search(word, start)
    return len(word) if found is None else found.end()


def _plural(word: str) -> str:
    """Step 1a."""
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and re.search(_VOWEL, word[:-2]):
        return word[:-1]
    return word


def _past(word: str, r1: int) -> str:
    """Step 1b."""
    eed = re.search("eed(?:ly)?$", word)
    if eed is not None:
        return word[: eed.start()] + "ee" if eed.start() >= r1 else word
    ending = re.search("(?:ed|ing)(?:ly)?$", word)
    if ending is None or not re.search(_VOWEL, word[: ending.start()]):
        return word
    base = word[: ending.start()]
    if ending[0].startswith("ing") and re.fullmatch("[^aeiouy]y", base):
        return base[0] + "ie"
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _DOUBLE.search(base):
        return base if re.fullmatch("[aeo](?:bb|dd|ff|gg|mm|nn|pp|rr|tt)", base) else base[:-1]
    return base + "e" if len(base) <= r1 and _SHORT_END.search(base) else base


def _suffixes(word: str, r1: int, r2: int) -> str:
    """Steps 2 to 5."""
    found = _replace(word, _STEP_2, r1, r2)
    found = _replace(found, _STEP_3, r1, r2)
    ending = _STEP_4.search(found)
    if ending is not None and ending.start() >= r2:
        found = found[: ending.start()]
    if found.endswith("e"):
        place = len(found) - 1
        if place >= r2 or (place >= r1 and not _SHORT_END.search(found[:-1])):
            return found[:-1]
    if found.endswith("ll") and len(found) - 1 >= r2:
        return found[:-1]
    return found


def _replace(word: str, table: dict[str, str], r1: int, r2: int) -> str:
    """Replace the longest ending of a table, if it is in its region."""
    ending = next((ending for ending in table if word.endswith(ending)), None)
    if ending is None or len(word) - len(ending) < (r2 if ending == "ative" else r1):
        return word
    base = word[: len(word) - len(ending)]
    if (ending == "li" and not re.search("[cdeghkmnrt]$", base)) or (ending == "ogi" and not base.endswith("l")):
        return word
    return base + table[ending]
