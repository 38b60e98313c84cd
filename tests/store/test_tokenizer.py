"""The tokenizer: Python, the browser's JavaScript, the AppView's index and the client cut every text alike."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import TYPE_CHECKING, Any, Final

import pytest

from catalog.appview.query import Filters, ask
from catalog.records import DATASET
from catalog.store.matching import question
from catalog.store.tokenizer import LONGEST, fold, tokenize
from tests.appviewstores import World, dataset
from tests.javascript_modules import call_javascript
from tests.paths import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASES: Final[list[dict[str, Any]]] = json.loads((TESTS / "data" / "tokens.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store and its index, with one dataset for each case, named by its text."""
    folder: Path = tmp_path_factory.mktemp("tokens")
    opened = World(folder)
    opened.put({f"{DATASET}/k{number:04}": dataset(f"a{case['text']}") for number, case in enumerate(CASES)})
    opened.catch_up()
    yield opened
    opened.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case["text"])[:30])
def test_a_text_is_cut_into_these_tokens(case: dict[str, Any]) -> None:
    assert tokenize(case["text"]) == case["tokens"]
    assert tokenize(case["text"], parts=True) == case["tokens"] + case.get("parts", [])


def test_the_browser_cuts_the_same_tokens() -> None:
    assert call_javascript("textindex.js", "tokenize", [[case["text"]] for case in CASES]) == [
        case["tokens"] for case in CASES
    ]


@pytest.mark.parametrize("case", [case for case in CASES if case["tokens"]], ids=lambda case: ascii(case["text"])[:30])
def test_queries_of_appview_and_client_have_the_same_tokens(world: World, case: dict[str, Any]) -> None:
    wanted = tuple(dict.fromkeys(case["tokens"]))
    assert ask(world.index, case["text"], Filters()).words == wanted
    assert tuple(word.text for word in question(case["text"])) == wanted


def test_the_engine_cuts_tokens_no_further(world: World) -> None:
    """Each token and each part, as the only word of a query, is a term of the index as it is."""
    tokens = {token for case in CASES for token in tokenize(f"a{case['text']}", parts=True)}
    searcher = world.index.searcher()
    assert {token for token in tokens if not searcher.doc_freq("name", token)} == set()


def test_every_character_is_cut_the_same_way_in_the_browser() -> None:
    """Each character that this Python knows, in a word and alone."""
    texts = [
        f"ab{letter}Cd {letter}"
        for letter in map(chr, range(0x110000))
        if unicodedata.category(letter) not in {"Cn", "Cs"}
        and (letter + "\0").lower() + unicodedata.normalize("NFKD", letter) != letter + "\0" + letter
    ]
    assert len(texts) > 10_000
    theirs = call_javascript("textindex.js", "tokenize", [[text] for text in texts])
    assert [text for text, tokens in zip(texts, theirs, strict=True) if tokens != tokenize(text)] == []


def test_any_mixture_is_cut_the_same_way_in_the_browser() -> None:
    chance = random.Random(3)  # noqa: S311
    alphabet = "aZé ß_İſK深海データ한국 ²½Ⅷ🙂\u0301x9-.,ﬁǅאبक्ΣσςΑ'"
    texts = ["".join(chance.choices(alphabet, k=12)) for _ in range(2000)]
    theirs = call_javascript("textindex.js", "tokenize", [[text] for text in texts])
    assert [text for text, tokens in zip(texts, theirs, strict=True) if tokens != tokenize(text)] == []


def test_tokens_do_not_depend_on_the_form_in_which_a_text_is_written() -> None:
    chance = random.Random(4)  # noqa: S311
    texts = ["".join(chance.choices("aZé Öß한国Σ_x9-½Å", k=12)) for _ in range(500)]
    for text in texts:
        forms = {tuple(tokenize(unicodedata.normalize(form, text))) for form in ("NFC", "NFD", "NFKC", "NFKD")}
        assert forms == {tuple(tokenize(text))}, ascii(text)
        assert tokenize(fold(text)) == tokenize(text)
        assert all(0 < len(token) <= LONGEST for token in tokenize(text))
