"""The other exports by themselves, also of empty catalogs and with hostile text in every field."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgpack
import pytest
import rdflib

from catalog.atproto import datamodel
from catalog.errors import InvalidConfig
from catalog.records import DATASET, LABEL
from catalog.site import sitemap
from catalog.site.citation import citation
from catalog.site.exports import common, dcat, deposit, feeds, index, jsonld, redirects
from catalog.site.exports import record_json as beside
from catalog.site.groups import Groups
from catalog.site.pages.dataset import dataset_page
from catalog.site.settings import read_formats
from catalog.site.templates import Templates
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from catalog.syntax import Did, Handle
from tests.appviewstores import LABELS
from tests.atomfeeds import check_feed
from tests.exportgraphs import NOWHERE, SITE, URL, accepted, graph_of, one
from tests.hostilerecords import PAYLOADS, hostile_records
from tests.sitecatalog import DID, SEEN, SOURCE, dataset, records, uri
from tests.sitevariety import variety

if TYPE_CHECKING:
    from pathlib import Path

    from rdflib.term import Node

    from catalog.atproto.datamodel import Json
    from catalog.site.settings import SiteSettings

# rdflib's own parser of JSON-LD uses a class that rdflib has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


# --- schema.org ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [
        ("mit", "https://spdx.org/licenses/MIT.html"),
        ("https://l.example/text", "https://l.example/text"),
        ("ask the authors", {"@type": "CreativeWork", "name": "ask the authors"}),
        ("javascript:alert(1)", {"@type": "CreativeWork", "name": "javascript:alert(1)"}),
        ("  ", None),
    ],
)
def test_a_licence_is_an_address_only_where_it_is_one(tmp_path: Path, licence: str, wanted: object) -> None:
    node = one(tmp_path, license=licence)
    assert jsonld.dataset_jsonld(node, SITE).get("license") == wanted
    assert accepted(node).get("license") == wanted


@pytest.mark.parametrize(
    ("doi", "wanted"),
    [
        ("10.5281/zenodo.1", "https://doi.org/10.5281/zenodo.1"),
        ("doi:10.5281/zenodo.1", "https://doi.org/10.5281/zenodo.1"),
        ("http://dx.doi.org/10.5281/a<b", "https://doi.org/10.5281/a%3Cb"),
        ("javascript:10.5281/x", None),
        (10.5, None),
    ],
)
def test_a_doi_is_an_address_however_it_is_written(tmp_path: Path, doi: object, wanted: str | None) -> None:
    node = one(tmp_path, metadata=datamodel.bytes_json(msgpack.packb({"doi": doi})))
    assert jsonld.dataset_jsonld(node, SITE).get("sameAs") == (None if wanted is None else [wanted])


@pytest.mark.parametrize("named", ["", " ", "x"])
def test_a_description_is_filled_up_with_what_is_known(tmp_path: Path, named: str) -> None:
    held = jsonld.dataset_jsonld(one(tmp_path, name=named, description="Short.", tags=["", "a"]), SITE)
    assert held["name"] == (named.strip() or "3kone")
    assert 50 <= len(str(held["description"])) <= 5000
    assert "Each sample is a Wave with signal, heard, gain." in str(held["description"])
    assert held["keywords"] == ["a"]


def test_a_draft_is_not_called_published(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s.sqlite") as store:
        store.configure([SOURCE], [])
        value = dataset(1, description="Short.")
        kept = [Found(uri=uri(DATASET, "3kone"), cid=datamodel.record_cid(value), value=value)]
        repo = Repo(did=DID, source=SOURCE, handle=Handle.parse("waves.example.org"), draft=True)
        store.replace(repo, kept, [], moment=SEEN)
        graph = Graph.from_store(store)
    (node,) = graph.datasets
    assert node.draft
    held = jsonld.dataset_jsonld(node, SITE)
    assert "not yet published" in str(held["description"])
    assert {"identifier", "datePublished", "dateModified"}.isdisjoint(held)
    assert "identifier" not in accepted(node)
    assert feeds.newest(graph.nodes) == []
    assert list(redirects.redirects(graph)) == []
    described = _dcat(graph, SITE)
    (listed,) = described.subjects(rdflib.RDF.type, DCAT.Dataset)
    status = rdflib.URIRef("http://purl.org/adms/status/UnderDevelopment")
    assert described.value(listed, rdflib.URIRef("http://www.w3.org/ns/adms#status")) == status
    assert not {DCT.identifier, DCT.issued, DCT.modified} & set(described.predicates(listed))
    assert "datePublished" not in accepted(node)
    assert {"feed"} == {key for key, value in json.loads(_files(graph)["catalog.json"]).items() if value is None}
    assert json.loads(_files(graph)["catalog/records-1.json"])[0]["draft"] is True


@pytest.mark.parametrize("length", [300, 3000])
def test_a_description_is_whole(tmp_path: Path, length: int) -> None:
    text = ("word " * length)[:length].strip()
    node = one(tmp_path, description=text)
    assert jsonld.dataset_jsonld(node, SITE)["description"] == text
    assert accepted(node)["description"] == text


def test_the_fields_of_a_sample_are_its_variables(tmp_path: Path) -> None:
    paper = "@article{waves, title = {Waves}}"
    about = {"citation": paper, "funder": "A fund", "temporalCoverage": "2020/2021", "measurementTechnique": 7}
    held = jsonld.dataset_jsonld(one(tmp_path, metadata=datamodel.bytes_json(msgpack.packb(about))), SITE)
    assert held["variableMeasured"] == [
        {"@type": "PropertyValue", "name": "signal", "description": "Pressure, in pascal."},
        {"@type": "PropertyValue", "name": "heard"},
        {"@type": "PropertyValue", "name": "gain"},
    ]
    assert (held["citation"], held["temporalCoverage"]) == (paper, "2020/2021")
    assert held["funder"] == {"@type": "Organization", "name": "A fund"}
    assert "measurementTechnique" not in held


# --- research repositories -------------------------------------------------------------------------------------

DATACITE = {
    "doi", "url", "types", "creators", "titles", "publisher", "publicationYear", "subjects", "dates", "language",
    "alternateIdentifiers", "sizes", "formats", "version", "rightsList", "descriptions", "schemaVersion",
}  # fmt: skip
"""The properties of the DataCite 4.5 JSON schema that a dataset may have; it refuses all others."""


def test_datacite_has_what_a_doi_is_registered_with(tmp_path: Path) -> None:
    for node in graph_of(tmp_path, [*records(3), *variety()]).datasets:
        held = json.loads(deposit.datacite(node, SITE))
        assert set(held) <= DATACITE
        for wanted in ("creators", "titles", "publisher", "publicationYear", "types", "schemaVersion"):
            assert held[wanted]
        assert re.fullmatch("[0-9]{4}", held["publicationYear"])
        assert all(
            person["name"] and person["nameType"] in {"Personal", "Organizational"} for person in held["creators"]
        )
        assert held["types"]["resourceTypeGeneral"] == "Dataset"
        assert held["schemaVersion"] == "http://datacite.org/schema/kernel-4"


def test_an_ro_crate_has_what_its_specification_requires(tmp_path: Path) -> None:
    """RO-Crate 1.1: a descriptor about the root, whose license, author and parts are entities of the crate."""
    for node in graph_of(tmp_path, [*records(3), *variety()]).datasets:
        held = json.loads(deposit.ro_crate(node, SITE))
        assert held["@context"] == "https://w3id.org/ro/crate/1.1/context"
        entities = {entity["@id"]: entity for entity in held["@graph"]}
        assert len(entities) == len(held["@graph"]), "no identifier twice"
        descriptor = entities["ro-crate-metadata.json"]
        assert descriptor["conformsTo"]["@id"] == "https://w3id.org/ro/crate/1.1"
        root = entities[descriptor["about"]["@id"]]
        assert root["@type"] == "Dataset"
        assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", root["datePublished"])
        assert root["name"]
        assert root["description"]
        for name in ("license", "author", "publisher", "hasPart"):
            value = root.get(name, [])
            for part in value if isinstance(value, list) else [value]:
                assert entities[part["@id"]]["name"]
        parts = {entity["@id"] for entity in held["@graph"] if entity["@type"] == "File"}
        assert parts == {part["@id"] for part in root.get("hasPart", [])}


@pytest.mark.parametrize(
    ("value", "expected"), [(None, set()), ([], set()), (["ro-crate", "datacite"], {"ro-crate", "datacite"})]
)
def test_further_formats_are_a_setting(value: object, expected: set[str]) -> None:
    assert read_formats(value) == expected


@pytest.mark.parametrize("value", ["ro-crate", ["oai-pmh"], [1], {"ro-crate": True}])
def test_an_unknown_format_is_an_error(value: object) -> None:
    with pytest.raises(InvalidConfig, match="ro-crate, datacite"):
        read_formats(value)


def test_a_dataset_has_the_further_formats_beside_its_page(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, records(1))
    templates = Templates(graph, replace(SITE, formats=frozenset({"ro-crate", "datacite"})))
    page = dataset_page(templates, graph.datasets[0])
    for name in ("ro-crate-metadata.json", "datacite.json"):
        assert name in dict(page.files)
        assert f'href="{name}"' in page.head
        assert f'href="{name}"' in page.body


# --- DCAT ------------------------------------------------------------------------------------------------------

DCAT, DCT = rdflib.Namespace("http://www.w3.org/ns/dcat#"), rdflib.DCTERMS
FOAF = rdflib.FOAF
VCARD = rdflib.Namespace("http://www.w3.org/2006/vcard/ns#")
HYDRA = rdflib.Namespace("http://www.w3.org/ns/hydra/core#")
WANTED = {
    DCAT.Catalog: (DCT.title, DCT.description, DCT.publisher, DCT.modified, DCAT.themeTaxonomy, DCAT.dataset),
    DCAT.Dataset: (DCT.title, DCT.description, DCAT.contactPoint, DCAT.theme, DCT.publisher),
    DCAT.Distribution: (DCAT.accessURL, DCT.description, DCAT.mediaType),
    FOAF.Agent: (FOAF.name,),
    VCARD.Kind: (VCARD.fn, VCARD.hasURL),
}
"""The mandatory and the recommended properties of DCAT-AP 3.0.1 that records have."""
RANGES = {
    DCT.publisher: FOAF.Agent, DCT.license: DCT.LicenseDocument, DCAT.mediaType: DCT.MediaType,
    DCAT.distribution: DCAT.Distribution, DCAT.landingPage: FOAF.Document, FOAF.homepage: FOAF.Document,
    DCT["format"]: DCT.MediaTypeOrExtent, DCAT.contactPoint: VCARD.Kind, DCAT.theme: rdflib.SKOS.Concept,
    DCAT.themeTaxonomy: rdflib.SKOS.ConceptScheme, DCT.creator: FOAF.Agent,
}  # fmt: skip


def _dcat(graph: Graph, settings: SiteSettings) -> rdflib.Graph:
    whole = rdflib.Graph()
    for name, make in dcat.dcat_files(graph, settings):
        whole.parse(data=make(), format="turtle", publicID=URL + name)
    return whole


def harvested(graph: Graph) -> set[Node]:
    """Return the datasets that ckanext-dcat reads: each page by itself, parsed without its address.

    As in its ``RDFParser`` and ``DCATRDFHarvester.gather_stage``: the subjects of the type ``dcat:Dataset``, and the
    next page by ``hydra:next`` of a ``hydra:PagedCollection``.
    """
    files = {URL + name: make for name, make in dcat.dcat_files(graph, SITE)}
    found: set[Node] = set()
    page: str | None = URL + "catalog.ttl"
    while page is not None:
        read = rdflib.Graph().parse(data=files.pop(page)(), format="turtle")
        found.update(read.subjects(rdflib.RDF.type, DCAT.Dataset))
        paged = read.value(predicate=rdflib.RDF.type, object=HYDRA.PagedCollection)
        following = None if paged is None else read.value(paged, HYDRA.next)
        page = None if following is None else str(following)
    assert not files, "every page is reached"
    return found


@pytest.mark.parametrize("settings", [SITE, NOWHERE])
def test_dcat_has_what_the_application_profile_wants(tmp_path: Path, settings: SiteSettings) -> None:
    """Its own shapes, which aren't ours to ship, say no more of what is said here."""
    whole = _dcat(graph_of(tmp_path, [*records(3), *variety()]), settings)
    for kind, wanted in WANTED.items():
        found = list(whole.subjects(rdflib.RDF.type, kind))
        assert found
        assert all(whole.value(node, path) is not None for node in found for path in wanted)
    for path, kind in RANGES.items():
        assert settings.url is None or (None, path, None) in whole
        for value in whole.objects(None, path):
            assert (value, rdflib.RDF.type, kind) in whole, (path, value)
    listed = set(whole.objects(None, DCAT.dataset))
    assert listed == set(whole.subjects(rdflib.RDF.type, DCAT.Dataset))
    assert len(listed) == 10


