"""The tokenizer: Python, the browser's JavaScript, the AppView's index and the client cut every text alike."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import pytest

from catalog.appview.query import Filters, ask
from catalog.records import DATASET
from catalog.store import synonyms, wordforms
from catalog.store.matching import question
from catalog.store.tokenizer import LONGEST, fold, tokenize
from tests.appviewstores import World, dataset
from tests.javascript_modules import call_javascript
from tests.paths import ROOT, TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES: Final[list[dict[str, Any]]] = json.loads((TESTS / "data" / "tokens.json").read_text(encoding="utf-8"))
STEMS: Final[dict[str, str]] = json.loads((TESTS / "data" / "stems.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store and its index, with one dataset for each case, named by its text."""
    folder: Path = tmp_path_factory.mktemp("tokens")
    opened = World(folder)
    opened.put({f"{DATASET}/k{number:04}": dataset(f"a {case['text']}") for number, case in enumerate(CASES)})
    opened.catch_up()
    yield opened
    opened.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"])[:30])
def test_a_text_is_cut_into_these_terms(case: dict[str, Any]) -> None:
    assert tokenize(case["text"]) == case["tokens"]
    assert [word.text for word in question(case["text"])] == case["words"]


def test_the_browser_cuts_the_same_terms() -> None:
    assert call_javascript("tokenizer.js", "tokenize", [[case["text"]] for case in CASES]) == [
        case["tokens"] for case in CASES
    ]


def test_the_engine_cuts_terms_no_further(world: World) -> None:
    """Each term is one of the AppView's index as it is, and a text finds the record that has it."""
    searcher = world.index.searcher()
    for number, case in enumerate(CASES):
        for token in case["tokens"]:
            assert searcher.doc_freq("words", token), token
        if case["words"]:
            name = f"a {case['text']}"
            assert name in world.names(case["text"]), (number, case["text"])
    assert ask(world.index, CASES[0]["text"], Filters()).count() == len(CASES)


def test_every_character_is_cut_the_same_way_in_the_browser() -> None:
    """Each character that this Python knows, in a word and alone."""
    texts = [
        f"ab{letter}Cd {letter}"
        for letter in map(chr, range(0x110000))
        if unicodedata.category(letter) not in {"Cn", "Cs"}
        and (letter + "\0").lower() + unicodedata.normalize("NFKD", letter) != letter + "\0" + letter
    ]
    assert len(texts) > 10_000
    theirs = call_javascript("tokenizer.js", "tokenize", [[text] for text in texts])
    assert [text for text, tokens in zip(texts, theirs, strict=True) if tokens != tokenize(text)] == []


def test_any_mixture_is_cut_the_same_way_in_the_browser() -> None:
    chance = random.Random(3)  # noqa: S311
    alphabet = "aZé ß_İſK深海データ한국 ²½Ⅷ🙂\u0301x9-.,ﬁǅאبक्ΣσςΑ'"
    texts = ["".join(chance.choices(alphabet, k=12)) for _ in range(2000)]
    theirs = call_javascript("tokenizer.js", "tokenize", [[text] for text in texts])
    assert [text for text, tokens in zip(texts, theirs, strict=True) if tokens != tokenize(text)] == []


def test_terms_do_not_depend_on_the_form_in_which_a_text_is_written() -> None:
    chance = random.Random(4)  # noqa: S311
    texts = ["".join(chance.choices("aZé Öß한国Σ_x9-½Å", k=12)) for _ in range(500)]
    for text in texts:
        forms = {tuple(tokenize(unicodedata.normalize(form, text))) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        assert forms == {tuple(tokenize(text))}, ascii(text)
        assert tokenize(fold(text.lower())) == tokenize(text.lower())
        assert all(0 < len(token) <= LONGEST for token in tokenize(text))


def test_a_folded_text_stays_as_it_is() -> None:
    chance = random.Random(3)  # noqa: S311
    letters = [chr(code) for code in range(0x20, 0x3000) if unicodedata.category(chr(code))[0] in "LN"]
    for _ in range(500):
        text = "".join(chance.choices(letters, k=8))
        assert fold(fold(text)) == fold(text)


def test_every_term_is_short_and_found_by_itself() -> None:
    for case in CASES:
        for token in case["tokens"]:
            assert 0 < len(token) <= LONGEST
            assert token in tokenize(token) or len(tokenize(token)) > 1, token


# --- word forms ------------------------------------------------------------------------------------------------------


def test_stems_are_those_of_snowball() -> None:
    """``stems.json`` has the output of snowballstemmer 3.1.1 (BSD-3-Clause), algorithm ``english``."""
    wrong = {word: found for word, expected in STEMS.items() if (found := wordforms._snowball(word)) != expected}
    assert wrong == {}


def test_the_browser_has_the_same_stems_and_tables() -> None:
    words = sorted(STEMS)
    assert call_javascript("wordforms.js", "stem", [[word] for word in words]) == [*map(wordforms.stem, words)]
    assert call_javascript("wordforms.js", "formStarts", [[word] for word in words]) == [
        *map(wordforms.form_starts, words)
    ]
    script = (ROOT / "site_templates" / "assets" / "wordforms.js").read_text(encoding="utf-8")
    assert f"`{synonyms.SYNONYMS}`" in script
    assert all(f"{group}" in script for group in wordforms.IRREGULAR.split("|"))
    phrases = [phrase.split() for line in synonyms.SYNONYMS.split("\n") if line for phrase in line.split("|")]
    assert call_javascript("wordforms.js", "synonyms", [[phrase] for phrase in phrases]) == [
        [[*other] for other in synonyms.synonyms(phrase)] for phrase in phrases
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("leaf", "leaves"), ("photograph", "photographs"), ("labeled", "labelled"), ("colour", "colors"),
        ("centre", "centers"), ("summarisation", "summarization"), ("analyse", "analyzing"), ("dialogue", "dialogs"),
        ("mouse", "mice"), ("corpus", "corpora"), ("maths", "mathematics"), ("city", "cities"), ("grey", "gray"),
        ("сказка", "сказки"), ("επιγραφη", "επιγραφεσ"), ("कविता", "कविताएं"),
    ],
)  # fmt: skip
def test_forms_of_a_word_are_found_by_each_other(one: str, other: str) -> None:
    """Both are forms, and each begins as the terms that are looked through for the other."""
    for word, form in ((one, other), (other, one)):
        assert wordforms.is_form(word, form)
        assert any(form.startswith(start) for start in wordforms.form_starts(word))
    assert call_javascript("wordforms.js", "isForm", [[one, other], [other, one]]) == [True, True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("planet", "planes"),
        ("news", "new"),
        ("2012", "2013"),
        ("音声", "音楽"),
        ("сказка", "скала"),
        ("наблюдения", "наблюдеиня"),
    ],
)
def test_other_words_are_no_forms(one: str, other: str) -> None:
    assert not wordforms.is_form(one, other)
    assert call_javascript("wordforms.js", "isForm", [[one, other]]) == [False]
