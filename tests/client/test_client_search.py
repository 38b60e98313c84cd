"""One search, four places: a crawled store, the built site of it, the AppView over it, and accounts on a real PDS."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.appview.index import Index, directory
from catalog.appview.indexer import Indexer
from catalog.atproto.datamodel import record_cid
from catalog.client import Client, Finding
from catalog.client import appview as appview_search
from catalog.client.site_client import HostedSite
from catalog.errors import CatalogError, InvalidConfig, NetworkError, RequestFailed
from catalog.records import DATASET, LENS, SCHEMA, Dataset, read_record
from catalog.site import facets, textindex
from catalog.store import Store
from catalog.store.graph import Graph
from catalog.store.index_format import Column, decode_rows, decode_short, encode_short
from catalog.store.matching import TermLists, distance, question
from catalog.store.reader import Reader
from catalog.store.searchable import LEVELS, levels_of, spelt_terms
from tests import sitecatalog
from tests.appviewservices import serving
from tests.fakes import Asked, answer, fake_server
from tests.hostilerecords import PAYLOADS
from tests.sitecatalog import DID, dataset, schema, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from tests.conftest import Network

EXTRA: list[tuple[str, str, dict[str, Json]]] = [
    (DATASET, "3kelephant", dataset(3, name="Elephant migrations", description="Herds by collar.", tags=["savanna"])),
    (DATASET, "3kvolga", dataset(4, name="Волга наблюдения", description="Élévation du fleuve.", tags=["river"])),
    (DATASET, "3kchinese", dataset(5, name="海洋声音数据", tags=["ocean", "reef sound"], license="cc0-1.0")),
    (DATASET, "3kjoined", dataset(6, name="MarineMammalCalls", schemaRef=str(uri(SCHEMA, "Pixel:1.0.0")))),
    (SCHEMA, "Pixel:1.0.0", schema("Pixel", description="A point of light.", metadata={"tags": ["vision"]})),
    *((DATASET, f"3khostile{key}", dataset(7, name=text[:200], tags=[])) for key, text in PAYLOADS.items()),
]
PLACES = ("store", "site", "appview")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, its built site, and the index over it."""
    made = tmp_path_factory.mktemp("catalog")
    sitecatalog.build(made, datasets=30, extra=EXTRA)
    reader = Reader(made / "store.sqlite")
    with Indexer(Index(directory(made / "store.sqlite")), reader) as indexer:
        indexer.catch_up()
    reader.close()
    return made


@pytest.fixture(scope="module")
def appview(folder: Path) -> Iterator[str]:
    with serving(folder / "mkdocs.yml", "--no-follow") as served:
        served.until_ready()
        yield served.url


@pytest.fixture
def site(folder: Path, serve: Callable[[Path], str]) -> str:
    return serve(folder / "site")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    with Client() as opened:
        yield opened


@pytest.fixture
def places(folder: Path, site: str, appview: str) -> dict[str, dict[str, Any]]:
    return {"store": {"store": folder / "store.sqlite"}, "site": {"site": site}, "appview": {"appview": appview}}


def told(found: Finding[Any]) -> str:
    return json.dumps(found.as_json(), sort_keys=True)


def vocabulary(folder: Path) -> list[str]:
    """The terms by which the records are found."""
    with Store.open(folder / "store.sqlite") as store:
        graph = Graph.from_store(store)
    found = {term for node in graph.nodes for level in textindex.levels(node) for term in level}
    return sorted(word for word in found if len(word) < 20)


