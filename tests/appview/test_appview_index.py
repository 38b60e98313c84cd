"""The AppView's index: every match once, never apart from the store, and nothing that a record holds can harm it."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from datetime import datetime
from itertools import combinations, count
from random import Random
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import appview
from catalog.appview import document as documents
from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.appview.query import Filters, ask
from catalog.errors import InvalidSyntax, MissingExtra, StoreError
from catalog.records import DATASET, LABEL
from catalog.store.reader import Reader
from catalog.syntax import Did
from tests.appviewstores import ALICE, BOB, HANDLES, SEEN, SOURCE, World, dataset, put, uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


def _pages(world: World, q: str, limit: int, filters: Filters | None = None) -> Iterator[tuple[str, ...]]:
    cursor = None
    while True:
        page = ask(world.index, q, filters or Filters(), cursor).page(limit)
        yield page.uris
        cursor = page.cursor
        if cursor is None:
            return


# --- every match once ------------------------------------------------------------------------------------------------


def test_ten_thousand_matches_are_met_once_each_while_records_come_and_go(world: World) -> None:
    """1,000 come, 500 go, the index is opened anew and built anew in between: who was there all the time comes once."""
    chance = Random(1)  # noqa: S311
    crowd = [Did.parse(f"did:plc:{'c' * 22}{chr(97 + number // 26)}{chr(97 + number % 26)}") for number in range(50)]
    for number, did in enumerate(crowd):
        names = ["harbour", "tide gauge", "harbour harbour", "sea"]
        values = {
            f"{DATASET}/k{each:04}": dataset(
                f"{chance.choice(names)} {each}", (number * 7 + each) % 1000, tags=["harbour"] if each % 3 else [],
                description="A harbour.",
            )
            for each in range(210)
        }  # fmt: skip
        world.put(values, did)
    world.catch_up()
    before = {str(uri(path, did)) for did in crowd for path in world.held[did]}
    assert len(before) == 10_500

    met: list[str] = []
    gone: set[str] = set()
    arrivals, cursor, index = count(), None, world.index
    with Indexer(world.index, world.reader) as writer:
        for page_number in count():
            page = ask(index, "harbour", Filters(kinds=("dataset",)), cursor).page(100)
            met += page.uris
            cursor = page.cursor
            if cursor is None:
                break
            assert len(page.uris) == 100
            if page_number < 100:
                # Some of the newest, some of the oldest, and some between, of which many have the same date.
                fresh = {
                    f"{DATASET}/n{next(arrivals):04}": dataset(
                        chance.choice(["harbour", "harbour new", "sea"]),
                        chance.choice([-500, 500, 5000]),
                        description="A new harbour.",
                    )
                    for _ in range(10)
                }
                world.put(fresh, BOB)
                did = crowd[page_number // 2]
                paths = chance.sample(sorted(world.held[did]), 5)
                gone |= {str(uri(path, did)) for path in paths}
                world.take(paths, did)
                writer.catch_up()
            if page_number == 40:
                writer.rebuild()
            if page_number % 10 == 9:
                index = Index(directory(world.path))
    assert len(gone) == 500
    assert len(met) == len(set(met)), "none comes twice"
    assert before - gone <= set(met), "none of those that stayed is missed"
    assert next(arrivals) == 1000
    assert len(set(met) - before) > 100, "those who came where it was yet to be read are met"


def test_records_of_one_rank_are_kept_apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the digests of several URIs one and the same, each would still be met once: at once and when added later."""
    monkeypatch.setattr(documents, "rank_of", lambda _uri, made: documents.seconds_of(made) << documents.RANK_BITS)
    put(world, *(dataset(f"tide {number}") for number in range(5)))
    world.catch_up()
    put(world, *(dataset(f"tide {number}") for number in range(5, 9)))
    world.catch_up()
    world.put({f"{DATASET}/k00002": dataset("tide again")})
    world.catch_up()
    met = [uris for uris in _pages(world, "tide", 1) if uris]
    assert len(met) == 9
    assert len(set(met)) == 9


