"""The words of the interface, in the language of the theme.

The key of a text is the English text itself, so that English needs no catalog and a missing translation shows English.
``site_templates/languages/de.json`` maps keys to translations; values in braces are inserted. A key that begins with
``#`` is a noun that is counted: it has a form for each plural category of Unicode CLDR. Scripts use the same files; see
:func:`script`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from markupsafe import Markup, escape

from catalog import formatting
from catalog.config import resources
from catalog.site.markup import shown

_KEY: Final = re.compile(r'\b(?:t|counted|counting)\(\s*(?:[\w.]+,\s*)?"((?:[^"\\]|\\.)*)"')
"""A key in a script, the argument of ``t`` or the second one of ``counted``."""
_ISOLATED: Final = Markup('<bdi dir="ltr">{}</bdi>')
"""A text from left to right, whatever is around it."""
RECORD_WORDS: Final = frozenset({"dataset", "schema", "lens", "page", "draft", "verified", "unverified"})
"""Keys that scripts look up by a value of a record."""


def _english(number: int) -> str:
    return "one" if number == 1 else "other"


def _arabic(number: int) -> str:
    if number < 3:
        return ("zero", "one", "two")[number]
    rest = number % 100
    return "few" if 3 <= rest <= 10 else "many" if rest >= 11 else "other"


_PLURALS: Final[Mapping[str, Callable[[int], str]]] = {
    "en": _english,
    "de": _english,
    "es": _english,
    "fr": lambda number: "one" if number < 2 else "other",
    "ja": lambda _: "other",
    "zh": lambda _: "other",
    "ar": _arabic,
}
"""Language → plural category of a number, for whole numbers below a million (CLDR)."""
_SEPARATORS: Final = {"de": (".", ","), "es": (".", ","), "fr": ("\u202f", ",")}
"""Language → separators of thousands and of decimals, where they aren't those of English."""
LANGUAGES: Final = tuple(_PLURALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language of the interface. ``words`` is empty for English."""

    code: str = "en"
    words: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict, repr=False)
    _made: dict[str, Markup] = field(default_factory=dict, repr=False, compare=False)

    def text(self, key: str, /, **values: object) -> Markup:
        """Return the translation of an English text as HTML; ``values`` are escaped."""
        html = self._made.get(key)
        if html is None:
            found = self.words.get(key, key)
            html = self._made[key] = Markup(found if isinstance(found, str) else key)  # noqa: S704 - texts of this package
        if not values:
            return html
        shown_values = {name: _visible(value) for name, value in values.items()}
        return Markup(str(html).format(**shown_values))  # noqa: S704 - escaped; Markup.format takes ten times as long

    def counted(self, number: int, noun: str) -> str:
        """Return a count with its noun: ``3 lenses``, ``3 Linsen``."""
        forms = self.words.get(f"#{noun}")
        if not isinstance(forms, Mapping):
            return formatting.counted(number, noun)
        return self._form(forms, number).format(n=self.count(number))

    def noun(self, number: int, noun: str) -> str:
        """Return the noun of a count alone, in the form that the number asks for."""
        forms = self.words.get(f"#{noun}")
        if not isinstance(forms, Mapping):
            return formatting.counted(number, noun).partition(" ")[2]
        return self._form(forms, number).replace("{n}", "").strip()

    def count(self, number: int) -> str:
        """Return a count with the separators of the language."""
        return self._number(formatting.count(number))

    def size(self, number: int) -> str:
        """Return a number of bytes; isolated where the text runs from right to left."""
        text = self._number(formatting.byte_size(number))
        return _ISOLATED.format(text) if self.code == "ar" else text

    def _form(self, forms: Mapping[str, str], number: int) -> str:
        return forms.get(_PLURALS[self.code](number), forms["other"])

    def _number(self, text: str) -> str:
        if self.code not in _SEPARATORS:
            return text
        thousands, decimals = _SEPARATORS[self.code]
        return text.translate({ord(","): thousands, ord("."): decimals})


def _visible(value: object) -> object:
    if isinstance(value, (Markup, int)):
        return value
    return escape(shown(value) if isinstance(value, str) else value)


ENGLISH: Final = Language()


@cache
def language(name: str) -> Language:
    """Return a language by the theme's name for it (``de``, ``zh-Hant``); English if there is no translation."""
    code = re.split("[-_]", name.lower())[0]
    return Language(code=code, words=catalog_of(code)) if code in LANGUAGES and code != "en" else ENGLISH


def catalog_of(code: str) -> dict[str, str | dict[str, str]]:
    """Return the translations of a language: key → text, or the forms of a noun."""
    file = resources.templates() / "languages" / f"{code}.json"
    words: dict[str, str | dict[str, str]] = json.loads(file.read_bytes())
    return words


def keys_of(script: str) -> set[str]:
    """Return the keys of the texts that a script shows."""
    return {
        ("#" if found[0].startswith("count") else "") + json.loads(f'"{found[1]}"') for found in _KEY.finditer(script)
    }


def script(code: str, keys: AbstractSet[str]) -> str:
    """Return the module ``language-de.js`` with the translations of these keys."""
    words = {key: text for key, text in catalog_of(code).items() if key in keys}
    return f"export default {json.dumps(words, ensure_ascii=False, separators=(',', ':'))};\n"
