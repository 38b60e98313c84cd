"""The AppView's queries: what they answer, in which order, and what never appears."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from catalog.appview import lens_network as lensnet
from catalog.appview.queries import FACETS
from catalog.appview.query import Filters
from catalog.appview.usage import Usage
from catalog.atproto import datamodel
from catalog.errors import InvalidSyntax, StoreError
from catalog.lenses.paths import MAX_TRIED
from catalog.records import DATASET, LABEL, LENS, SCHEMA, VERIFICATION
from catalog.store import Found, Repo
from catalog.store.reader import Reader
from catalog.syntax import Did
from tests import sitecatalog
from tests.appviewstores import ALICE, BOB, LABELS, SEEN, SOURCE, World, at, dataset, uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json

CODE: Json = {"repository": "https://code.example/waves", "commit": "b" * 40, "path": "waves.py:same"}


def _label(name: str, version: str | None, dataset: str, seconds: int = 0) -> dict[str, Json]:
    record: dict[str, Json] = {"$type": LABEL, "name": name, "datasetUri": dataset, "createdAt": at(seconds)}
    return record if version is None else {**record, "version": version}


def _lens(name: str, source: str, target: str) -> dict[str, Json]:
    return {
        "$type": LENS, "name": name, "sourceSchema": _schema_uri(source), "targetSchema": _schema_uri(target),
        "getterCode": CODE, "putterCode": CODE, "createdAt": at(0),
    }  # fmt: skip


def _word(lens: str, record: dict[str, Json], seconds: int = 0) -> dict[str, Json]:
    """A verification of a lens as it stands."""
    return {
        "$type": VERIFICATION, "lens": lens, "lensCommit": str(datamodel.record_cid(record)),
        "verificationMethod": "codeReview", "createdAt": at(seconds),
    }  # fmt: skip


def _schema_uri(key: str) -> str:
    return str(uri(f"{SCHEMA}/{key}"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    opened = World(tmp_path)
    yield opened
    opened.close()


def _names(answer: dict[str, Any], key: str) -> list[str]:
    return [item["name"] for item in answer[key]]


# --- what existing clients call --------------------------------------------------------------------------------------


def test_an_item_is_the_record_and_where_it_comes_from(world: World) -> None:
    """The record's own fields, its URI, CID and account; a record can't say these for itself."""
    lie: dict[str, Json] = {"uri": "at://liar", "cid": "x", "did": "did:plc:liar", "handle": "liar.example"}
    value = dataset("tide", 5, **lie, draft=True, verified=False, indexedAt="never", manifestSet="default")
    world.put({f"{DATASET}/k": value})
    world.catch_up()
    answer = world.queries.get_entry(str(uri(f"{DATASET}/k")))
    assert answer is not None
    expected = {key: part for key, part in value.items() if key not in {"$type", "draft"}}
    assert answer["entry"] == {
        **expected,
        "uri": str(uri(f"{DATASET}/k")),
        "cid": str(datamodel.record_cid(value)),
        "did": ALICE,
        "handle": "alice.example.org",
        "verified": True,
        "indexedAt": "2026-11-20T12:00:00.000Z",
    }
    assert world.queries.list_entries()["entries"] == [answer["entry"]]
    hit = world.queries.search(q="tide")["hits"][0]
    assert hit["record"] == value
    assert {key: part for key, part in hit.items() if key not in {"record", "kind"}}.items() <= answer["entry"].items()
    json.dumps(answer)


def test_one_record_is_got_by_did_or_handle_and_only_as_what_it_is(world: World) -> None:
    """A dataset is no schema; what isn't there is None; several come in the order asked for."""
    world.put({f"{DATASET}/a": dataset("a"), f"{DATASET}/b": dataset("b"), f"{SCHEMA}/W:1": sitecatalog.schema()})
    queries = world.queries
    for address in (
        str(uri(f"{DATASET}/a")),
        f"at://alice.example.org/{DATASET}/a",
        f"at://Alice.Example.org/{DATASET}/a",
    ):
        found = queries.get_entry(address)
        assert found is not None
        assert found["entry"]["name"] == "a"
    schema = queries.get_schema(_schema_uri("W:1"))
    assert schema is not None
    assert (schema["name"], schema["uri"]) == ("Wave", _schema_uri("W:1"))
    for wrong in (_schema_uri("W:1"), str(uri(f"{DATASET}/c")), "at://nobody.example/x/y", "", "at://", "x", "\x00"):
        assert queries.get_entry(wrong) is None
    assert queries.get_schema(str(uri(f"{DATASET}/a"))) is None
    asked = [f"at://alice.example.org/{DATASET}/b", _schema_uri("W:1"), "at://x", str(uri(f"{DATASET}/a"))]
    assert _names(queries.get_entries([*asked, asked[0]]), "entries") == ["b", "a"]