def test_every_word_finds_the_same_in_store_site_and_appview(
    folder: Path, client: Client, places: dict[str, dict[str, Any]]
) -> None:
    """The same results, field by field, for all the words there are, and pairs of them."""
    words = [word for word in vocabulary(folder) if word not in ("did", "plc")]
    assert len(words) > 60
    pairs = ["tidal ocean", "harbour 7", "elephant collar", "wave short", "recordings audio river"]
    for query in [*words[::2], *pairs]:
        found = {name: {told(one) for one in client.search(query, limit=500, **places[name])} for name in PLACES}
        assert found["store"], query
        assert found["store"] == found["site"] == found["appview"], query


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("elephant collar", {"3kelephant"}),
        ("SAVANNA", {"3kelephant"}),
        ("elevation", {"3kvolga"}),
        ("волга", {"3kvolga"}),
        ("声音", {"3kchinese"}),
        ("reef", {"3kchinese"}),
        ("mammal calls", {"3kjoined"}),
        ("point of light", {"Pixel:1.0.0"}),
        ("elephant fleuve", {"3kelephant", "3kvolga"}),
        ("elephant fleuve?", {"3kelephant", "3kvolga"}),
        ("giraffe", set()),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_a_query_finds_the_records_that_have_its_words(
    client: Client, places: dict[str, dict[str, Any]], place: str, query: str, keys: set[str]
) -> None:
    """The expected records are written by hand."""
    assert {str(found.uri).rpartition("/")[2] for found in client.search(query, **places[place])} == keys


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"kinds": ["schema", "lens"]}, 4),
        ({"tag": ["ocean", "reef sound"]}, 1),
        ({"license": "CC0-1.0"}, 1),
        ({"license": "mit", "kinds": ["dataset"], "tag": "river"}, 7),
        ({"schema": "Pixel"}, 1),
        ({"schema": "Wave@1.1.0", "text": "tidal"}, 30),
        ({"schema": "Wave@1.0.0"}, 0),
        ({"schema": "Nothing"}, 0),
        ({"schema": str(uri(SCHEMA, "Pixel:1.0.0"))}, 1),
        ({"schema": "Wave", "kinds": ["lens"]}, 0),
        ({"dtype": "float32", "kinds": ["schema"]}, 3),
        ({"dtype": "float64"}, 0),
        ({"publisher": "waves.example.org", "text": "gain", "kinds": ["lens"]}, 1),
        ({"publisher": str(DID), "kinds": ["lens"]}, 1),
        ({"publisher": "other.example.org"}, 0),
        ({"text": "eleph*"}, 1),
        ({"text": "elephnat"}, 1),
        ({"text": "migr"}, 1),
        ({"text": "ELEVATION Fleuve"}, 1),
        ({"text": "elephant nowhere"}, 1),
        ({"text": "tidal nowhere"}, 30),
        ({"text": "***"}, 48),
        ({"text": "?!"}, 0),
    ],
)
def test_conditions_mean_the_same_everywhere(
    client: Client, places: dict[str, dict[str, Any]], asked: dict[str, Any], count: int
) -> None:
    found = {name: {str(one.uri) for one in client.search(limit=500, **asked, **places[name])} for name in PLACES}
    assert found["store"] == found["site"] == found["appview"]
    assert len(found["store"]) == count


def test_a_finding_has_what_results_show(client: Client, places: dict[str, dict[str, Any]]) -> None:
    for place in places.values():
        (found,) = client.search("elephant", **place)
        assert (found.kind, found.name, found.version, found.tags) == (
            "dataset",
            "Elephant migrations",
            None,
            ("savanna",),
        )
        assert (found.license, found.samples, found.bytes) == ("CC-BY-4.0", 300, 4_500_000)
        assert (found.summary, found.publisher.handle) == ("Herds by collar.", "waves.example.org")
        assert found.uri == uri(DATASET, "3kelephant")


def test_a_limit_keeps_the_best_and_the_total_tells_of_the_rest(
    client: Client, places: dict[str, dict[str, Any]]
) -> None:
    for place in places.values():
        found = client.search("tidal", limit=3, **place)
        assert (len(found), found.total) == (3, 30)


