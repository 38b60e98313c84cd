"""The words of the interface: every key in every language, no English literal outside, numbers and plurals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from catalog.config import resources
from catalog.site.build import IN_PLACE
from catalog.site.languages import LANGUAGES, RECORD_WORDS, catalog_of, keys_of, language, script
from catalog.site.scripts import assets

if TYPE_CHECKING:
    from pathlib import Path

NOUNS = {"dataset", "schema", "lens", "publisher", "sample", "field", "record", "request"}
"""Nouns that templates and scripts count. Those of the status page and of comparisons are English."""
BY_VALUE = {
    *RECORD_WORDS, "publisher", "tag", "licence", "Getter", "Putter", "Source", "Target", "Search",
    "range", "mean", "median", "distinct", "length", "shape", "image", "NaN",
    "Search the catalog", "Datasets", "Schemas", "Lenses", "Publishers", "Tags", "Licences",
}  # fmt: skip
"""Keys that are looked up by a value."""
ENGLISH = {"status", "words", "versions"}
"""Templates in English only: tables for operators, the glossary, and the comparison of versions."""
ENGLISH_SCRIPTS = {
    "network.js", "finder.js", "layout.js",
    "rangefile.js", "rowsource.js", "rowvalues.js", "shardrows.js",
}  # fmt: skip
"""The graph of the lens network, and the readers of shards, in English only."""
NOT_WORDS = {"mkdocs.yml", "catalog codegen", "DID", "JSON"}


def _templates() -> list[Path]:
    return sorted(file for file in resources.templates().glob("*.html") if file.stem not in ENGLISH)


def _scripts() -> list[Path]:
    return sorted((resources.templates() / "assets").glob("*.js"))


def _keys() -> set[str]:
    env = Environment(autoescape=True)
    found = set(BY_VALUE) | {f"#{noun}" for noun in NOUNS}
    for file in _templates():
        tree = env.parse(file.read_text(encoding="utf-8"))
        for _, _, key in extract_from_ast(tree, gettext_functions=("_",)):
            first = key[0] if isinstance(key, tuple) else key  # a call with values is a tuple
            found |= {first} if isinstance(first, str) else set()
    found |= {text for words in IN_PLACE.values() for text in words}
    return found.union(*(keys_of(file.read_text(encoding="utf-8")) for file in _scripts()))


@pytest.mark.parametrize("code", LANGUAGES[1:])
def test_every_language_has_every_text_and_no_other(code: str) -> None:
    words, keys = catalog_of(code), _keys()
    assert keys - set(words) == set(), "add translations to site_templates/languages/, or use a text that is there"
    assert set(words) - keys == set(), "not used"
    for key, found in words.items():
        if isinstance(found, Mapping):
            assert "other" in found
            assert all("{n}" in form for name, form in found.items() if name not in {"one", "two"})
        else:
            assert sorted(re.findall(r"\{\w+\}", found)) == sorted(re.findall(r"\{\w+\}", key)), key
            assert not re.search(r"[<>&]", found), "text, not HTML"


def test_no_template_has_english_outside_the_catalogs() -> None:
    left = []
    for file in _templates():
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "\0", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        shown = re.findall(r">([^<>]*)<", text)
        shown += re.findall(r'\b(?:aria-label|placeholder|title|alt)="([^"]*)"', text)
        left += [
            (file.name, part.strip())
            for words in shown
            for part in words.split("\0")
            if re.search(r"[A-Za-z]{2}", part) and part.strip() not in NOT_WORDS
        ]
    known = {  # sentences around values that are English themselves
        "preview.html": {"In"},
        "schema.html": {"Since", ", the previous version", "Up to", "fields are too many for this page. Run",
                        "for the code.", "The newest", "of", "browse", "has all."},
        "lens.html": {"The newest", "of", "the schema", "has more."},
    }  # fmt: skip
    assert [
        found for found in left if found[1].strip("; .") not in {w.strip("; .") for w in known.get(found[0], ())}
    ] == []


def test_no_script_has_english_outside_the_catalogs() -> None:
    left = []
    for file in _scripts():
        if file.name in ENGLISH_SCRIPTS:
            continue
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith(("//", "*", "/*")) or "new Error(" in line:
                continue
            bare = re.sub(r'\b(?:t|count\w*)\((?:[\w.]+, )?"(?:[^"\\]|\\.)*"', "", line.partition("; //")[0])
            left += [(file.name, found) for found in re.findall(r'["`]([A-Z][a-z]+ [a-z][^"`]*)["`]', bare)]
    assert [found for found in left if found[1] != "The dataset"] == [], "NAME of load.js is an example's"


@pytest.mark.parametrize(
    ("code", "number", "expected"),
    [
        ("en", 1, "1 lens"), ("en", 1234, "1,234 lenses"), ("de", 1, "1 Linse"), ("de", 1234, "1.234 Linsen"),
        ("fr", 0, "0 lentille"), ("fr", 2, "2 lentilles"), ("es", 1, "1 lente"), ("ja", 1, "1 レンズ"),
        ("zh", 3, "3 个透镜"),
        ("ar", 1, "عدسة واحدة"), ("ar", 2, "عدستان"), ("ar", 5, "5 عدسات"), ("ar", 11, "11 عدسة"),
        ("ar", 100, "100 عدسة"), ("ar", 103, "103 عدسات"),
    ],
)  # fmt: skip
def test_a_count_has_the_plural_of_its_language(code: str, number: int, expected: str) -> None:
    assert language(code).counted(number, "lens") == expected
    assert language(code).noun(number, "lens") == expected.removeprefix(f"{language(code).count(number)} ")


def test_numbers_follow_the_language_and_sizes_stay_together() -> None:
    assert [language(code).size(1_530_000) for code in ("en", "de", "fr")] == ["1.53 MB", "1,53 MB", "1,53 MB"]
    assert language("fr").count(12_345) == "12\u202f345"
    assert language("ar").size(164_000) == '<bdi dir="ltr">164 kB</bdi>'


def test_a_language_is_found_by_the_themes_name_for_it_and_values_are_escaped() -> None:
    assert language("zh-Hant").code == "zh"
    assert language("pt-BR").code == language("en").code == "en"
    assert language("de").text("by {publisher}", publisher="<b>") == "von &lt;b&gt;"
    assert language("en").text("no such text") == "no such text"


def test_scripts_get_only_their_own_texts() -> None:
    files = dict(assets())
    assert '"Copied":"Kopiert"' in files["language-de.js"].decode()
    assert "Herkunft" not in files["language-de.js"].decode()
    assert keys_of('t("A \\"b\\"", { n }); counted(n, "record"); about("x")') == {'A "b"', "#record"}
    assert script("de", set()) == "export default {};\n"