def test_a_schema_in_another_language_is_found_and_answered_as_it_is(world: World) -> None:
    body: Json = {"$type": f"{SCHEMA}#avro", "type": "record", "name": "Wave", "fields": []}
    value = sitecatalog.schema(schemaType="avro", schema=body)
    world.put({f"{SCHEMA}/Wave:1.0.0": value, f"{DATASET}/a": dataset("tide", schemaRef=_schema_uri("Wave:1.0.0"))})
    world.catch_up()
    found = world.queries.get_schema(_schema_uri("Wave:1.0.0"))
    assert found is not None
    assert (found["schemaType"], found["schema"]) == ("avro", body)
    assert world.names("", filters=Filters(schema=_schema_uri("Wave:1.0.0"))) == ["tide"]
    assert world.names("wave", filters=Filters(kinds=("schema",))) == ["Wave"]


@pytest.mark.parametrize("name", ["Wave", "ocean.wave"])
@pytest.mark.parametrize("key", ["{name}:{version}", "3k{number}"])
def test_schemas_are_resolved_by_name_or_key(world: World, name: str, key: str) -> None:
    """1.10.0 is newer than 1.9.0, and a release than what comes before it; a version that isn't there is none."""
    versions = ["1.9.0", "1.10.0-rc.1", "1.10.0", "1.2.0"]
    world.put(
        {
            f"{SCHEMA}/{key.format(name=name, version=version, number=number)}": sitecatalog.schema(name, version)
            for number, version in enumerate(versions)
        }
    )
    world.catch_up()
    resolve = world.queries.resolve_schema
    for handle in (ALICE, "alice.example.org"):
        newest = resolve(handle=handle, schema_id=name)
        assert newest is not None
        assert (newest["record"]["version"], newest["record"]["$type"]) == ("1.10.0", SCHEMA)
        assert newest["cid"] == str(datamodel.record_cid(newest["record"]))
        older = resolve(handle=handle, schema_id=name, version="1.9.0")
        assert older is not None
        assert older["uri"] == _schema_uri(key.format(name=name, version="1.9.0", number=0))
    assert resolve(handle=ALICE, schema_id=name, version="3.0.0") is None
    assert resolve(handle=ALICE, schema_id="Wav") is None
    assert resolve(handle=BOB, schema_id=name) is None
    assert resolve(handle="nobody.example", schema_id=name) is None


def test_labels_are_resolved_to_datasets_that_are_there(world: World) -> None:
    """The label created last, or the version asked for; a label whose dataset is gone doesn't count."""
    first, second, gone = (str(uri(f"{DATASET}/{key}")) for key in "abc")
    world.put({f"{DATASET}/a": dataset("a"), f"{DATASET}/b": dataset("b")})
    world.put(
        {
            f"{LABEL}/1": _label("tides", "1.9.0", first, 10),
            f"{LABEL}/2": _label("tides", "1.10.0", second, 30),
            f"{LABEL}/3": _label("tides", "2.0.0", gone, 40),
            f"{LABEL}/4": _label("plain", None, first, 1),
            f"{LABEL}/5": _label("plain", None, second, 2),
        }
    )
    world.put({f"{LABEL}/1": _label("tides", "9.0.0", first)}, BOB)
    world.catch_up()

    def resolved(**asked: str) -> str | None:
        found = world.queries.resolve_label(**{"handle": "alice.example.org", **asked})
        return None if found is None else found["uri"]

    assert resolved(name="tides") == second
    assert resolved(name="tides", version="1.9.0") == first
    assert resolved(name="tides", version="2.0.0") is None
    assert resolved(name="plain") == second, "the newer one"
    assert resolved(name="tides", handle=BOB) == first
    assert resolved(name="nothing") is None
    found = world.queries.resolve_label(handle=ALICE, name="tides")
    assert found is not None
    assert found["cid"] == str(datamodel.record_cid(dataset("b"))), "the dataset's"
    assert (found["label"]["version"], found["label"]["datasetUri"]) == ("1.10.0", second)


