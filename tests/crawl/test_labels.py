"""Moderation labels: a labeler's label hides a dataset after one crawl, and its retraction brings it back."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from catalog.atproto.datamodel import encode
from catalog.atproto.identity import labeler_of
from catalog.atproto.keys import PublicKey
from catalog.atproto.labels import read_label, self_labels
from catalog.client.results import SearchQuery
from catalog.client.search import search_store
from catalog.config import CatalogSettings, NetworkSettings, read_settings
from catalog.crawl import CrawlReport, crawl
from catalog.errors import CatalogError, InvalidConfig, UnknownIdentity
from catalog.records import DATASET
from catalog.site.pages.dataset import dataset_page
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from catalog.store import Store
from catalog.store.graph import Graph
from catalog.store.reader import Reader
from catalog.syntax import Did
from tests.fakes import Fake, answer, fake_server
from tests.sitecatalog import DID, fill, uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from tests.fakes import Asked

RKEY = "3kaaaaaaaaaba"
LABELER = "did:plc:ar7c4by46qjdydhdevvrndac"
SUBJECT = str(uri(DATASET, RKEY))
_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@dataclass(slots=True, kw_only=True)
class FakeLabeler:
    """A labeler whose labels are signed as the specification has it; ``extra`` are sent as they are."""

    fake: Fake
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256K1()))
    labels: list[dict[str, Any]] = field(default_factory=list)
    extra: list[Any] = field(default_factory=list)
    status: int = 200

    def __post_init__(self) -> None:
        self.fake.routes[f"/{LABELER}"] = lambda handler, _: answer(handler, self.document())
        self.fake.routes["/xrpc/com.atproto.label.queryLabels"] = self._query

    def document(self) -> dict[str, Any]:
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        public = str(PublicKey._of_point(point, next(iter(type(PublicKey.parse(EXAMPLE).curve))))).removeprefix(
            "did:key:"
        )
        method = {
            "id": f"{LABELER}#atproto_label",
            "type": "Multikey",
            "controller": LABELER,
            "publicKeyMultibase": public,
        }
        service = {"id": "#atproto_labeler", "type": "AtprotoLabeler", "serviceEndpoint": self.fake.url}
        return {"id": LABELER, "verificationMethod": [method], "service": [service]}

    def say(self, subject: str, value: str, **more: object) -> dict[str, Any]:
        label = {"ver": 1, "src": LABELER, "uri": subject, "val": value, "cts": "2026-11-01T00:00:00.000Z", **more}
        r, s = decode_dss_signature(self.key.sign(encode(cast("Json", label)), ec.ECDSA(hashes.SHA256())))
        raw = r.to_bytes(32) + min(s, _ORDER - s).to_bytes(32)
        signed = {**label, "sig": {"$bytes": base64.b64encode(raw).decode().rstrip("=")}}
        self.labels.append(signed)
        return signed

    def _query(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        start = int(asked.query.get("cursor", "0"))
        items = [*self.labels, *self.extra]
        more = {"cursor": str(start + 2)} if start + 2 < len(items) else {}
        answer(handler, {"labels": items[start : start + 2], **more} if self.status == 200 else {}, self.status)


EXAMPLE = "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    labeler: FakeLabeler
    path: Path
    settings: CatalogSettings

    def crawled(self, **settings: object) -> list[str]:
        """Return the rkeys of the datasets that are shown after a crawl of the labeler alone."""
        self.report(**settings)
        with Store.open(self.path) as store:
            return [node.rkey for node in Graph.from_store(store).datasets]

    def report(self, **settings: Any) -> CrawlReport:  # noqa: ANN401 - values of settings
        with Store.open(self.path) as store:
            return crawl(replace(self.settings, **settings), store, sources=[])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    fill(tmp_path / "store.sqlite", datasets=3)
    with Store.open(tmp_path / "store.sqlite") as store:
        sources = read_settings({"sources": [{"pds": "https://pds.example"}]}, tmp_path).sources
        assert [repo.source for repo in store.repos()] == [str(source) for source in sources]
    with fake_server({}) as fake:
        settings = CatalogSettings(
            store=tmp_path / "store.sqlite", sources=sources, labelers=(Did(LABELER),),
            network=NetworkSettings(plc_url=fake.url, allow_loopback=True),
        )  # fmt: skip
        yield World(labeler=FakeLabeler(fake=fake), path=settings.store, settings=settings)


def test_a_label_hides_a_dataset_and_its_retraction_brings_it_back(world: World) -> None:
    everything = world.crawled()
    assert RKEY in everything
    world.labeler.say(SUBJECT, "!takedown")
    before = Reader(world.path).position()
    assert world.crawled() == [rkey for rkey in everything if rkey != RKEY]
    reader = Reader(world.path)
    assert SUBJECT in {what for _, what in reader.changes(before.number, most=100) or []}, "followers see the change"
    assert reader.shown([SUBJECT]) == {}
    reader.close()
    found = search_store(world.path, SearchQuery(text="Tidal recordings"))
    assert {str(one.uri) for one in found} == {str(uri(DATASET, rkey)) for rkey in everything if rkey != RKEY}
    world.labeler.say(SUBJECT, "!takedown", neg=True, cts="2026-11-02T00:00:00.000Z")
    assert world.crawled() == everything


def test_a_label_of_an_account_hides_all_that_it_has(world: World) -> None:
    world.labeler.say(str(DID), "!hide")
    assert world.crawled() == []


def test_a_label_of_another_version_says_nothing_of_this_one(world: World) -> None:
    world.labeler.say(SUBJECT, "!hide", cid="bafyreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq")
    assert RKEY in world.crawled()


def test_expired_labels_and_those_of_unknown_accounts_do_nothing(world: World) -> None:
    world.labeler.say(SUBJECT, "!hide", exp="2026-11-02T00:00:00.000Z")
    world.labeler.say("did:plc:z72i7hdynmk6r22z27h6tvur", "!hide")
    assert RKEY in world.crawled()
    with Store.open(world.path) as store:
        assert store.labels() == {}


@pytest.mark.parametrize(
    "change",
    [
        {"val": "!hide "},
        {"uri": str(DID)},
        {"sig": {"$bytes": "AAAA"}},
        {"sig": None},
        {"src": str(DID)},
        {"val": "x" * 200},
    ],
)
def test_labels_that_the_labeler_did_not_sign_are_ignored_and_reported(world: World, change: dict[str, Any]) -> None:
    signed = world.labeler.say(SUBJECT, "!hide")
    world.labeler.labels.clear()
    world.labeler.extra = [{**signed, **change}, None, "label"]
    (report,) = world.report().sources
    assert "3 labels" in report.problems[0]
    assert RKEY in world.crawled()


@pytest.mark.parametrize("broken", ["answer", "document", "key"])
def test_a_labeler_that_fails_takes_no_label_back(world: World, broken: str) -> None:
    world.labeler.say(SUBJECT, "!hide")
    shown = world.crawled()
    assert RKEY not in shown
    world.labeler.labels.clear()
    if broken == "answer":
        world.labeler.status = 400
    elif broken == "document":
        del world.labeler.fake.routes[f"/{LABELER}"]
    else:
        world.labeler.fake.routes[f"/{LABELER}"] = lambda handler, _: answer(handler, {"id": LABELER})
    report = world.report()
    assert report.sources[0].source == f"labeler:{LABELER}"
    assert report.sources[0].error
    assert world.crawled() == shown


def test_a_labeler_that_is_not_named_any_more_has_no_say(world: World) -> None:
    world.labeler.say(SUBJECT, "!hide")
    assert RKEY not in world.crawled()
    assert RKEY in world.crawled(labelers=())


def test_warnings_and_badges_are_shown_and_the_settings_decide(world: World) -> None:
    world.labeler.say(SUBJECT, "graphic-media")
    world.labeler.say(SUBJECT, "fun")

    def said(**settings: object) -> list[tuple[str, str]]:
        world.crawled(**settings)
        with Store.open(world.path) as store:
            graph = Graph.from_store(store)
        return [(label.value, label.action) for node in graph.datasets for label in node.moderation]

    assert said() == [("graphic-media", "warn")]
    assert said(label_actions={"fun": "badge", "graphic-media": "badge"}) == [
        ("fun", "badge"),
        ("graphic-media", "badge"),
    ]
    assert said(label_actions={"fun": "hide"}) == []


def test_a_record_labels_itself() -> None:
    values = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "!hide"}, {"val": 3}, None, {"val": ""}]}
    assert self_labels({"labels": values}) == ["!hide"]
    odd: object
    for odd in (None, [], {"labels": []}, {"labels": {"values": "x"}}):
        assert self_labels(odd) == []


def test_a_document_without_labeler_is_none(world: World) -> None:
    whole = world.labeler.document()
    assert labeler_of(whole, Did(LABELER)).endpoint == world.labeler.fake.url
    for part in ("service", "verificationMethod"):
        with pytest.raises(UnknownIdentity, match=r"no key|no labeler"):
            labeler_of({**whole, part: []}, Did(LABELER))
    with pytest.raises(CatalogError, match="not a label of this labeler"):
        read_label({}, labeler_of(whole, Did(LABELER)), now=datetime.now(UTC))


def test_settings_of_labels(tmp_path: Path) -> None:
    settings = read_settings({"labelers": [LABELER], "labels": {"porn": "hide", "!warn": "ignore"}}, tmp_path)
    assert settings.labelers == (LABELER,)
    assert (settings.label_actions["porn"], "!warn" in settings.label_actions) == ("hide", False)
    for wrong in ({"labelers": ["alice.example"]}, {"labels": {"x": "delete"}}, {"labels": ["x"]}):
        with pytest.raises(InvalidConfig):
            read_settings(wrong, tmp_path)


def test_a_label_is_shown_on_the_page(world: World) -> None:
    world.labeler.say(SUBJECT, "graphic-media")
    world.labeler.say(SUBJECT, "<b>fun</b>")
    world.crawled(label_actions={"graphic-media": "warn", "<b>fun</b>": "badge"})
    with Store.open(world.path) as store:
        graph = Graph.from_store(store)
    (node,) = [node for node in graph.datasets if node.rkey == RKEY]
    html = dataset_page(Templates(graph, SiteSettings(name="x")), node).body
    assert f"Label of {LABELER}: <strong>" in html
    assert "graphic-media" in html
    assert "&lt;b&gt;fun&lt;/b&gt;" in html


def test_a_crawl_of_changed_sources_alone_asks_no_labeler(world: World) -> None:
    world.labeler.say(SUBJECT, "!hide")
    with Store.open(world.path) as store:
        report = crawl(world.settings, store, sources=[], labels=False)
    assert (report.sources, world.labeler.fake.asked) == ((), [])