def test_a_catalog_of_many_datasets_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcat, "_EACH", 4)
    monkeypatch.setattr(index, "_EACH", 4)
    graph = graph_of(tmp_path, records(9))
    whole = _dcat(graph, SITE)
    assert len(set(whole.objects(rdflib.URIRef(URL + "catalog.ttl"), DCAT.dataset))) == 9
    assert harvested(graph) == set(whole.subjects(rdflib.RDF.type, DCAT.Dataset))
    files = _files(graph)
    assert len(json.loads(files["catalog.json"])["records"]) == 3, "9 datasets, 2 schemas, 1 lens"
    for section in ("datasets", "schemas", "lenses"):
        held = json.loads(files[f"{section}/index.json"])
        rows = [row for name in held["records"] for row in json.loads(files[name])]
        assert sum(row["kind"] == held["kind"] for row in rows) == held["count"] > 0
        assert all(any(row["kind"] == held["kind"] for row in json.loads(files[name])) for name in held["records"])


# --- everything, of hostile records ----------------------------------------------------------------------------


def _files(graph: Graph, settings: SiteSettings = SITE) -> dict[str, str]:
    return {name: make() for name, make in index.index_files(graph, Groups.of(graph), settings)}


@pytest.mark.parametrize("payload", [*PAYLOADS, "noncharacters"])
def test_no_text_of_a_record_breaks_a_format(tmp_path: Path, payload: str) -> None:
    did = Did.parse("did:plc:" + "a" * 24)
    text = PAYLOADS.get(payload, "\ufffe\uffff\ufdd0\U0001ffff & ]]>")
    found: list[tuple[str, str, dict[str, Json]]] = [
        (collection, rkey, {"$type": collection, **value})
        for collection, rkey, value in hostile_records(str(did), text)
    ]
    graph = graph_of(tmp_path, found, did=did)
    assert len(graph.datasets) == 2
    for node in graph.datasets:
        accepted(node)
        script = jsonld.script(jsonld.dataset_jsonld(node, SITE))
        assert script.count("<") == 2, "its own tags"
        held = json.loads(script.removeprefix('<script type="application/ld+json">').removesuffix("</script>"))
        assert 50 <= len(held["description"]) <= 5000
    for beside_page in graph.nodes:
        assert json.loads(beside.record_json(beside_page))["record"] == beside_page.value
    assert len(set(_dcat(graph, SITE).subjects(rdflib.RDF.type, DCAT.Dataset))) == 2
    check_feed(feeds.feed(text, "tags/x/", feeds.newest(graph.nodes), SITE), f"{URL}tags/x/feed.xml")
    files = _files(graph)
    for name, made in files.items():
        assert name == "llms.txt" or json.loads(made)
    assert not HIDDEN.search(files["llms.txt"])
    for address, _ in redirects.redirects(graph):
        assert re.fullmatch(r"@waves\.example\.org/[a-z0-9._~-]+/", address)


