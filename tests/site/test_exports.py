"""The catalog for machines: each format as its own readers take it."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

import mlcroissant
import pytest
import rdflib
from mlcroissant import Dataset as CroissantDataset

from catalog.records import DATASET
from tests.atomfeeds import check_feed
from tests.sitecatalog import CHANGED, DID, UNPROVEN, build, dataset, fill, mkdocs, uri

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json

HOME = "did-plc-ewvi7nxzyoun6zhxrhs64oiz"
URL = "https://tides.example/catalog/"
# rdflib's own parser of JSON-LD uses a class that rdflib has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
NASTY = 'x</script><script>alert(1)</script>" \\ {}%&~^ \u202e\u0007 <a> ]]> . "@en ^^xsd:int'
BLOB = "bafkreif6rexzjx6ytfmwfeznsxmbtssxmq6nqhnqtqxt3eefkmdmcyczgm"
ATOM = "{http://www.w3.org/2005/Atom}"


def _nasty() -> list[tuple[str, str, dict[str, Json]]]:
    shards: list[Json] = [
        {"url": f"https://data.example/a.tar?q={NASTY}"},
        {"url": "https://data.example/b.tar?a=1&b=2"},
    ]
    hostile = dataset(
        3, name=NASTY, description=NASTY, tags=[NASTY, "audio"], license=NASTY,
        storage={"$type": "science.alt.dataset.storageHttp", "shards": shards},
    )  # fmt: skip
    lone = dataset(4, schemaRef=str(uri("science.alt.dataset.schema", "Nowhere:1.0.0")), description="Short.")
    blobs: dict[str, Json] = {
        "$type": "science.alt.dataset.storageBlobs",
        "blobs": [{"blob": {"$type": "blob", "ref": {"$link": BLOB}, "mimeType": "application/x-tar", "size": 10}}],
    }
    return [
        (DATASET, "3knastyaaaaaa", hostile),
        (DATASET, "3kloneaaaaaaa", lone),
        (DATASET, "3kblobaaaaaaa", dataset(5, storage=blobs)),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    return build(folder, datasets=6, extra=_nasty())


def _page(site: Path, rkey: str) -> str:
    return (site / "datasets" / HOME / rkey / "index.html").read_text(encoding="utf-8")


def _jsonld(html: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/ld\+json">(.*?)</script>', html)
    assert len(found) == 1
    held: dict[str, Any] = json.loads(found[0])
    return held


def test_beside_every_page_lies_its_json(site: Path) -> None:
    held = json.loads((site / "datasets" / HOME / CHANGED / "index.json").read_text(encoding="utf-8"))
    assert held["uri"] == str(uri(DATASET, CHANGED))
    assert held["verified"] is True
    assert held["record"]["name"] == "Tidal recordings 0"
    view = held["view"]
    assert view["schema"]["name"] == "Wave"
    assert (site / view["schema"]["page"] / "index.json").exists()
    assert view["publisher"] == {"did": str(DID), "handle": "waves.example.org"}
    assert view["labels"] == [{"name": "tides", "version": "2.0.0"}]
    for folder in site.glob("datasets/did-*/*/"):
        assert {file.name for file in folder.iterdir()} == {"index.html", "index.json", "croissant.json"}
    unproven = json.loads((site / "datasets" / HOME / UNPROVEN / "index.json").read_text(encoding="utf-8"))
    assert unproven["verified"] is False
    for kind in ("publishers", "tags", "licences"):
        pages = list(site.glob(f"{kind}/*/index.html"))
        assert pages
        for page in pages:
            group = json.loads((page.parent / "index.json").read_text(encoding="utf-8"))
            assert all((site / row["page"] / "index.html").exists() for row in group["datasets"])
            link = '<link rel="alternate describedby" type="application/json" href="index.json">'
            assert link in page.read_text("utf-8")


def test_schema_org_has_what_dataset_search_engines_require(site: Path) -> None:
    for page in site.glob("datasets/did-*/*/index.html"):
        html = page.read_text(encoding="utf-8")
        held = _jsonld(html)
        assert held["@type"] == "Dataset"
        assert held["name"]
        assert 50 <= len(held["description"]) <= 5000
        assert held["url"] == re.search(r'<link rel="canonical" href="([^"]+)"', html)[1]  # type: ignore[index]
        assert held["license"]
        assert all(agent["@type"] in {"Person", "Organization"} and agent["name"] for agent in held["creator"])
        assert held["identifier"].startswith("at://did:plc:")
        assert held["includedInDataCatalog"] == {"@type": "DataCatalog", "name": "Tides", "url": URL}
        graph = rdflib.Graph()
        # schema.org's own context is a file on its site; its vocabulary is what matters here.
        graph.parse(data=json.dumps(held | {"@context": {"@vocab": "https://schema.org/"}}), format="json-ld")
        assert (None, rdflib.RDF.type, rdflib.URIRef("https://schema.org/Dataset")) in graph
    first = _jsonld(_page(site, CHANGED))
    assert first["license"] == "https://spdx.org/licenses/MIT.html"
    assert first["version"] == "2.0.0"
    assert first["distribution"][0]["contentUrl"] == "https://data.example/tides-0-000000.tar"
    assert _jsonld((site / "index.html").read_text(encoding="utf-8"))["@type"] == "DataCatalog"


def test_a_page_is_signposted(site: Path) -> None:
    """The checks of FAIR assessors (https://signposting.org/FAIR/): one ``cite-as``, the types, and typed items."""
    for page in site.glob("datasets/did-*/*/index.html"):
        html = page.read_text(encoding="utf-8")
        links: dict[str, list[dict[str, str]]] = {}
        for tag in re.findall(r"<link (rel=[^>]*)>", html[: html.index("</head>")]):
            link = {name: unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
            for relation in link.get("rel", "").split():
                links.setdefault(relation, []).append(link)
        (cite,) = links["cite-as"]
        assert cite["href"] == re.search(r'<link rel="canonical" href="([^"]+)"', html)[1]  # type: ignore[index]
        assert {link["href"] for link in links["type"]} == {
            "https://schema.org/AboutPage",
            "https://schema.org/Dataset",
        }
        assert {link["type"] for link in links["describedby"]} == {"application/json", "application/ld+json"}
        assert all((page.parent / link["href"]).is_file() for link in links["describedby"])
        (author,) = links["author"]
        assert (page.parent / author["href"] / "index.html").is_file()
        assert all(link["href"].startswith("http") and link["type"] for link in links.get("item", []))
        assert all(link["href"].startswith("http") for link in links.get("license", []))
    head = _page(site, CHANGED)
    assert '<link rel="license" href="https://spdx.org/licenses/MIT.html">' in head
    assert '<link rel="item" type="application/x-tar" href="https://data.example/tides-0-000000.tar">' in head


def test_hostile_text_stays_text_in_the_heads(site: Path) -> None:
    html = _page(site, "3knastyaaaaaa")
    head = html[: html.index("</head>")]
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert head.count("<script") == head.count("</script>")
    assert _jsonld(html)["name"].startswith("x</script><script>alert(1)</script>")
    assert '<meta property="og:title" content="x&lt;/script&gt;' in head
    assert '<meta name="twitter:card" content="summary">' in head


def test_croissant_is_accepted_without_a_warning_but_of_what_the_record_lacks(site: Path) -> None:
    for page in site.glob("datasets/did-*/*/croissant.json"):
        read = CroissantDataset(str(page))
        assert read.metadata.ctx.issues.errors == set()
        missing = {"version"} if page.parent.name != CHANGED else set()  # only this one has a label
        told = {warning.rpartition('Property "')[2] for warning in read.metadata.ctx.issues.warnings}
        assert {words.partition('"')[0].rpartition("/")[2] for words in told} == missing
        held = json.loads(page.read_text(encoding="utf-8"))
        assert held["conformsTo"] == "http://mlcommons.org/croissant/1.1"
        for wanted in ("name", "description", "license", "url", "creator", "datePublished"):
            assert held[wanted], "the validator doesn't miss some of these"


def test_croissant_says_what_the_fields_hold_and_where_the_shards_lie(site: Path) -> None:
    metadata = CroissantDataset(str(site / "datasets" / HOME / CHANGED / "croissant.json")).metadata
    shard, members = metadata.distribution
    assert isinstance(shard, mlcroissant.FileObject)
    assert (shard.content_url, shard.sha256) == ("https://data.example/tides-0-000000.tar", "ab" * 32)
    assert isinstance(members, mlcroissant.FileSet)
    (sample,) = metadata.record_sets[0].fields
    signal, heard, gain = sample.annotations
    assert (signal.name, signal.is_array, signal.array_shape) == ("signal", True, "2,-1")
    assert signal.data_types == [rdflib.URIRef("http://mlcommons.org/croissant/Float32")]
    assert (heard.name, heard.is_array, gain.name) == ("heard", None, "gain")
    live = json.loads((site / "datasets" / HOME / "3knastyaaaaaa" / "croissant.json").read_text(encoding="utf-8"))
    assert live["isLiveDataset"] is True, "no checksum"


def test_dcat_is_rdf_and_names_every_dataset_once(site: Path) -> None:
    dcat, dct = rdflib.Namespace("http://www.w3.org/ns/dcat#"), rdflib.DCTERMS
    graph = rdflib.Graph().parse(site / "catalog.ttl", format="turtle", publicID=URL + "catalog.ttl")
    named = []
    for node in graph.objects(rdflib.URIRef(URL + "catalog.ttl"), dcat.dataset):
        named.append(str(node))
        for wanted in (dct.title, dct.description, dct.publisher, dct.identifier, dct.issued):
            assert graph.value(node, wanted) is not None
    pages = [URL + page.parent.relative_to(site).as_posix() + "/" for page in site.glob("datasets/did-*/*/index.html")]
    assert sorted(named) == sorted(f"{page}#dataset" for page in pages)
    titles = {str(title) for title in graph.objects(None, dct.title)}
    assert any(title.startswith("x</script><script>") for title in titles)


def test_feeds_are_atom(site: Path) -> None:
    """As RFC 4287 wants it; every page that has one names it."""
    feeds = [site / "feed.xml", *site.glob("publishers/*/feed.xml"), *site.glob("tags/*/feed.xml")]
    assert len(feeds) >= 4
    for path in feeds:
        text = path.read_text(encoding="utf-8")
        check_feed(text, URL + path.relative_to(site).as_posix())
        entries = ET.fromstring(text).findall(f"{ATOM}entry")  # noqa: S314 - our own file
        assert entries
        times = [str(entry.findtext(f"{ATOM}updated")) for entry in entries]
        assert times == sorted(times, reverse=True)
        html = (path.parent / "index.html").read_text(encoding="utf-8")
        assert '<link rel="alternate" type="application/atom+xml" href="feed.xml"' in html


def test_the_root_says_what_is_here(site: Path) -> None:
    held = json.loads((site / "catalog.json").read_text(encoding="utf-8"))
    assert held["counts"]["datasets"] == 9
    for section, place in held["sections"].items():
        assert place == f"{section}/index.json"
        part = json.loads((site / place).read_text(encoding="utf-8"))
        pages = [row["page"] for row in part.get(section, [])]
        assert bool(pages) is (section in {"publishers", "tags", "licences"})
        assert all((site / page / "index.json").exists() for page in pages)
    status = json.loads((site / "status" / "index.json").read_text(encoding="utf-8"))
    assert status["refused"]["count"] == 1
    assert status["crawl"]["sources"]
    assert (site / held["facets"]).exists()
    assert (site / held["network"]).exists()
    rows = [row for part in held["records"] for row in json.loads((site / part).read_text(encoding="utf-8"))]
    assert len({row["uri"] for row in rows}) == 9 + 2 + 1
    assert all((site / row["page"] / held["page"]["record"]).exists() for row in rows)
    words = (site / "llms.txt").read_text(encoding="utf-8")
    assert words.startswith("# Tides\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", words)
    assert len(links) >= 9
    assert all((site / link.removeprefix(URL)).exists() for link in links)
    assert f"Sitemap: {URL}sitemap.xml" in (site / "robots.txt").read_text(encoding="utf-8")


def test_a_name_under_a_handle_leads_to_the_permanent_page(site: Path) -> None:
    """It is on the account's list, in ``_redirects``, and the page for missing addresses has the script."""
    html = (site / "@waves.example.org" / "index.html").read_text(encoding="utf-8")
    target = re.search(r'<a id="tidal-recordings-0" href="([^"]+)"', html)
    assert target is not None
    assert urljoin("/@waves.example.org/", target[1]) == f"/datasets/{HOME}/{CHANGED}/"
    lines = (site / "_redirects").read_text(encoding="utf-8").splitlines()
    place = f"/catalog/datasets/{HOME}/{CHANGED}/"
    assert f"/catalog/@waves.example.org/tidal-recordings-0/ {place} 302" in lines
    assert len(lines) == html.count("<a id=")
    assert "/catalog/assets/catalog/redirect.js" in (site / "404.html").read_text(encoding="utf-8")
    assert (site / "assets" / "catalog" / "redirect.js").is_file()
    assert not list((site / "@waves.example.org").glob("*/")), "no file for each address"


def test_without_an_address_of_its_own_the_site_has_what_can_be_true(tmp_path: Path) -> None:
    fill(tmp_path / "store.sqlite")
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: Tides\ntheme: {name: material, font: false}\nplugins:\n"
        '  - catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false, search: false}\n',
        encoding="utf-8",
    )
    done = mkdocs(tmp_path, "--strict", "--verbose")
    assert done.returncode == 0
    assert done.stderr.count("without site_url there are no feeds, no sitemap") == 1, "it says so, once"
    site = tmp_path / "site"
    assert not list(site.rglob("feed.xml"))
    assert not list(site.glob("sitemap*")), "MkDocs's own would be empty, and so not valid"
    assert "canonical" not in _page(site, CHANGED)
    assert CroissantDataset(str(site / "datasets" / HOME / CHANGED / "croissant.json")).metadata.url.startswith("at://")
    part = rdflib.Graph().parse(site / "catalog.ttl", format="turtle")
    assert rdflib.URIRef(str(uri(DATASET, CHANGED))) in set(part.subjects())
    assert "url" not in _jsonld(_page(site, CHANGED))