VOCABULARY = ("tide", "tides", "tidal", "gauge", "harbour", "harbours", "wave", "waves", "oceanography", "a", "數據集")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three hundred datasets of few words, so that they match in all ways there are."""
    chance = Random(7)  # noqa: S311
    opened = World(tmp_path_factory.mktemp("corpus"))

    def some(most: int) -> str:
        return " ".join(chance.choices(VOCABULARY, k=chance.randint(1, most)))

    def tags() -> list[Json]:
        return [some(most) for most in (1, 2)[: chance.randrange(3)]]

    for did in (ALICE, BOB):
        values = [dataset(some(3), chance.randrange(40), tags=tags(), description=some(4)) for _ in range(150)]
        put(opened, *values, did=did)
    opened.catch_up()
    yield opened
    opened.close()


def _slow(world: World, asked: list[str]) -> list[str]:
    """The oracle: look at every record, one after the other; ``word*`` is a prefix, an article doesn't count."""
    asked = [word for word in asked if word.rstrip("*") != "a"] or asked
    placed = []
    held = [(did, path, value) for did, paths in world.held.items() for path, value in paths.items()]
    for did, path, value in held:
        levels = _levels_of(value, HANDLES[did])
        costs = [_cost(levels, word) for word in asked]
        if None in costs:
            continue
        each = [cost for cost in costs if cost is not None]
        where = str(uri(path, did))
        rank = documents.rank_of(where, datetime.fromisoformat(str(value["createdAt"])))
        placed.append((max(each), min(each), -rank, where))
    found = [where for *_, where in sorted(placed)]
    if len(asked) > 1 and len(found) < 5:  # few: those with most of the words follow
        found += _slow_partial(world, asked, found)
    return found


def _slow_partial(world: World, asked: list[str], full: list[str]) -> list[str]:
    """Records that lack words: by the weight of those they have, then as above."""
    records = {
        str(uri(path, did)): (value, _levels_of(value, HANDLES[did]))
        for did, paths in world.held.items() for path, value in paths.items()
    }  # fmt: skip
    costs = {where: [_cost(levels, word) for word in asked] for where, (_, levels) in records.items()}
    counts = [sum(each[place] is not None for each in costs.values()) for place in range(len(asked))]
    weights = [math.log(1 + len(records) / max(1, count)) for count in counts]
    placed = []
    for where, each in costs.items():
        if where in full:
            continue
        best: tuple[float, tuple[int, ...]] | None = None
        having = [place for place in range(len(asked)) if each[place] is not None]
        for size in range(1, len(having) + 1):
            for kept in combinations(having, size):
                share = sum(weights[place] for place in kept) / sum(weights)
                worst = max(each[place] or 0 for place in kept)
                if share >= 0.4 and (2 * size > len(asked) or worst <= 10):
                    best = min(best or (-share, kept), (-share, kept))
        if best is not None:
            own = [each[place] or 0 for place in best[1]]
            moment = datetime.fromisoformat(str(records[where][0]["createdAt"]))
            placed.append((best, max(own), min(own), -documents.rank_of(where, moment), where))
    return [where for *_, where in sorted(placed)]


FORMS = {
    "tide": {"tides"}, "tides": {"tide"}, "harbour": {"harbours"}, "harbours": {"harbour"}, "wave": {"waves"},
    "waves": {"wave"}, "oceanography": {"ocean", "marine"},
}  # fmt: skip
"""Written by hand: the words of the vocabulary that are forms of each other."""
COSTS = {"name": (0, 1, 2, 3), "tag": 5, "description": 9, "about": 15}


