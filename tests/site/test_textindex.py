"""The text index: it finds what a plain look through all records finds, and the browser reads it as it was written."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.records import DATASET
from catalog.site import facets
from catalog.site.nodes import description_of, name_of, schema_of
from catalog.site.textindex import write_text_index
from catalog.store import Store
from catalog.store.graph import Graph, LensNode
from catalog.store.index_format import bucket
from catalog.store.tokenizer import tokenize
from tests.sitecatalog import build, dataset, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from catalog.atproto.datamodel import Json

TOKENS = {
    "tide": {"tide"},
    "harbour": {"harbour"},
    "wave": {"wave"},
    "Größe": {"grosse"},
    "naïve": {"naive"},
    "深海データ": {"深海", "海デ", "デー", "ータ", "深", "海", "デ", "ー", "タ"},
    "ΔΙΣΚΟΣ": {"δισκοσ"},
    "x2": {"x2", "x", "2"},
    "HTTPServer": {"httpserver", "http", "server"},
    "snake_case": {"snakecase", "snake", "case"},
    "a": {"a"},
    "İ": {"i"},
    "ß": {"ss"},
}
"""Written by hand: the terms that each word is found by."""
VOCABULARY = tuple(TOKENS)
ODD = "<script>alert(1)</script> \u202e ⟨x⟩ 🙂 ² ſ"
ODD_TOKENS: dict[str, set[str]] = {"\u202e": set(), "⟨x⟩": {"x"}, "🙂": set(), "²": {"2"}, "ſ": {"s"}}


def words_in(text: str) -> set[str]:
    """Return the tokens of a text, by the tables above; whatever else there is must be ASCII."""
    found: set[str] = set()
    for part in text.split():
        known = TOKENS.get(part, ODD_TOKENS.get(part))
        assert known is not None or part.isascii(), part
        found |= set(re.findall("[a-z0-9]+", part.lower())) if known is None else known
    return found


def _some(seed: int) -> list[tuple[str, str, dict[str, Json]]]:
    chance = random.Random(seed)  # noqa: S311
    return [
        (
            DATASET,
            f"3kword{number:07d}",
            dataset(
                number % 20,
                name=" ".join(chance.sample(VOCABULARY, 2)) + f" {number}",
                tags=_tags(chance),
                description=" ".join(chance.sample(VOCABULARY, 5)),
            ),
        )
        for number in range(60)
    ]


def _tags(chance: random.Random) -> list[Json]:
    tags: list[Json] = [chance.choice(VOCABULARY), ODD]
    return tags[: chance.randrange(3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textindex")
    build(folder, extra=_some(1))
    return folder


@pytest.fixture(scope="module")
def graph(folder: Path) -> Graph:
    with Store.open(folder / "store.sqlite") as store:
        return Graph.from_store(store)


def _words_of(graph: Graph) -> list[set[str]]:
    """Return the words that find each row: the oracle, with neither an index nor the tokenizer."""
    found = []
    for node in facets.rows(graph):
        schema = schema_of(node)
        texts = [name_of(node), *getattr(node.record, "tags", ()), node.publisher.shown]
        if isinstance(node, LensNode):
            texts += [name_of(end) for end in (node.source, node.target) if end is not None]
        if schema is not None:
            sample_type = schema.record.sample_type
            texts += [sample_type.name, *(field.name for field in sample_type.fields)]
        plain = re.sub(r"[*`]|\(http[^)]*\)", "", description_of(node) or "")
        found.append({token for text in (*texts, plain) for token in words_in(text)})
    return found


def _search(page: Page, asked: str, most: int = 5) -> dict[str, Any]:
    script = """async ([asked, most]) => {
        const { loadIndex } = await import("./assets/catalog/textindex.js");
        const index = await loadIndex(new URL("./", location.href));
        const { rows, best, full } = await index.search(asked, most);
        const shown = await Promise.all(best.slice(0, 5).map((row) => index.shownOf(row)));
        return { rows: [...rows], best, full, shown };
    }"""
    found: dict[str, Any] = page.evaluate(script, [asked, most])
    return found


def _with_all_words(page: Page, asked: str, rows: int) -> list[int]:
    """Return the rows that are shown as having every word; hand-written pages come after the last row."""
    found = _search(page, asked, 1000)
    return sorted(row for row in found["best"][: found["full"]] if row < rows)


FORMS = {"wave": {"waves"}, "recordings": {"recording"}}
"""Written by hand: the forms of words that some record has."""


def _has(known: set[str], word: str) -> bool:
    """Return True if a record with these terms has a word: as it is, in a form, or in its parts."""
    terms = words_in(word)
    whole, parts = word.lower().replace("_", ""), terms - {word.lower().replace("_", "")}
    return whole in known or bool(FORMS.get(whole, set()) & known) or (bool(parts) and parts <= known)


def test_the_browser_finds_what_a_look_through_all_records_finds(
    folder: Path, graph: Graph, serve: Callable[[Path], str], page: Page
) -> None:
    page.goto(serve(folder / "site"))
    rows = _words_of(graph)
    chance = random.Random(2)  # noqa: S311
    questions = [*VOCABULARY, "tide harbour", "recordings", "signal wave", "server", "snake", "zzz", "", "   "]
    questions += [" ".join(chance.sample(VOCABULARY, 3)) for _ in range(20)]
    for asked in questions:
        words = asked.split()
        wanted = [word for word in words if word != "a"] or words  # an article doesn't count beside others
        expected = [row for row, known in enumerate(rows) if wanted and all(_has(known, word) for word in wanted)]
        assert _with_all_words(page, asked + " ", len(rows)) == expected, asked  # a closed word: no beginnings
    tagged = [row for row, known in enumerate(rows) if words_in(ODD) <= known]
    assert _with_all_words(page, ODD + " ", len(rows)) == tagged


def test_the_last_word_may_be_the_beginning_of_one(
    folder: Path, graph: Graph, serve: Callable[[Path], str], page: Page
) -> None:
    page.goto(serve(folder / "site"))
    rows = _words_of(graph)
    for asked in ("harb", "ti", "tide har", "深", "gro", "δισ"):
        *whole, begun = asked.split()
        expected = [
            row for row, known in enumerate(rows)
            if set(whole) <= known and any(other.startswith(begun) for other in known)
        ]  # fmt: skip
        assert expected
        assert _with_all_words(page, asked, len(rows)) == expected, asked


def test_a_name_comes_before_a_tag_and_a_tag_before_a_description(
    tmp_path: Path, serve: Callable[[Path], str], page: Page
) -> None:
    extra = [
        (DATASET, "3kzzzaaaaaaa2", dataset(1, name="one", tags=[], description="an estuary somewhere")),
        (DATASET, "3kzzzaaaaaaa3", dataset(2, name="two", tags=["estuary"], description="nothing")),
        (DATASET, "3kzzzaaaaaaa4", dataset(3, name="Estuary three", tags=[], description="nothing")),
    ]
    fill(tmp_path / "store.sqlite", datasets=0, extra=extra)
    page.goto(serve(build(tmp_path, datasets=0, extra=extra)))
    assert [shown["name"] for shown in _search(page, "estuary")["shown"]] == ["Estuary three", "two", "one"]


def test_results_and_hand_written_pages_show_what_they_are(
    folder: Path, serve: Callable[[Path], str], page: Page
) -> None:
    page.goto(serve(folder / "site"))
    (shown,) = _search(page, "supercalifragilistic")["shown"]
    assert (shown["kind"], shown["name"], shown["address"]) == ("page", "Guide", "guide/")
    first = _search(page, "Tidal recordings")["shown"][0]
    assert first["kind"] == "dataset"
    assert (folder / "site" / first["address"] / "index.html").exists()
    assert first["publisher"] == "waves.example.org"


@given(st.text(max_size=40))
def test_any_text_gives_words_that_lie_in_a_bucket(text: str) -> None:
    for word in tokenize(text):
        assert word
        assert len(word) <= 64
        assert " " not in word
        assert 0 <= bucket(word, 7) < 7


def test_two_indexes_of_the_same_catalog_are_the_same(tmp_path: Path, graph: Graph) -> None:
    for name in ("a", "b"):
        write_text_index(graph, {"guide/": ("Guide", "words")}, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 5
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    index = json.loads((tmp_path / "a" / "catalog" / "text" / "index.json").read_text(encoding="utf-8"))
    assert index["rows"] == len(graph.nodes)