@pytest.mark.parametrize(("labels", "newest"), LABELS.values(), ids=LABELS)
def test_a_name_alone_resolves_to_the_label_created_last(
    world: World, labels: list[tuple[str | None, str]], newest: str | None
) -> None:
    named = str(uri(f"{DATASET}/a"))
    world.put({f"{DATASET}/a": dataset("a")})
    world.put(
        {
            f"{LABEL}/{key}": {**_label("tides", version, named), "createdAt": created}
            for key, (version, created) in enumerate(labels)
        }
    )
    world.catch_up()
    found = world.queries.resolve_label(handle=ALICE, name="tides")
    assert found is not None
    assert found["label"].get("version") == newest


def test_views_and_searches_of_a_dataset_are_counted_by_day(world: World) -> None:
    """Added up over processes, and forgotten after the longest period; further pages are of the same search."""
    world.put({f"{DATASET}/{key}": dataset("tide", at) for at, key in enumerate("ab")})
    world.catch_up()
    older, newer = (str(uri(f"{DATASET}/{key}")) for key in "ab")
    days, queries = [20_000], world.queries
    for _ in range(2):
        queries.usage = Usage(world.index.folder.with_name("usage.sqlite"), lambda: days[0] * 86_400)
        queries.get_entry(older.replace(ALICE, "alice.example.org"))
        queries.get_entries([older, newer])
        queries.search(q="tide")
        first = queries.search_datasets(q="tide", limit=1)
        assert queries.search_datasets(q="tide", limit=1, cursor=first["cursor"])["entries"][0]["uri"] == older
        queries.usage.flush()
    assert queries.entry_stats(older) == {"views": 4, "searchAppearances": 2, "period": "week"}
    assert queries.entry_stats(newer, period="day") == {"views": 2, "searchAppearances": 4, "period": "day"}
    analytics = queries.describe_service()["analytics"]
    assert (analytics["totalViews"], analytics["totalSearches"]) == (6, 4)
    days[0] += 1
    assert queries.entry_stats(older, period="day") == {"views": 0, "searchAppearances": 0, "period": "day"}
    assert queries.entry_stats(older) == {"views": 4, "searchAppearances": 2, "period": "week"}
    days[0] += 29
    assert queries.entry_stats(older, period="month") == {"views": 0, "searchAppearances": 0, "period": "month"}
    assert queries.entry_stats(str(uri(f"{DATASET}/gone"))) is None


def test_lists_are_newest_first_and_of_whom_was_asked_for(world: World) -> None:
    """Datasets, schemas, lenses and labels, page by page; an account that nobody knows has none."""
    world.put({f"{DATASET}/k{n}": dataset(f"a{n}", n) for n in range(7)})
    world.put({f"{DATASET}/k{n}": dataset(f"b{n}", 10 - n) for n in range(3)}, BOB)
    world.put({f"{SCHEMA}/W:1": sitecatalog.schema(), f"{LENS}/l": _lens("same", "W:1", "W:2")})
    world.put({f"{LABEL}/1": _label("a", "1.0.0", str(uri(f"{DATASET}/k0")))})
    world.catch_up()
    queries = world.queries
    assert _names(queries.list_entries(), "entries") == ["b0", "b1", "b2", "a6", "a5", "a4", "a3", "a2", "a1", "a0"]
    met, cursor = [], None
    while True:
        page = queries.list_entries(repo="alice.example.org", limit=3, cursor=cursor)
        met.append(_names(page, "entries"))
        cursor = page.get("cursor")
        if cursor is None:
            break
    assert met == [["a6", "a5", "a4"], ["a3", "a2", "a1"], ["a0"]]
    assert queries.list_entries(repo="nobody.example") == {"entries": []}
    assert _names(queries.list_schemas(), "schemas") == ["Wave"]
    for found in (
        queries.list_lenses(),
        queries.list_lenses(source_schema=_schema_uri("W:1"), target_schema=_schema_uri("W:2")),
        queries.search_lenses(source_schema=f"at://alice.example.org/{SCHEMA}/W:1"),
    ):
        assert _names(found, "lenses") == ["same"]
    assert queries.search_lenses(source_schema=_schema_uri("W:2")) == {"lenses": []}
    assert _names(queries.list_labels(), "labels") == ["a"]
    assert _names(queries.list_labels(dataset=f"at://alice.example.org/{DATASET}/k0", name="a"), "labels") == ["a"]
    assert queries.list_labels(dataset=str(uri(f"{DATASET}/k1"))) == {"labels": []}
    assert queries.list_labels(repo=BOB) == {"labels": []}
    assert queries.list_labels(name="1") == {"labels": []}, "its key is no name"