def test_an_appview_s_pages_are_followed(
    client: Client, places: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the end, or to the limit; each record once."""
    monkeypatch.setattr(appview_search, "_PAGE", 7)
    found = list(client.search("", limit=150, **places["appview"]))
    assert len(found) == len({one.uri for one in found}) == len(client.search("", limit=500, **places["store"])) > 7
    assert len(client.search("", limit=9, **places["appview"])) == 9


def test_an_appview_that_has_only_what_all_have_is_asked_for_datasets(client: Client) -> None:
    """And says so. What it can't narrow down by is refused."""

    def entries(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        assert asked.query["q"] == "waves"
        answer(handler, json.dumps({"entries": []}).encode())

    with fake_server({"/xrpc/science.alt.dataset.searchDatasets": entries}) as fake:
        found = client.search("waves", kinds=["dataset"], appview=fake.url)
        assert (len(found), found.total) == (0, None)
        assert "no search over all kinds" in found.notes[0]
        with pytest.raises(InvalidConfig, match="can't be searched by dtype"):
            client.search("waves", dtype="uint8", appview=fake.url)


@pytest.mark.parametrize(
    "hit",
    [
        None, {}, {"uri": 5}, {"uri": "at://did:plc:x/a.b.c/d"},
        {"uri": str(uri(DATASET, "3kx")), "cid": "bafy", "record": dataset(1)},
        {"uri": str(uri(DATASET, "3kx")), "cid": "bafy", "record": {"x": 1.5}},
        {"uri": str(uri(DATASET, "3kx")), "cid": str(record_cid({"name": 5})), "record": {"name": 5}},
    ],
)  # fmt: skip
def test_hits_that_are_none_are_passed_over_and_told(client: Client, hit: Any) -> None:  # noqa: ANN401
    good = {"uri": str(uri(DATASET, "3kgood")), "cid": str(record_cid(dataset(1))), "record": dataset(1)}
    page = {"hits": [hit, good, good], "total": "many", "loose": [5], "cursor": "again"}

    def hits(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, json.dumps(page).encode())

    refused: list[Any] = []
    with fake_server({"/xrpc/science.alt.dataset.search": hits}) as fake:
        found = client.search("tidal", appview=fake.url, refused=refused)
    assert [str(one.uri) for one in found] == [str(uri(DATASET, "3kgood"))]
    assert refused


@pytest.mark.parametrize("page", ["[]", "{}", '{"hits": 5}', "<html>", "[" * 50_000])
def test_an_answer_that_is_none_is_an_error(client: Client, page: str) -> None:
    def hits(handler: BaseHTTPRequestHandler, _: Asked) -> None:
        answer(handler, page.encode())

    with fake_server({"/xrpc/science.alt.dataset.search": hits}) as fake, pytest.raises(NetworkError):
        client.search("tidal", appview=fake.url)


def test_an_account_is_searched_at_its_own_pds(network: Network) -> None:
    """By words, with their beginnings and slips, over all kinds; other conditions narrow it."""
    account = network.account("searched")
    network.create_record(account, SCHEMA, schema("Pixel"), "Pixel:1.0.0")
    here = f"at://{account.did}/{SCHEMA}/Pixel:1.0.0"
    for name, tag in (("Elephant herds", "savanna"), ("Herds of elk", "tundra")):
        network.create_record(account, DATASET, dataset(1, name=name, tags=[tag], schemaRef=here))
    with Client() as client:
        for asked, expected in (
            ({"text": "herds"}, {"Elephant herds", "Herds of elk"}),
            ({"text": "eleph"}, {"Elephant herds"}),
            ({"text": "elephnat"}, {"Elephant herds"}),
            ({"text": "herds", "tag": "tundra"}, {"Herds of elk"}),
            ({"schema": "Pixel@1.0.0"}, {"Elephant herds", "Herds of elk"}),
            ({"text": "signal"}, {"Pixel"}),
            ({"text": "pixel", "license": "mit"}, {"Pixel"}),
        ):
            found = client.search(publisher=account.handle, **asked)  # type: ignore[arg-type]
            assert {one.name for one in found} == expected, asked
            assert all(one.publisher.handle == account.handle for one in found)


def test_a_site_s_address_may_be_an_appview_s(client: Client, appview: str, site: str) -> None:
    assert client.search("elephant", site=appview).place == appview
    assert client.search("elephant", site=site).place == site
    assert len(client.search("elephant", site=appview)) == 1
    with pytest.raises(RequestFailed, match="neither a catalog's site nor an AppView"):
        client.search("x", site=f"{site}guide/")
    with pytest.raises(NetworkError):
        client.search("x", site="http://127.0.0.1:9")


def test_datasets_schemas_and_lenses_of_a_hosted_site(client: Client, site: str, folder: Path) -> None:
    """As from the store that it was built from."""
    store = folder / "store.sqlite"
    several: list[dict[str, Any]] = [
        {},
        {"tag": "ocean"},
        {"schema": "Pixel@1.0.0"},
        {"publisher": "waves.example.org", "text": "collar"},
    ]
    for asked in several:
        there = [told(one) for one in client.datasets(site=site, **asked)]
        assert there
        assert sorted(there) == sorted(told(one) for one in client.datasets(store=store, **asked))
    assert {one.name for one in client.schemas(site=site, tag="vision")} == {"Pixel"}
    assert [one.name for one in client.lenses(site=site, source="Wave")] == ["without gain"]
    assert list(client.lenses(site=site, source="Pixel")) == []
    assert list(client.datasets(str(DID).replace("ew", "xw"), site=site)) == []


def test_a_site_s_records_are_read_by_lists_not_one_by_one(
    client: Client, copy: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of requests depends on the number of lists only, also where conditions need schemas."""
    requested: list[str] = []
    send = SimpleHTTPRequestHandler.send_head

    def counted(handler: SimpleHTTPRequestHandler) -> object:
        requested.append(handler.path)
        return send(handler)

    monkeypatch.setattr(SimpleHTTPRequestHandler, "send_head", counted)
    base = serve(copy)
    everything = list(client.datasets(site=base))
    assert len(everything) > 30
    assert sorted(requested) == [
        "/catalog/records-1.json", "/catalog/text/index.json", "/datasets/index.json", "/publishers/index.json",
    ]  # fmt: skip
    requested.clear()
    assert len(list(client.datasets(site=base, schema="Pixel@1.0.0"))) == 1
    assert len(requested) == 6, "the lists of schemas, too"

    rows = json.loads((copy / "catalog/records-1.json").read_text())
    (copy / "catalog/records-1.json").write_text(json.dumps(rows[:20]))
    (copy / "catalog/records-2.json").write_text(json.dumps(rows[20:]))
    lists = {"records": ["catalog/records-1.json", "catalog/records-2.json"]}
    (copy / "datasets/index.json").write_text(json.dumps(lists))
    requested.clear()
    assert [told(one) for one in client.datasets(site=base)] == [told(one) for one in everything]
    assert len(requested) == 5


@pytest.mark.parametrize(
    "change", [{"record": {}}, {"cid": "bafy"}, {"page": "../../etc/passwd/"}, {"uri": "at://x"}, {"uri": None}]
)
def test_a_wrong_row_of_a_list_is_passed_over(
    client: Client, copy: Path, serve: Callable[[Path], str], change: dict[str, Json]
) -> None:
    file = copy / "catalog/records-1.json"
    rows = json.loads(file.read_text())
    datasets = [row for row in rows if row["kind"] == "dataset"]
    datasets[3].update(change)
    file.write_text(json.dumps([*rows, [], None]))
    refused: list[Any] = []
    assert len(list(client.datasets(site=serve(copy), refused=refused))) == len(datasets) - 1
    assert len(refused) == 1
    assert refused[0].where.startswith("http")


def test_a_record_that_a_list_lacks_is_read_from_its_page(
    client: Client, copy: Path, serve: Callable[[Path], str]
) -> None:
    """Too large for a list, or the site of an older version."""
    file = copy / "catalog/records-1.json"
    rows = json.loads(file.read_text())
    for row in rows:
        del row["record"]
    file.write_text(json.dumps(rows))
    count = sum(row["kind"] == "dataset" for row in rows)
    assert len({one.uri for one in client.datasets(site=serve(copy))}) == count


@pytest.mark.parametrize("content", ["[]", '{"records": [7]}', '{"records": ["../x.json"]}', '{"records": "x"}'])
def test_a_broken_index_of_lists_is_an_error(
    client: Client, copy: Path, serve: Callable[[Path], str], content: str
) -> None:
    (copy / "datasets/index.json").write_text(content)
    with pytest.raises(RequestFailed):
        list(client.datasets(site=serve(copy)))


def test_what_a_place_cannot_do_is_refused(client: Client) -> None:
    with pytest.raises(InvalidConfig, match="a PDS can't be searched by dtype"):
        client.search("x", publisher="alice.example.org", dtype="uint8")
    with pytest.raises(InvalidConfig, match="no place to search"):
        client.search("x")
    with pytest.raises(InvalidConfig, match="one place at a time"):
        client.search("x", site="https://a.example", appview="https://b.example")
    with pytest.raises(InvalidConfig, match="not a kind"):
        client.search("x", kinds=["label"], site="https://a.example")
    with pytest.raises(InvalidConfig, match="more than 500"):
        client.search("x" * 501, site="https://a.example")


# --- hostile sites -------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder / "site", tmp_path / "site")


def test_a_record_with_another_cid_or_of_another_page_is_passed_over(
    client: Client, copy: Path, serve: Callable[[Path], str]
) -> None:
    place = next(copy.glob("datasets/*/3kelephant/index.json"))
    whole = json.loads(place.read_text())
    base = serve(copy)
    refused: list[Any] = []
    several: list[Any] = [
        {**whole, "cid": whole["cid"][:-1] + "a"},
        {**whole, "record": {**whole["record"], "name": "Elephant lies"}},
        {**whole, "uri": whole["uri"].replace("3kelephant", "3kvolga")},
        {**whole, "uri": "\x1b[2J"},
        [],
        {"uri": None},
    ]
    for wrong in several:
        place.write_text(json.dumps(wrong))
        assert len(client.search("elephant", site=base, refused=refused)) == 0
    assert len(refused) == 6
    place.write_text(json.dumps(whole))
    assert len(client.search("elephant", site=base)) == 1


@pytest.mark.parametrize("name", ["catalog/text/index.json", "catalog/facets.json"])
@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", "[" * 100_000, "NaN", '{"version": "x", "rows": 1}',
        '{"version": "ab", "rows": 1e99, "total": 2, "buckets": 1, "shown": 16}',
        '{"version": "ab", "rows": 5, "total": 2, "buckets": 1, "shown": 16}',
        '{"version": "ab", "rows": 5, "total": 5, "buckets": 0, "shown": 0}',
        '{"version": "ab", "length": 99999999999, "facets": {"tag": {"words": [], "column": "~"}}}',
    ],
)  # fmt: skip
def test_broken_files_of_a_site_are_our_own_errors(
    client: Client, copy: Path, serve: Callable[[Path], str], name: str, content: str
) -> None:
    (copy / name).write_text(content)
    with pytest.raises(CatalogError):
        client.search("elephant", tag="savanna", site=serve(copy))


def test_shards_cut_short_and_numbers_out_of_range_are_errors(
    client: Client, copy: Path, serve: Callable[[Path], str]
) -> None:
    base = serve(copy)
    for raw in (b"", b"\xff" * 50, b"\x02" * 2):
        for file in copy.glob("catalog/text/rows/*.bin"):
            file.write_bytes(raw)
        with pytest.raises(RequestFailed, match="not a valid file"):
            client.search("elephant", site=base)


def test_an_address_that_leaves_the_site_is_not_followed(
    client: Client, copy: Path, serve: Callable[[Path], str]
) -> None:
    for file in copy.glob("catalog/text/shown/*.json"):
        rows = json.loads(file.read_text())
        file.write_text(json.dumps([[row[0], "../../etc/passwd/", *row[2:]] for row in rows]))
    refused: list[Any] = []
    assert len(client.search("elephant", site=serve(copy), refused=refused)) == 0
    assert "not a valid file" in refused[0].message


@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_bytes_are_lists_of_rows_or_an_error(raw: bytes, total: int) -> None:
    try:
        lists = decode_rows(raw, total)
    except ValueError:
        return
    assert all(0 <= row < total and 0 <= level < LEVELS for level, rows in lists for row in rows)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_any_json_is_a_column_or_an_error(column: Any) -> None:  # noqa: ANN401
    try:
        Column.read(column, 3)
    except ValueError:
        return


@given(st.lists(st.integers(0, 10**9)))
def test_numbers_come_back_as_they_were_written(numbers: list[int]) -> None:
    assert decode_short(encode_short(numbers)) == numbers


def test_columns_come_back_as_they_were_written(folder: Path, site: str, client: Client) -> None:
    """Every facet of every record, against what the writer was given."""
    with Store.open(folder / "store.sqlite") as store:
        graph = Graph.from_store(store)
    names = facets.schema_names(graph)
    words = [facets.words_of(node, names) for node in facets.rows(graph)]
    read = HostedSite(client.http, site)
    for facet in ("kind", "tag", "licence", "publisher", "schema", "dtype"):
        for word in {word for row in words for word in row[facet]}:
            wanted = [row for row, held in enumerate(words) if word in held[facet]]
            has = read.where(facet, word.__eq__)
            assert [row for row in range(read.rows) if has(row)] == wanted, (facet, word)


# --- words ---------------------------------------------------------------------------------------------------------


def _lists(*values: dict[str, Json]) -> TermLists:
    records = [read_record(DATASET, value) for value in values]
    return TermLists(
        (levels_of(record, handle=None, did=str(DID)), spelt_terms(record))
        for record in records
        if isinstance(record, Dataset)
    )


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=20), max_size=4))
def test_any_text_is_a_question(asked: str, names: list[str]) -> None:
    found, _ = _lists(*(dataset(1, name=name) for name in names)).search(question(asked))
    assert set(found.rows) <= set(range(len(names)))
    assert found.full <= len(found.rows)


def test_words_above_others_and_slips() -> None:
    lists = _lists(
        dataset(1, name="Reef", description="elephant", tags=[]),
        dataset(2, name="Elephant reef", description="", tags=[]),
        dataset(3, name="x", description="", tags=["elephant"]),
        dataset(4, name="Elephants", description="", tags=[]),
    )

    def rows(text: str) -> list[int]:
        return lists.search(question(text))[0].rows

    assert rows("elephant") == [1, 3, 2, 0]
    assert rows("elephants") == [3, 1, 2, 0]
    assert rows("elephnat") == [1, 2, 3, 0]
    assert rows("eleph") == [3, 1, 2, 0]
    assert rows("elephant ree*") == [1, 0]
    assert rows("zebra") == []


def test_few_records_with_all_words_are_followed_by_those_with_most() -> None:
    lists = _lists(
        dataset(1, name="Reef fish", description="Counted at noon.", tags=[]),
        dataset(2, name="Reef", description="Corals.", tags=[]),
        dataset(3, name="Noon", description="Sundials.", tags=[]),
        *(dataset(number, name="Other", description="Nothing.", tags=[]) for number in range(9)),
    )
    found, _ = lists.search(question("reef fish"))
    assert (found.rows, found.full, found.dropped) == ([0, 1], 1, ("fish",))
    found, _ = lists.search(question("reef whales"))
    assert (found.rows, found.full, found.dropped) == ([1, 0], 0, ("whales",))
    found, planned = lists.search(question("the reef of whales"))
    assert (found.rows, planned.loose) == ([1, 0], ())


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_a_distance_is_that_of_the_plain_recursion(one: str, other: str) -> None:
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        best = min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))
        if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
            best = min(best, slow(a[2:], b[2:]) + 1)
        return best

    assert distance(one, other, 2) == min(3, slow(one, other))


def test_a_finding_is_the_same_value_everywhere(client: Client, places: dict[str, dict[str, Any]]) -> None:
    found = [next(iter(client.search("without gain", kinds=["lens"], **place))) for place in places.values()]
    assert found[0] == found[1] == replace(found[2])
    assert found[0].uri.collection == LENS
