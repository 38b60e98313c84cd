"""Finding data: on a real PDS, in a crawled store, and through an AppView.

No AppView exists yet, so what stands for one here is a small server that answers as ``wire-format`` says it must; the
records it names are on the real PDS, from which they are read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.client import Client
from catalog.client.filters import RecordFilter, SchemaName, schema_name
from catalog.config import CatalogSettings, NetworkSettings, Source
from catalog.crawl import crawl
from catalog.errors import Fault, InvalidConfig, InvalidSyntax, NetworkError, RequestFailed, StoreError, UnknownIdentity
from catalog.records import DATASET, LENS, SCHEMA, CodeReference
from catalog.samples.clients import PublishedShard
from catalog.schema import Field, SampleType, Scalar
from catalog.store import Store
from catalog.syntax import AtUri
from tests.fakes import Asked, answer, fake_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from tests.conftest import Account, Network

POINT = SampleType(name="Point", version="1.0.0", fields=(Field(name="x", type=Scalar(kind="float")),))
POINT_11 = replace(POINT, version="1.1.0", fields=(*POINT.fields, Field(name="y", type=Scalar(kind="float"))))
WORD = SampleType(
    name="Word", version="1.0.0", fields=(Field(name="w", type=Scalar(kind="str")),), description="Ein Wort."
)
CODE = CodeReference(repository="https://git.example/x", commit="c" * 40, path="a.py:f")


def dataset(client: Client, name: str, schema: SampleType | AtUri, **more: Any) -> AtUri:  # noqa: ANN401
    url = f"https://data.example/{name}.tar"
    return client.publish_dataset(name=name, schema=schema, shards=[PublishedShard(url=url)], **more)


@pytest.fixture(scope="module")
def alice(network: Network) -> Account:
    """Two points datasets (of two versions), one of words; two lenses."""
    account = network.account("alice")
    with Client.login(account.did, account.password) as client:
        dataset(client, "towns", POINT, tags=["geo", "small"], description="Where the towns are.")
        dataset(client, "rivers", POINT_11, tags=["geo"], description="Flüsse: STRASSE und Wasser.")
        dataset(client, "poems", WORD, tags=["text"])
        for name, source, target in (("lift", POINT, POINT_11), ("say", POINT_11, WORD)):
            client.publish_lens(name=name, source=source, target=target, getter=CODE, putter=CODE)
    return account


@pytest.fixture(scope="module")
def bob(network: Network, alice: Account) -> Account:
    """A dataset of alice's schema, and three broken records."""
    account = network.account("bob")
    with Client.login(account.did, account.password) as client:
        point = AtUri.of(alice.did, SCHEMA, "Point:1.0.0")
        dataset(client, "villages", point, tags=["geo"], description="Where the villages are.")
        dataset(client, "lost", AtUri.of(alice.did, SCHEMA, "Gone:1.0.0"), tags=["geo"])
    network.create_record(account, DATASET, {"$type": DATASET, "name": 5})
    network.create_record(account, SCHEMA, {"$type": SCHEMA, "name": "Broken"})
    network.create_record(account, LENS, {"$type": LENS})
    return account


@pytest.fixture
def client(network: Network) -> Iterator[Client]:
    assert network.pds_url
    with Client() as opened:
        yield opened


def names(found: Iterator[Any]) -> set[str]:
    return {getattr(one.record, "name", "") or one.record.sample_type.name for one in found}


# --- one publisher -------------------------------------------------------------------------------------------


def test_a_publisher_s_datasets_are_found_with_whose_they_are(network: Network, client: Client, alice: Account) -> None:
    """By handle or DID; a finding has the record, its CID and address, and the account's handle and DID."""
    found = {one.record.name: one for one in client.datasets(alice.handle)}
    assert set(found) == {"towns", "rivers", "poems"}
    towns = found["towns"]
    assert (towns.publisher.did, towns.publisher.handle) == (alice.did, alice.handle)
    there = network.get_record(alice.did, DATASET, str(towns.uri.rkey))
    assert (towns.uri, towns.cid) == (there["uri"], there["cid"])
    assert towns.record.tags == ("geo", "small")
    assert names(client.datasets(alice.did)) == set(found)
    assert names(client.schemas(f"@{alice.handle}")) == {"Point", "Word"}
    assert names(client.lenses(alice.did)) == {"lift", "say"}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"tag": "geo"}, {"towns", "rivers"}),
        ({"tag": ["geo", "small"]}, {"towns"}),
        ({"tag": "ge"}, set()),
        ({"text": "TOWNS where"}, {"towns"}),
        ({"text": "strasse flüsse"}, {"rivers"}),
        ({"text": "straße"}, {"rivers"}),
        ({"text": "small"}, {"towns"}),
        ({"text": "towns water"}, set()),
        ({"text": " "}, {"towns", "rivers", "poems"}),
        ({"schema": "Point"}, {"towns", "rivers"}),
        ({"schema": "Point@1.1.0"}, {"rivers"}),
        ({"schema": "Point@1"}, set()),
        ({"schema": "Word", "tag": "geo"}, set()),
    ],
)
def test_conditions_narrow(client: Client, alice: Account, conditions: dict[str, Any], expected: set[str]) -> None:
    assert names(client.datasets(alice.did, **conditions)) == expected