def test_a_date_that_has_yet_to_come_counts_as_when_it_was_seen(world: World) -> None:
    """Nobody stays on top for ever by dating a record ahead."""
    world.put({f"{DATASET}/ahead": dataset("ahead", createdAt="2099-01-01T00:00:00Z")})
    later = SEEN + timedelta(days=1)
    world.put({f"{DATASET}/now": dataset("now", createdAt="2026-11-21T12:00:00Z")}, moment=later)
    world.catch_up()
    assert _names(world.queries.list_entries(), "entries") == ["now", "ahead"]


def test_datasets_are_searched_by_words_tags_schema_and_account(world: World) -> None:
    """All tags must be there, written alike; schemas and lenses of the same name aren't datasets."""
    world.put(
        {
            f"{DATASET}/1": dataset("tide", 1, tags=["audio", "ocean"], schemaRef=_schema_uri("Wave:1.0.0")),
            f"{DATASET}/2": dataset("tide", 2, tags=["audio"]),
            f"{DATASET}/3": dataset("ebb", 3, description="No tide.", tags=["Audio"]),
            f"{SCHEMA}/Wave:1.0.0": sitecatalog.schema("tide"),
            f"{LENS}/l": _lens("tide", "a", "b"),
        }
    )
    world.put({f"{DATASET}/4": dataset("tide", 4)}, BOB)
    world.catch_up()

    def found(**asked: Any) -> list[str]:  # noqa: ANN401
        answer = world.queries.search_datasets(**{"q": "tide", **asked})
        return [item["uri"].rpartition("/")[2] for item in answer["entries"]]

    assert found() == ["4", "2", "1", "3"]
    assert found(tags=["audio"]) == ["2", "1"]
    assert found(tags=["ocean", "audio"]) == ["1"]
    assert found(tags=["ocean", "river"]) == []
    assert found(schema_ref=f"at://alice.example.org/{SCHEMA}/Wave:1.0.0") == ["1"]
    assert found(repo="bob.example.org") == ["4"]
    assert found(q="") == ["4", "3", "2", "1"]
    assert found(q="tide ebb") == ["3"]
    assert found(q="tide nothing") == ["4", "2", "1", "3"]  # a word that no record has is left out
    kinds = Counter(hit["kind"] for hit in world.queries.search(q="tide")["hits"])
    assert kinds == {"dataset": 4, "schema": 1, "lens": 1}


# --- ours ------------------------------------------------------------------------------------------------------------