def test_an_empty_catalog_has_valid_files(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [])
    check_feed(feeds.feed("Nothing", "", feeds.newest(graph.nodes), SITE), URL + "feed.xml")
    assert [name for name, _ in dcat.dcat_files(graph, SITE)] == ["catalog.ttl"]
    assert (rdflib.URIRef(URL + "catalog.ttl"), rdflib.RDF.type, DCAT.Catalog) in _dcat(graph, SITE)
    files = _files(graph)
    assert json.loads(files["catalog.json"])["counts"]["datasets"] == 0
    assert json.loads(files["datasets/index.json"]) == {"kind": "dataset", "count": 0, "records": []}
    assert "0 datasets" in files["llms.txt"]


def test_without_an_address_links_are_relative_and_what_needs_one_is_null(tmp_path: Path) -> None:
    files = _files(graph_of(tmp_path, records(2)), NOWHERE)
    held = json.loads(files["catalog.json"])
    assert (held["url"], held["feed"], held["sitemap"]) == (None, None, None)
    links = re.findall(r"\]\(([^)]+)\)", files["llms.txt"])
    assert "catalog.json" in links
    assert not [link for link in links if link.startswith(("/", "http")) or "sitemap" in link]


def test_the_newest_dataset_of_a_name_has_the_address_under_the_handle(tmp_path: Path) -> None:
    same = [
        (DATASET, f"3ksame{day}", dataset(1, name="Tides, 2nd", createdAt=f"2026-11-0{day}T12:00:00Z"))
        for day in (1, 3, 2)
    ]
    found = dict(redirects.redirects(graph_of(tmp_path, same)))
    assert found == {"@waves.example.org/tides-2nd/": "datasets/did-plc-ewvi7nxzyoun6zhxrhs64oiz/3ksame3/"}