def test_a_schema_may_be_named_by_its_address_also_with_a_handle(client: Client, alice: Account) -> None:
    uri = f"at://{alice.did}/{SCHEMA}/Point:1.0.0"
    assert names(client.datasets(alice.did, schema=uri)) == {"towns"}
    assert names(client.datasets(alice.did, schema=uri.replace(alice.did, alice.handle))) == {"towns"}
    assert names(client.lenses(alice.did, source=uri)) == {"lift"}


def test_lenses_are_found_by_what_they_lead_from_and_to(client: Client, alice: Account) -> None:
    assert names(client.lenses(alice.did, source="Point")) == {"lift", "say"}
    assert names(client.lenses(alice.did, source="Point", target="Word")) == {"say"}
    assert names(client.lenses(alice.did, target="Point@1.1.0")) == {"lift"}


def test_schemas_are_found_by_words(client: Client, alice: Account) -> None:
    assert names(client.schemas(alice.did, text="ein WORT")) == {"Word"}
    assert names(client.schemas(alice.did, tag="geo")) == set()


def test_broken_records_are_passed_over_and_told(client: Client, bob: Account) -> None:
    """One of them never ends a search; without a list they are just left out."""
    refused: list[Fault] = []
    assert names(client.datasets(bob.did, refused=refused)) == {"villages", "lost"}
    (fault,) = refused
    assert fault.where.startswith(f"at://{bob.did}/{DATASET}/")
    assert "name" in fault.message
    assert names(client.datasets(bob.did)) == {"villages", "lost"}
    assert list(client.lenses(bob.did)) == []


def test_a_dataset_whose_schema_can_t_be_read_is_told_when_its_name_matters(client: Client, bob: Account) -> None:
    refused: list[Fault] = []
    assert names(client.datasets(bob.did, schema="Point", refused=refused)) == {"villages"}
    assert any("has no such record" in fault.message for fault in refused)
    assert all("lost" not in fault.message for fault in refused)


# --- a whole PDS ---------------------------------------------------------------------------------------------


def test_a_pds_is_searched_account_by_account(network: Network, client: Client, alice: Account, bob: Account) -> None:
    dids = {alice.did, bob.did}
    found = [one for one in client.datasets(pds=network.pds_url, tag="geo") if one.publisher.did in dids]
    assert {(one.publisher.handle, one.record.name) for one in found} == {
        (alice.handle, "towns"), (alice.handle, "rivers"), (bob.handle, "villages"), (bob.handle, "lost"),
    }  # fmt: skip
    assert names(client.datasets(bob.did, schema="Point", pds=network.pds_url)) == {"villages"}


def test_a_pds_that_lists_somebody_else_s_account_is_not_believed(
    network: Network, client: Client, alice: Account
) -> None:
    """It hands out records of an account that lives elsewhere: none of them is found, and why is told."""
    real = network.get("com.atproto.repo.listRecords", {"repo": alice.did, "collection": DATASET})
    repos = {"repos": [{"did": alice.did, "rev": network.latest_rev(alice.did), "head": "", "active": True}]}
    with fake_server(
        {
            "/xrpc/com.atproto.sync.listRepos": lambda handler, _asked: answer(handler, repos),
            "/xrpc/com.atproto.repo.listRecords": lambda handler, _asked: answer(handler, {"records": real["records"]}),
        }
    ) as fake:
        refused: list[Fault] = []
        # All names of this machine count as one server: a host that is another only by its port.
        assert list(client.datasets(pds=fake.url, refused=refused)) == []
        assert ["lists it, but the account is at" in fault.message for fault in refused] == [True]


def test_a_pds_that_answers_nothing_any_more_is_given_up(client: Client) -> None:
    repos = {
        "repos": [{"did": f"did:plc:{letter * 24}", "rev": "2222222222222", "active": True} for letter in "abcdefgh"]
    }
    with fake_server({"/xrpc/com.atproto.sync.listRepos": lambda handler, _asked: answer(handler, repos)}) as fake:
        refused: list[Fault] = []
        with pytest.raises(RequestFailed, match="5 repositories in a row"):
            list(client.datasets(pds=fake.url, refused=refused))
        assert len(refused) == 5