def test_each_filter_keeps_what_it_says(world: World) -> None:
    """Kind, licence whatever its case, publisher, schema, dtype, state, sizes and dates with both ends."""
    schema = _schema_uri("Wave:1.0.0")
    sized: Json = {"samples": 1, "bytes": 1000, "shards": 1}
    twice: Json = {"samples": 1, "bytes": 2000, "shards": 1}
    world.put(
        {
            f"{SCHEMA}/Wave:1.0.0": sitecatalog.schema(createdAt=at(0)),
            f"{DATASET}/1": dataset("one", 10, license="MIT", size=sized, schemaRef=schema),
            f"{DATASET}/2": dataset("two", 20, license=" mit", size=twice),
            f"{DATASET}/3": {key: part for key, part in dataset("three", 30).items() if key not in {"size", "license"}},
            f"{LENS}/l": _lens("lens", "a", "b"),
        }
    )
    world.put({f"{DATASET}/4": dataset("four", 40)}, BOB)
    world.catch_up()
    begun = 1_767_225_600

    def found(**filters: Any) -> set[str]:  # noqa: ANN401
        return set(world.names("", filters=Filters(**filters)))

    assert found() == {"one", "two", "three", "four", "lens", "Wave"}
    assert found(kinds=("lens", "schema")) == {"lens", "Wave"}
    assert found(licence="mit") == {"one", "two", "Wave"}
    assert found(schema=schema) == {"one"}
    assert found(dtype="float32") == {"one", "Wave"}
    assert found(state="verified") == {"one", "two", "three", "four", "lens", "Wave"}
    assert found(state="draft") == set()
    assert found(size=(1000, 1999)) == {"one"}
    assert found(size=(1001, None), licence="MIT") == {"two"}
    assert found(size=(None, 1000)) == {"one"}
    assert found(size=(3000, 2000)) == set()
    assert found(made=(begun + 20, begun + 30)) == {"two", "three"}
    assert found(made=(begun + 31, None)) == {"four"}
    assert found(made=(None, begun)) == {"lens", "Wave"}
    for publisher in (BOB, "bob.example.org", "@bob.example.org"):
        assert world.names("", publisher=publisher) == ["four"]
    assert world.queries.search(publisher="nobody.example") == {"hits": [], "total": 0}


def test_facets_count_what_was_found(world: World) -> None:
    """Each facet's counts are those of counting by hand; labels say what to show in a DID's or URI's place."""
    chance = [("MIT", ["a", "b"], 10**5), ("MIT", ["a"], 10**6), ("CC0-1.0", [], 10**13)]
    world.put(
        {f"{SCHEMA}/Wave:1.1.0": sitecatalog.schema(version="1.1.0", createdAt="2025-06-01T00:00:00Z", metadata={})}
    )
    for number, (licence, tags, size) in enumerate(chance):
        sized: Json = {"samples": 1, "bytes": size, "shards": 1}
        value = dataset("tide", number, license=licence, tags=[*tags], size=sized, schemaRef=_schema_uri("Wave:1.1.0"))
        world.put({f"{DATASET}/{number}": value}, BOB if number else ALICE)
    world.catch_up()
    answer = world.queries.search(facets=FACETS)
    assert answer["total"] == 4
    facets = {
        facet["name"]: {value["value"]: value["count"] for value in facet["values"]} for facet in answer["facets"]
    }
    assert facets == {
        "kind": {"dataset": 3, "schema": 1},
        "task": {},
        "modality": {"time series": 3},
        "language": {},
        "format": {"msgpack": 3},
        "tag": {"a": 2, "b": 1},
        "licence": {"MIT": 2, "CC0-1.0": 1},
        "publisher": {ALICE: 2, BOB: 2},
        "schema": {_schema_uri("Wave:1.1.0"): 3},
        "dtype": {"float32": 4},
        "state": {"verified": 4},
        "year": {"2026": 3, "2025": 1},
        "size": {"0": 1, "1000000": 1, "1000000000000": 1},
    }
    labels = {value["value"]: value.get("label") for facet in answer["facets"] for value in facet["values"]}
    assert (labels[ALICE], labels["1000000"], labels["MIT"]) == ("alice.example.org", "1 to 10 MB", None)
    assert labels[_schema_uri("Wave:1.1.0")] == "Wave 1.1.0"
    narrow = world.queries.search(q="tide", filters=Filters(tags=("a",)), facets=["licence", "tag"], limit=1)
    assert [facet["name"] for facet in narrow["facets"]] == ["licence", "tag"]
    assert narrow["facets"][0]["values"] == [{"value": "MIT", "count": 2}]
    assert (len(narrow["hits"]), narrow["total"]) == (1, 2)