def _levels_of(value: dict[str, Json], handle: str) -> dict[str, int]:
    """The cost of each of a record's words, typed as it is."""
    tags = value["tags"]
    assert isinstance(tags, list)
    name = str(value["name"]).split()
    found: dict[str, int] = {}
    parts = ((COSTS["name"][min(4, len(name)) - 1], name), (COSTS["tag"], " ".join(map(str, tags)).split()))  # type: ignore[index]
    for cost, words in (*parts, (COSTS["description"], str(value["description"]).split())):
        for word in words:
            for token in ("數據", "據集", "數", "據", "集") if word == "數據集" else (word,):
                found.setdefault(token, cost)  # type: ignore[arg-type]
    for token in re.findall("[a-z]+", handle):
        found.setdefault(token, 15)
    return found


def _cost(levels: dict[str, int], word: str) -> int | None:
    bare = word.rstrip("*")
    found = [cost for token, cost in levels.items() if token == bare]
    found += [cost + 1 for token, cost in levels.items() if token in FORMS.get(bare, ())]
    if word.endswith("*") and len(bare) > 1:
        found += [cost + 2 for token, cost in levels.items() if token.startswith(bare) and token != bare]
    return min(found, default=None)


def _words_of(value: dict[str, Json], handle: str) -> tuple[set[str], set[str], set[str]]:
    """A record's words: of its name, of its tags, all."""
    tags = value["tags"]
    assert isinstance(tags, list)
    in_name, in_tags = (set(_tokens(" ".join(map(str, texts)))) for texts in ([value["name"]], tags))
    return in_name, in_tags, in_name | in_tags | set(_tokens(f"{value['description']} {handle}"))


def _tokens(text: str) -> list[str]:
    """Return the tokens of words of the vocabulary and of handles, without the tokenizer under test."""
    words = re.findall(r"\w+", text)
    return [token for word in words for token in (("數據", "據集") if word == "數據集" else (word,))]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(
        st.sampled_from([word for word in VOCABULARY if word.isascii()]), min_size=1, max_size=3, unique=True
    ),
    starred=st.booleans(),
    limit=st.integers(1, 120),
    scored=st.sampled_from([0, 50, 2000]),
)
def test_pages_are_in_the_order_of_the_slow_way(
    corpus: World,
    asked: list[str],
    starred: bool,  # noqa: FBT001
    limit: int,
    scored: int,
) -> None:
    """Names above tags above descriptions, newest first among equals; forms and prefixes after the word itself.

    Whether matches are scored or enumerated makes no difference.
    """
    if starred:
        asked[-1] += "*"
    expected = _slow(corpus, asked)
    with patch("catalog.appview.query._SCORED", scored):
        found = [one for page in _pages(corpus, " ".join(asked), limit) for one in page]
    assert found == expected
    assert ask(corpus.index, " ".join(asked), Filters()).count() == len(expected)


def _distance(one: str, other: str) -> int:
    """Return the edit distance: letters left out, inserted, changed, or swapped with the next one."""
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not i or not j:
                rows[i][j] = i + j
                continue
            rows[i][j] = min(
                rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )  # fmt: skip
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@pytest.mark.parametrize("typed", ["tidse", "harbuor", "wavse", "oceanograpyh", "ocanographi", "gage", "harb", "tidl"])
def test_a_misspelt_word_finds_the_names_and_tags_it_may_mean(corpus: World, typed: str) -> None:
    """Those with a word of a name or tag that has a slip or, in long words, two; and words that begin so. Each once."""
    allowed = 2 if len(typed) >= 8 else 1
    expected = set()
    records = [(value, HANDLES[did]) for did, held in corpus.held.items() for value in held.values()]
    near = {word for each in records for part in _words_of(*each)[:2] for word in part}
    meant = {word for word in near if _distance(typed, word) <= allowed}
    for did, held in corpus.held.items():
        for path, value in held.items():
            every = _words_of(value, HANDLES[did])[2]
            if every & meant or any(word.startswith(typed) for word in every):
                expected.add(str(uri(path, did)))
    found = [one for page in _pages(corpus, typed, 7) for one in page]
    assert expected, "the test means something"
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_fewer_slips_come_first_and_names_before_tags(world: World) -> None:
    """An old name with one slip is before a new one with two; a word like no other finds nothing."""
    put(
        world,
        dataset("oceanographs", 1),
        dataset("oceanography", 0),
        dataset("other", 9, tags=["oceanography"]),
        dataset("description", 9, description="oceanography"),
    )
    world.catch_up()
    assert world.names("oceanograpy") == ["oceanography", "other", "oceanographs", "description"]
    assert world.queries.search(q="oceanograpy")["loose"] == ["oceanograpy"]
    assert "loose" not in world.queries.search(q="oceanography")
    assert world.names("zzzzzzz") == []