# --- a store -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(network: Network, alice: Account, bob: Account, tmp_path: Path) -> Path:
    """Both accounts, crawled."""
    assert network.pds_url
    path = tmp_path / "catalog.sqlite"
    sources = tuple(Source(kind="repo", value=one.did) for one in (alice, bob))
    with Store.open(path) as opened:
        crawl(CatalogSettings(store=path, sources=sources, network=NetworkSettings.from_environment()), opened)
    return path


def test_a_crawled_store_answers_without_a_network(client: Client, store: Path, alice: Account, bob: Account) -> None:
    """The same findings as from the accounts themselves, as a path or opened, and no request."""
    assert names(client.datasets(store=store)) == {"towns", "rivers", "poems", "villages", "lost"}
    assert names(client.datasets(bob.handle, store=store)) == {"villages", "lost"}
    assert names(client.datasets(store=str(store), schema="Point@1.0.0")) == {"towns", "villages"}
    uri = f"at://{alice.handle}/{SCHEMA}/Point:1.0.0"
    with Store.open(store) as opened:
        assert names(client.datasets(store=opened, schema=uri)) == {"towns", "villages"}
        assert names(client.lenses(store=opened, source="Point")) == {"lift", "say"}
    assert client.http.requests == 0
    (from_store,) = client.datasets(alice.did, text="poems", store=store)
    (from_pds,) = client.datasets(alice.did, text="poems")
    assert from_store == from_pds


def test_a_store_that_is_not_there_is_not_made(client: Client, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="doesn't exist"):
        list(client.datasets(store=tmp_path / "none.sqlite"))
    assert list(tmp_path.iterdir()) == []


# --- an AppView ----------------------------------------------------------------------------------------------