def test_facets_have_the_most_frequent_values_and_say_how_many_there_are_besides(world: World) -> None:
    """Anybody can make up tags; an answer has twenty."""
    world.put({f"{DATASET}/{n}": dataset("tide", tags=[f"t{n}", "common"]) for n in range(30)})
    world.catch_up()
    (facet,) = world.queries.search(facets=["tag"])["facets"]
    assert len(facet["values"]) == 20
    assert facet["values"][0] == {"value": "common", "count": 30}
    assert facet["others"] == 11


def test_suggestions_are_names_and_tags_that_begin_so(world: World) -> None:
    """Whole names first, then tags, then names with such a word; for a slip the names that may be meant."""
    world.put(
        {
            f"{DATASET}/1": dataset("harbour sounds", 1, tags=["harbours"]),
            f"{DATASET}/2": dataset("a harbour", 2),
            f"{DATASET}/3": dataset("Harbour sounds", 3),
            f"{SCHEMA}/H:1": sitecatalog.schema("HarbourWave", metadata={}),
        }
    )
    world.catch_up()

    def suggested(q: str, limit: int = 10) -> list[tuple[str, str]]:
        return [(one["kind"], one["text"]) for one in world.queries.suggest(q=q, limit=limit)["suggestions"]]

    found = suggested("harb")
    assert {*found[:2]} == {("schema", "HarbourWave"), ("dataset", "Harbour sounds")}
    assert found[2:] == [("tag", "harbours"), ("dataset", "a harbour")], "and names but once"
    assert suggested("Harbour s") == [("dataset", "Harbour sounds")]
    assert suggested("harb", 1) == found[:1]
    assert ("dataset", "a harbour") in suggested("harbuor")
    assert suggested("") == suggested("  ") == suggested("***") == []
    world.take([f"{DATASET}/1"])
    world.catch_up()
    assert ("tag", "harbours") not in suggested("harb")


def test_a_lens_says_what_it_leads_to_and_whether_somebody_vouched(world: World) -> None:
    """A word counts for the record it was given on: after a change of the lens it is no longer current."""
    lens = _lens("same", "Wave:1.0.0", "Wave:2.0.0")
    address = str(uri(f"{LENS}/l"))
    world.put({f"{LENS}/l": lens, f"{SCHEMA}/Wave:1.0.0": sitecatalog.schema()})
    world.catch_up()
    found = world.queries.get_lens(address)
    assert found is not None
    assert (found["lens"]["name"], found["vouched"]) == ("same", False)
    assert found["source"] == {"uri": _schema_uri("Wave:1.0.0"), "name": "Wave", "version": "1.0.0"}
    assert "target" not in found

    world.put({f"{VERIFICATION}/v": _word(address, lens, 1)}, BOB)
    world.catch_up()
    assert world.queries.get_lens(f"at://alice.example.org/{LENS}/l")["vouched"] is True  # type: ignore[index]
    world.put({f"{LENS}/l": {**lens, "description": "Now it says so."}})
    world.put({f"{VERIFICATION}/w": _word(address, {**lens, "description": "Now it says so."}, 2)}, BOB)
    world.catch_up()
    listed = world.queries.list_verifications(address)
    assert listed is not None
    assert [item["current"] for item in listed["verifications"]] == [True, False]
    world.take([f"{VERIFICATION}/w"], BOB)
    assert world.queries.get_lens(address)["vouched"] is False  # type: ignore[index]
    assert world.queries.get_lens(str(uri(f"{LENS}/none"))) is None
    assert world.queries.list_verifications(str(uri(f"{LENS}/none"))) is None


def _paths(world: World, source: str, target: str, **asked: int) -> list[list[str]]:
    answer = world.queries.lens_paths(source=_schema_uri(source), target=_schema_uri(target), **asked)
    return [[step["name"] for step in path["steps"]] for path in answer["paths"]]