def test_a_question_without_words_finds_everything_or_nothing(corpus: World) -> None:
    """Nothing was asked for, or a star: all; what has no word in it: nothing."""
    for q in ("", "  ", "*"):
        assert ask(corpus.index, q, Filters()).count() == 300
    for q in ("!", "🧪", "- *", "_"):
        assert ask(corpus.index, q, Filters()).count() == 0
        assert ask(corpus.index, q, Filters()).page(5).uris == ()


def test_a_few_words_only_are_prefixes_or_may_be_misspelt(corpus: World) -> None:
    """A query has eight words, and each stands for a few dozen terms at most, however many begin so."""
    assert ask(corpus.index, "ti* ga* ha* wa* oc* a", Filters()).modes == "ppppp"
    assert ask(corpus.index, "tixe gauxe harboux wavx tidx tide", Filters()).modes == "xxxxxe"
    assert ask(corpus.index, "tide " * 50, Filters()).modes == "e"
    put(corpus, *(dataset(f"wz{number}", 1) for number in range(300)), did=Did.parse("did:plc:" + "w" * 24))
    corpus.catch_up()
    for text in ("wz*", "wz", "wz1z", " ".join(f"wz{number}*" for number in range(50))):
        words = ask(corpus.index, text, Filters()).plan.words
        assert len(words) <= 8
        assert all(len(group) <= 40 for word in words for way in word.ways for group in way)
    corpus.take([*corpus.held[Did.parse("did:plc:" + "w" * 24)]], Did.parse("did:plc:" + "w" * 24))
    corpus.catch_up()


def test_a_cursor_keeps_how_words_were_read(world: World) -> None:
    """A word that becomes known between two pages goes on meaning what it meant on the first."""
    put(world, *(dataset("oceanography", number) for number in range(4)))
    world.catch_up()
    first = ask(world.index, "oceanograpy", Filters()).page(2)
    put(world, dataset("oceanograpy", -5))
    world.catch_up()
    second = ask(world.index, "oceanograpy", Filters(), first.cursor).page(10)
    assert len({*first.uris, *second.uris}) == len(first.uris) + len(second.uris) == 5


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "1.0123456789ab.e.0.ff", "2.0123456789ab.e..0.0.0.ff", f"2.0123456789ab.e..0.0.0.{'f' * 17}", "\ud800",
        "1" * 5000,
    ],
)  # fmt: skip
def test_cursors_that_are_none_are_told_so(corpus: World, cursor: str) -> None:
    """Made-up ones, and ones of another question, are errors; never a page of something else."""
    with pytest.raises(InvalidSyntax, match="cursor"):
        ask(corpus.index, "tide", Filters(), cursor)
    real = ask(corpus.index, "tide", Filters()).page(1).cursor
    assert real is not None
    with pytest.raises(InvalidSyntax, match="another question"):
        ask(corpus.index, "tides", Filters(), real)
    with pytest.raises(InvalidSyntax, match="another question"):
        ask(corpus.index, "tide", Filters(did=ALICE), real)
    *start, worst, best, rank = real.split(".")
    last = ".".join([*start, "60", best, rank])
    assert ask(corpus.index, "tide", Filters(), last).page(5).uris == ()
    for part in ("1", "99"):
        with pytest.raises(InvalidSyntax, match="cursor"):
            ask(corpus.index, "tide", Filters(), ".".join([*start[:-1], part, worst, best, rank]))