@pytest.mark.parametrize(("named", "newest"), LABELS.values(), ids=LABELS)
def test_the_version_is_that_of_the_label_to_which_the_name_resolves(
    tmp_path: Path, named: list[tuple[str | None, str]], newest: str | None
) -> None:
    """On the page, in exports and in the citation; if that label has none, of the next one that has."""
    labels: list[tuple[str, str, dict[str, Json]]] = []
    for number, (version, created) in enumerate(named):
        label: dict[str, Json] = {"name": "t", "datasetUri": str(uri(DATASET, "3kone")), "createdAt": created}
        versioned: dict[str, Json] = {} if version is None else {"version": version}
        labels.append((LABEL, f"3klabel{number}", {"$type": LABEL, **label, **versioned}))
    node = graph_of(tmp_path, [(DATASET, "3kone", dataset(1)), *labels]).datasets[0]
    assert node.labels[0].record.version == newest
    expected = newest or "1.0.0"
    assert common.version(node) == expected
    assert f"version = {{{expected}}}" in citation(node, None)


# --- Atom ------------------------------------------------------------------------------------------------------


def test_the_check_of_feeds_finds_faults(tmp_path: Path) -> None:
    """The control: what is wrong with a feed is found."""
    good = feeds.feed("Tides", "", feeds.newest(graph_of(tmp_path, records(2)).nodes), SITE)
    check_feed(good, URL + "feed.xml")
    for before, after in (
        ("<updated>2026", "<updated>26"),
        ("<title>Tides", "<title>"),
        ("<id>at:", "<id>"),
        ("<summary>", "<b/><summary>"),
    ):
        assert before in good
        with pytest.raises(AssertionError):
            check_feed(good.replace(before, after, 1), URL + "feed.xml")


