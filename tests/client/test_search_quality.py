"""Judged queries: store, site and AppView find the relevant datasets, and all three find the same ones in one order."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalog.appview.index import Index, directory
from catalog.appview.queries import Queries
from catalog.appview.query import Filters
from catalog.client import Client
from catalog.site import facets
from catalog.store import Store
from catalog.store.facet_values import DERIVED
from catalog.store.graph import Graph
from catalog.store.reader import Reader
from tests.judged import PLACES, SETS, catalog, judged_queries, quality, rows_of, search

if TYPE_CHECKING:
    from pathlib import Path

FORMS = {
    "leaves": "Leaf pictures", "photographs": "Leaf pictures", "labeled": "Leaf pictures", "cifar 10": "CIFAR10",
    "cifar-10": "CIFAR10", "cafe": "Trams", "lodz": "Trams", "odegard": "Trams", "isik": "Trams", "gebaeude": "Alpen",
    "strassenkarten": "Alpen", "图像识别": "图像数据集", "CNN": "图像数据集", "قطط": "صور القطط", "محمد": "صور القطط",
    "leaf-pictures": "Leaf pictures", "leafpictures": "Leaf pictures", "tiny unicorns": "CIFAR10", "botnist": "",
}  # fmt: skip
"""What is typed, and the name of the first result."""
TEXTS = {
    "Leaf pictures": "A photograph of one leaf each, labelled by an expert.", "CIFAR10": "Tiny pictures of ten things.",
    "Alpen": "Straßenkarten und Gebäude.", "Trams": "In Łódź, by Søren Ødegård and Gülşah Işık at a café.",
    "图像数据集": "一个图像分类数据集。适合基于CNN的图像识别研究。", "صور القطط": "مجموعة صور. مُحَمَّد كتبها.",
}  # fmt: skip


TYPED = {
    "real": {
        "exact": ["flowers", "digits"], "inflected": ["imagenets", "translations"], "misspelt": ["flowres", "caltach"],
        "unknown": ["zebra", "qqq"], "half typed": ["flo*", "seg*"], "ignored": ["of", "data"],
    },
    "multilingual": {
        "exact": ["istanbul", "语料"], "inflected": ["forets", "strassenschild"], "misspelt": ["istanbull", "elevaeg"],
        "unknown": ["zebra", "шкаф"], "half typed": ["istan*", "εποχ*"], "ignored": ["of", "data"],
    },
}  # fmt: skip
"""Words of a query by kind."""


@pytest.fixture(scope="module", params=SETS)
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name: str = request.param
    return name, catalog(tmp_path_factory.mktemp(name), rows_of(name))


@pytest.mark.parametrize("place", PLACES)
def test_relevant_datasets_are_among_the_first_results(judged: tuple[str, Path], place: str) -> None:
    name, path = judged
    queries = judged_queries(name)
    found = quality(queries, search(path, place, [one.query for one in queries]))
    assert found.success >= 0.92
    assert found.ndcg >= 0.85
    assert found.empty == 0
    assert not any(found.surplus.values()), "nothing is found where nothing is relevant"


def test_all_places_have_the_same_results_in_the_same_order(judged: tuple[str, Path]) -> None:
    name, path = judged
    queries = [f"{one.query} " for one in judged_queries(name)]  # a blank behind the last word closes it in the browser
    found = {place: search(path, place, queries, 30) for place in PLACES}
    for number, query in enumerate(queries):
        assert found["store"][number] == found["appview"][number], query
        assert found["store"][number] == found["site"][number], query


def test_words_are_found_in_other_forms_and_scripts(tmp_path: Path) -> None:
    empty = {"tags": [], "citation": "", "fields": []}
    path = catalog(tmp_path, [{"name": name, "description": text, **empty} for name, text in TEXTS.items()])
    for place in PLACES:
        results = search(path, place, [*FORMS])
        firsts = {query: next((name for _, name in found), "") for query, found in zip(FORMS, results, strict=True)}
        assert firsts == FORMS, place


def _combined(name: str) -> list[str]:
    """Return queries of one, two and three words of all kinds."""
    words = [word for kind in TYPED[name].values() for word in kind]
    chance = Random(name)  # noqa: S311
    pairs = [list(pair) for pair in permutations(words, 2)]
    return [" ".join(one) for one in (*zip(words), *pairs, *(chance.sample(words, 3) for _ in range(40)))]


def test_words_of_all_kinds_combined_give_the_same_results_everywhere(judged: tuple[str, Path]) -> None:
    name, path = judged
    queries = _combined(name)
    found = {place: search(path, place, [f"{query} " for query in queries], 30) for place in PLACES}
    for number, query in enumerate(queries):
        assert found["store"][number] == found["appview"][number], query
        assert found["store"][number] == found["site"][number], query


def test_a_word_that_no_record_has_is_left_out(judged: tuple[str, Path]) -> None:
    name, path = judged
    typed = TYPED[name]
    words = [word for kind in ("exact", "inflected", "misspelt") for word in typed[kind]]
    queries = [query for word in words for query in (word, *(f"{word} {no}" for no in typed["unknown"]))]
    queries += [f"{no} {word}" for word in words for no in typed["unknown"]]
    for place in PLACES:
        found = dict(zip(queries, search(path, place, queries), strict=True))
        for word in words:
            assert found[word], (place, word)
            for no in typed["unknown"]:
                assert found[f"{word} {no}"][0] == found[f"{no} {word}"][0] == found[word][0], (place, word)
    with Client() as client:
        notes = client.search(f"{words[0]} {typed['unknown'][0]}", store=path).notes
    assert any(typed["unknown"][0] in note for note in notes)


def test_the_appview_counts_the_facets_of_the_site(judged: tuple[str, Path]) -> None:
    _, path = judged
    with Store.open(path) as store:
        graph = Graph.from_store(store)
    names = facets.schema_names(graph)
    words = [facets.words_of(node, names) for node in graph.datasets]
    reader = Reader(path)
    answer = Queries(Index(directory(path)), reader).search(filters=Filters(kinds=("dataset",)), facets=DERIVED)
    reader.close()
    for facet in answer["facets"]:
        counted = Counter(value for row in words for value in row[facet["name"]])
        assert sum(counted.values()) == sum(one["count"] for one in facet["values"]) + facet["others"]
        for one in facet["values"]:
            assert counted[one["value"]] == one["count"], one
    assert {facet["name"] for facet in answer["facets"] if facet["values"]} >= {"modality", "format"}


def test_counts_that_are_kept_are_those_of_the_newest_records(tmp_path: Path) -> None:
    rows = [row for row in rows_of("real") if "content.data-type.image" in row["tags"]][:6]
    path = catalog(tmp_path, rows[:4])
    reader = Reader(path)
    queries = Queries(Index(directory(path)), reader)
    kinds = Filters(kinds=("dataset",))
    for count in (4, 4, 6):
        if count == 6:
            catalog(tmp_path, rows)
        (facet,) = queries.search(filters=kinds, facets=["modality"])["facets"]
        assert {one["value"]: one["count"] for one in facet["values"]}["image"] == count
    reader.close()