def test_lens_paths_are_the_shortest_first_and_vouched_before_others(world: World) -> None:
    """They are up to date at once, never meet a schema twice, and end where they were asked to."""
    lenses = {"ab": "a b", "ab2": "a b", "bc": "b c", "ac": "a c", "cd": "c d", "ba": "b a", "de": "d e", "bd": "b d"}
    records = {f"{LENS}/{name}": _lens(name, *ends.split()) for name, ends in lenses.items()}
    world.put(records)
    world.catch_up()
    assert _paths(world, "a", "b") == [["ab"], ["ab2"]]
    assert _paths(world, "a", "d") == [
        ["ab", "bd"], ["ab2", "bd"], ["ac", "cd"], ["ab", "bc", "cd"], ["ab2", "bc", "cd"],
    ]  # fmt: skip
    assert _paths(world, "a", "d", limit=2) == [["ab", "bd"], ["ab2", "bd"]]
    assert _paths(world, "a", "d", steps=1) == []
    assert _paths(world, "a", "e", steps=3, limit=1) == [["ab", "bd", "de"]]
    assert (
        _paths(world, "d", "a") == _paths(world, "a", "a") == _paths(world, "a", "x") == _paths(world, "x", "a") == []
    )

    vouched = {
        f"{VERIFICATION}/{name}": _word(str(uri(f"{LENS}/{name}")), records[f"{LENS}/{name}"])
        for name in ("ac", "cd", "ab2")
    }
    world.put(vouched, BOB)
    assert _paths(world, "a", "d")[:3] == [["ac", "cd"], ["ab2", "bd"], ["ab", "bd"]]
    answer = world.queries.lens_paths(source=_schema_uri("a"), target=_schema_uri("d"))
    assert [path["vouched"] for path in answer["paths"][:2]] == [True, False]
    step = answer["paths"][0]["steps"][0]
    assert (step["source"], step["target"], step["vouched"]) == (_schema_uri("a"), _schema_uri("c"), True)

    world.take([f"{LENS}/ac"])
    assert _paths(world, "a", "c") == [["ab2", "bc"], ["ab", "bc"]]
    world.put({f"{LENS}/cd": _lens("cd", "c", "e")})
    assert ["ab", "bc", "cd"] not in _paths(world, "a", "d")
    world.store.configure([SOURCE], [ALICE])
    assert _paths(world, "a", "b") == []


class _CountingEdges(dict[str, lensnet.Edge]):
    """The lenses by URI, with a count of the look-ups."""

    looked = 0

    def __getitem__(self, uri: str) -> lensnet.Edge:
        self.looked += 1
        return super().__getitem__(uri)


def test_the_work_in_a_tangle_of_lenses_is_bounded(world: World) -> None:
    """Three million shortest paths, through six layers of twelve schemas, and a hundred lenses between two of them.

    The search looks at each lens once for the distances, and then at a fixed number of them at most, plus the lenses
    that lead on from one schema.
    """
    layers = [["s"], *([f"{layer}{number}" for number in range(12)] for layer in "abcdef"), ["t"]]
    pairs = [(a, b) for here, there in pairwise(layers) for a in here for b in there]
    world.put(
        {f"{LENS}/{a}-{b}": _lens(f"{a} {b}", a, b) for a, b in pairs}
        | {f"{LENS}/more{number}": _lens("more", "s", "a0") for number in range(100)}
    )
    world.catch_up()
    world.queries.warm()
    world.queries._lenses._edges = edges = _CountingEdges(world.queries._lenses._edges)
    found = _paths(world, "s", "t", steps=7, limit=100)
    assert len(edges) < edges.looked <= len(edges) + MAX_TRIED + 112
    assert len(found) == 100
    assert {len(path) for path in found} == {7}


def test_history_goes_from_the_newest_to_the_oldest(world: World) -> None:
    """Each state as it was; pages count from the oldest, so that a new state shifts none; the deleted has none."""
    for number in range(5):
        world.put({f"{DATASET}/k": dataset(f"state {number}")}, moment=SEEN + timedelta(days=number))
    address = str(uri(f"{DATASET}/k"))

    def page(cursor: str | None) -> dict[str, Any]:
        found = world.queries.history(address, limit=2, cursor=cursor)
        assert found is not None
        return found

    first = page(None)
    assert [version["record"]["name"] for version in first["versions"]] == ["state 4", "state 3"]
    assert first["versions"][0]["seenAt"] == "2026-11-24T12:00:00.000Z"
    assert first["versions"][0]["cid"] == str(datamodel.record_cid(dataset("state 4")))
    world.put({f"{DATASET}/k": dataset("state 5")})
    second = page(first["cursor"])
    third = page(second["cursor"])
    assert [version["record"]["name"] for version in (*second["versions"], *third["versions"])] == [
        "state 2", "state 1", "state 0",
    ]  # fmt: skip
    assert "cursor" not in third
    for wrong in ("0", "-1", "7", "x", "", "9" * 400, "²"):
        with pytest.raises(InvalidSyntax, match="cursor"):
            page(wrong)
    world.take([f"{DATASET}/k"])
    assert world.queries.history(address) is None