# --- sitemap ---------------------------------------------------------------------------------------------------


def test_a_sitemap_of_more_addresses_than_one_may_hold_is_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitemap, "MOST", 3)
    entries = [(f"datasets/a&b~{number}/", SEEN if number else None) for number in range(7)]
    sitemap.write_sitemap(tmp_path, URL, entries)
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    root = ET.fromstring((tmp_path / "sitemap.xml").read_text(encoding="utf-8"))  # noqa: S314 - our own file
    assert root.tag == f"{space}sitemapindex"
    parts = [str(found.text) for found in root.iter(f"{space}loc")]
    assert parts == [f"{URL}sitemap-{number}.xml" for number in (1, 2, 3)]
    listed = []
    for part in parts:
        file = tmp_path / part.removeprefix(URL)
        assert gzip.decompress(file.with_name(file.name + ".gz").read_bytes()) == file.read_bytes()
        for page in ET.fromstring(file.read_text(encoding="utf-8")):  # noqa: S314 - our own file
            assert [child.tag.removeprefix(space) for child in page] in (["loc"], ["loc", "lastmod"])
            assert page.findtext(f"{space}lastmod") in {None, "2026-11-20"}
            listed.append(page.findtext(f"{space}loc"))
    assert listed == [f"{URL}datasets/a%26b~{number}/" for number in range(7)]