# --- hostile records and questions -----------------------------------------------------------------------------------


def test_no_record_keeps_the_others_out(world: World) -> None:
    """Half characters, control characters, endless words, other scripts, wild dates: indexed or left out, no more."""
    hostile: list[dict[str, Json]] = [
        dataset("half \ud800 a character"),
        dataset("nul \x00 in it", tags=["\x00", "\u202e", "  "]),
        dataset("x" * 200, description="y" * 5000),
        dataset("العربية עברית ไทย हिन्दी 數據集", description="🧪" * 1000),
        dataset("long ago", createdAt="0001-01-01T00:00:00Z"),
        dataset("far ahead", createdAt="9999-12-31T23:59:59.999Z"),
        dataset("huge", size={"samples": 2**53 - 1, "bytes": 2**53 - 1, "shards": 1}),
        dataset("a" * 40 + "b", tags=["t" * 150] * 30),
    ]
    fine = dataset("a fine one")
    values = {f"{DATASET}/k{number}": value for number, value in enumerate([*hostile, fine])}
    broken = ['{"$type": "x"}', "[]", "null", '{"name": 5}', '"\\ud800"']
    texts = {path: json.dumps(value) for path, value in values.items()}
    texts |= {f"{LABEL}/b{number}": text for number, text in enumerate(broken)}
    seen = SEEN.isoformat()
    with world.store._transaction():  # past the checks that a crawl has
        for path, text in texts.items():
            row = (str(uri(path)), ALICE, "bafyreix", SOURCE, 0, 1, "[]", seen, seen, text)
            world.store._db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        world.store._put_repo(world.repo(ALICE))
    world.catch_up()
    assert world.names("fine") == ["a fine one"]
    assert world.names("數據集") == [hostile[3]["name"]]
    assert world.names("")[0] in {value["name"] for value in values.values()} - {"long ago"}
    assert world.names("")[-1] == "long ago"
    assert len(world.names("")) == len(values)
    with Indexer(world.index, world.reader) as writer:
        assert not writer.check(), "what can't be indexed isn't taken for drift"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    q=st.text(max_size=60) | st.sampled_from(["*", "a*", '"tide"', "tide AND", "name:tide", "-tide", "(", "[a TO b]"]),
    tag=st.text(max_size=10),
    size=st.tuples(st.none() | st.integers(0, 2**53), st.none() | st.integers(0, 2**53)),
    limit=st.integers(1, 100),
)  # fmt: skip
def test_no_question_fails(corpus: World, q: str, tag: str, size: tuple[int | None, int | None], limit: int) -> None:
    """Whatever is asked, there is an answer, and its pages end."""
    for filters in (Filters(), Filters(tags=(tag,), licence=tag, size=size, made=size, kinds=("dataset", tag))):
        asked = ask(corpus.index, q, filters)
        page = asked.page(limit)
        assert len(page.uris) <= limit
        assert (page.cursor is None) == (asked.count() <= limit)
        corpus.queries.suggest(q=q, limit=5)


def test_without_the_engine_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the AppView where tantivy isn't installed names the extra."""
    monkeypatch.setitem(sys.modules, "tantivy", None)
    with pytest.raises(MissingExtra, match=re.escape("[appview]")):
        importlib.reload(appview)


def test_an_index_that_cant_be_opened_is_told_so(tmp_path: Path) -> None:
    """A directory that isn't one, a file that is none of tantivy's, a store that isn't there."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Index(tmp_path / "file" / "index")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "meta.json").write_text("{")
    with pytest.raises(StoreError, match="index can't be opened"):
        Index(tmp_path / "index")
    with pytest.raises(StoreError, match="no store"):
        Reader(tmp_path / "none.sqlite").position()
    assert not (tmp_path / "none.sqlite").exists()