def test_statistics_count_what_is_shown(world: World) -> None:
    """By kind, with publishers and bytes, and how far the index is behind."""
    assert world.queries.statistics() == {
        "datasets": 0, "schemas": 0, "lenses": 0, "labels": 0, "verifications": 0, "publishers": 0, "bytes": 0,
        "indexed": False, "behind": 0,
    }  # fmt: skip
    world.put({f"{DATASET}/1": dataset("a"), f"{LENS}/l": _lens("l", "a", "b")})
    world.put({f"{DATASET}/1": dataset("b"), f"{LABEL}/l": _label("l", None, str(uri(f"{DATASET}/1")))}, BOB)
    world.catch_up()
    world.put({f"{DATASET}/2": dataset("c")})
    world.queries._statistics = None
    assert world.queries.statistics() == {
        "datasets": 2, "schemas": 0, "lenses": 1, "labels": 1, "verifications": 0, "publishers": 2, "bytes": 3_000_000,
        "newest": "2026-11-20T12:00:00.000Z", "indexed": True, "behind": 1,
    }  # fmt: skip


# --- what never appears ----------------------------------------------------------------------------------------------


def test_the_deleted_and_the_denied_are_gone_at_once(world: World) -> None:
    """Even while the index has them: from no query, and a page isn't empty while there is more."""
    world.put({f"{DATASET}/k{n}": dataset(f"tide {n}", 100 + n) for n in range(10)}, BOB)
    world.put({f"{DATASET}/k{n}": dataset(f"tide {n}", n) for n in range(3)})
    world.put({f"{LABEL}/l": _label("bobs", None, str(uri(f"{DATASET}/k1", BOB)))}, BOB)
    world.catch_up()
    world.take([f"{DATASET}/k0"])
    world.store.configure([SOURCE], [BOB])
    queries = world.queries
    page = queries.list_entries(limit=2)
    assert _names(page, "entries") == ["tide 2", "tide 1"]
    assert _names(queries.search_datasets(q="tide", limit=1), "entries") == ["tide 2"]
    for gone in (str(uri(f"{DATASET}/k0")), str(uri(f"{DATASET}/k1", BOB)), f"at://bob.example.org/{DATASET}/k1"):
        assert queries.get_entry(gone) is None
        assert queries.history(gone) is None
        assert queries.get_entries([gone]) == {"entries": []}
    assert queries.resolve_label(handle=BOB, name="bobs") is None
    assert queries.list_labels() == {"labels": []}
    assert {one["text"] for one in queries.suggest(q="tide")["suggestions"]} == {"tide 1", "tide 2"}


def test_drafts_are_marked(world: World) -> None:
    """A draft has no account to speak of, and says that it is one."""
    nobody = Did.parse("did:web:drafts.invalid")
    value = dataset("tide")
    found = Found(uri=uri(f"{DATASET}/k", nobody), cid=datamodel.record_cid(value), value=value)
    world.store.replace(Repo(did=nobody, source=SOURCE, draft=True), [found], [], moment=SEEN)
    world.catch_up()
    (hit,) = world.queries.search(filters=Filters(state="draft"))["hits"]
    assert (hit["draft"], hit["verified"], "handle" in hit) == (True, False, False)


def test_a_store_is_only_read(world: World) -> None:
    """Whatever a query might do wrong, it can't write; a file that is none of ours is told."""
    world.put({f"{DATASET}/k": dataset("tide")})
    with pytest.raises(StoreError, match="readonly"), world.reader._reading() as db:
        db.execute("DELETE FROM records")
    other = world.path.with_name("other.sqlite")
    other.write_bytes(b"")
    with pytest.raises(StoreError, match="not a store"):
        Reader(other).position()