def appview(
    items: list[Any], *, key: str = "entries", size: int = 2
) -> Callable[[BaseHTTPRequestHandler, Asked], None]:
    """Answers ``items`` page by page."""

    def route(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        start = int(asked.query.get("cursor", "0"))
        page: dict[str, object] = {key: items[start : start + size]}
        if start + size < len(items):
            page["cursor"] = str(start + size)
        answer(handler, page)

    return route


LIST = "/xrpc/science.alt.dataset.listEntries"
SEARCH = "/xrpc/science.alt.dataset.searchDatasets"


def listed(network: Network, account: Account, collection: str = DATASET) -> list[dict[str, Any]]:
    page = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": collection})
    return [{"uri": one["uri"], "cid": one["cid"], "did": account.did} for one in page["records"]]


def test_an_appview_is_read_page_by_page_and_each_record_from_its_own_pds(
    network: Network, client: Client, alice: Account, bob: Account
) -> None:
    """Its record contents are ignored; a record named twice is found once."""
    items = [*listed(network, alice), *listed(network, bob), *listed(network, alice)]
    items[0] = {**items[0], "record": {"name": "a lie"}, "cid": "a lie"}
    with fake_server({LIST: appview(items)}) as fake:
        refused: list[Fault] = []
        found = list(client.datasets(appview=fake.url + "/", refused=refused))
        assert names(iter(found)) == {"towns", "rivers", "poems", "villages", "lost"}
        assert len(found) == 5
        assert len(fake.asked) == (len(items) + 1) // 2
        assert len(refused) == 1, "bob's broken one"
        assert names(client.datasets(appview=fake.url, schema="Point@1.0.0")) == {"towns", "villages"}
        assert names(client.datasets(bob.handle, appview=fake.url)) == {"villages", "lost"}
        assert fake.asked[-1].query["repo"] == bob.did


def test_a_text_is_searched_for_with_its_tags(network: Network, client: Client, alice: Account) -> None:
    """Tags are repeated parameters; what comes back is checked against the conditions again."""
    raw: list[str] = []

    def route(handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        raw.append(handler.path)
        appview(listed(network, alice), size=100)(handler, asked)

    with fake_server({SEARCH: route}) as fake:
        uri = f"at://{alice.did}/{SCHEMA}/Point:1.0.0"
        found = client.datasets(text="Where the", tag=["geo", "small"], schema=uri, appview=fake.url)
        assert names(found) == {"towns"}
    (path,) = raw
    assert "q=Where+the&tags=geo&tags=small&schemaRef=at%3A%2F%2Fdid" in path


def test_schemas_and_lenses_have_their_own_lists(network: Network, client: Client, alice: Account) -> None:
    lenses, schemas = (listed(network, alice, kind) for kind in (LENS, SCHEMA))
    base = "/xrpc/science.alt.dataset."
    routes = {base + "listLenses": appview(lenses, key="lenses"), base + "listSchemas": appview(schemas, key="schemas")}
    with fake_server(routes) as fake:
        uri = f"at://{alice.did}/{SCHEMA}/Point:1.1.0"
        assert names(client.lenses(source=uri, appview=fake.url)) == {"say"}
        assert fake.asked[0].query["sourceSchema"] == uri
        assert names(client.schemas(text="wort", appview=fake.url)) == {"Word"}


@pytest.mark.parametrize(
    "item", ["text", None, {}, {"uri": 5}, {"uri": "at://x"}, {"uri": "https://example.org"},
             {"uri": f"at://did:plc:{'z' * 24}/{DATASET}/x"}],
)  # fmt: skip
def test_a_line_of_an_appview_that_leads_nowhere_is_passed_over(
    network: Network,
    client: Client,
    alice: Account,
    item: Any,  # noqa: ANN401 - any wrong line
) -> None:
    with fake_server({LIST: appview([item, *listed(network, alice)])}) as fake:
        refused: list[Fault] = []
        assert names(client.datasets(appview=fake.url, refused=refused)) == {"towns", "rivers", "poems"}
        assert len(refused) == 1


def test_an_appview_that_goes_in_circles_ends(network: Network, client: Client, alice: Account) -> None:
    """The same cursor for ever."""
    page = {"entries": listed(network, alice), "cursor": "again"}
    with fake_server({LIST: lambda handler, _asked: answer(handler, page)}) as fake:
        assert len(list(client.datasets(appview=fake.url))) == 3
        assert len(fake.asked) == 2


@pytest.mark.parametrize("page", [[], {}, {"entries": {}}, {"entries": "x"}])
def test_an_answer_that_is_none_is_an_error(network: Network, client: Client, page: object) -> None:
    assert network.pds_url
    with (
        fake_server({LIST: lambda handler, _asked: answer(handler, page)}) as fake,
        pytest.raises(RequestFailed, match="no 'entries'"),
    ):
        list(client.datasets(appview=fake.url))


# --- where, and what -----------------------------------------------------------------------------------------


def test_a_search_says_where_and_in_one_place(client: Client, tmp_path: Path) -> None:
    """Told at once, not when the first finding is asked for."""
    with pytest.raises(InvalidConfig, match=r"no place to search .*publisher="):
        client.datasets(text="digits")
    with pytest.raises(InvalidConfig, match="pds and store are given"):
        client.schemas(pds="https://pds.example.org", store=tmp_path)
    with pytest.raises(InvalidConfig, match="not the URL of a server"):
        client.lenses(appview="appview.example.org")
    with pytest.raises(InvalidSyntax, match="not the URI of a schema"):
        client.datasets("x", schema=f"at://did:plc:{'a' * 24}/{DATASET}/x")
    with pytest.raises(InvalidSyntax, match="name a schema"):
        client.lenses("x", source=" ")


def test_a_place_that_does_not_answer_is_an_error(network: Network, client: Client) -> None:
    with fake_server({}) as fake:
        with pytest.raises(NetworkError):
            list(client.datasets(pds=fake.url))
        with pytest.raises(NetworkError):
            list(client.datasets(appview=fake.url))
    with pytest.raises(UnknownIdentity):
        list(client.datasets("nobody-here.test"))
    assert network.pds_url


@given(st.text())
def test_any_text_is_a_name_a_version_or_an_address_or_refused(text: str) -> None:
    try:
        found = schema_name(text, "schema")
    except InvalidSyntax:
        return
    assert isinstance(found, SchemaName)
    assert found.uri is not None or text == (found.name if found.version is None else f"{found.name}@{found.version}")


@given(st.text(), st.lists(st.text()))
def test_a_search_for_a_text_s_own_words_finds_it(text: str, tags: list[str]) -> None:
    """Whatever the letters; and a word more that isn't in it doesn't."""
    record = replace(_schema(), sample_type=replace(POINT, name=text), tags=tuple(tags))
    assert RecordFilter(text=text, tags=tuple(tags)).matches(record, _none)
    assert not RecordFilter(text=text + " \N{SNOWMAN}" + "".join(tags) + "x" * 20).matches(record, _none)


def _schema() -> Any:  # noqa: ANN401 - replaced with other values
    from catalog.records import Schema
    from catalog.syntax import Datetime

    return Schema(sample_type=POINT, created_at=Datetime.parse("2026-01-01T00:00:00Z"))


def _none(_uri: AtUri) -> SampleType:
    raise AssertionError
