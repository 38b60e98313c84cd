"""Publishing from code to a real PDS: the same records as a manifest's, by the same way."""

from __future__ import annotations

import hashlib
import inspect
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, Dataset, PackableSample
from catalog.client import Client
from catalog.config import NetworkSettings
from catalog.errors import CatalogError, InvalidManifest, InvalidSyntax, PublishError, SessionError, UnknownIdentity
from catalog.manifest import load
from catalog.publish import publish
from catalog.records import COLLECTIONS, DATASET, LENS, SCHEMA, CodeReference
from catalog.samples.clients import CatalogClient, Place, PublishedShard
from catalog.samples.packable import sample_type
from catalog.samples.write_shards import write_shards
from catalog.schema import Field, SampleType, Scalar
from catalog.syntax import AtUri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Account, HttpsServer, Network

CODE = CodeReference(
    repository="https://git.example/lenses", commit="c" * 40, path="lenses/digits.py:flatten", language="python"
)


class Digit(PackableSample):
    """A digit."""

    image: Annotated[NDArray[np.uint8], Array(shape=(2, 2), dimensions=("y", "x"))]
    label: int


class Flat(PackableSample):
    """A digit without its shape."""

    values: NDArray[np.uint8]
    label: int | None = None


MANIFEST = """\
schemas:
  - name: Digit
    version: 1.0.0
    description: A digit.
    license: MIT
    tags: [vision]
    fields:
      image: {{type: "array[uint8, 2, 2]", dimensions: [y, x]}}
      label: int
  - name: Flat
    version: 1.0.0
    description: A digit without its shape.
    fields: {{values: "array[uint8]", label: int?}}
datasets:
  - name: digits
    schema: Digit@1.0.0
    version: 1.0.0
    description: A few digits.
    license: MIT
    tags: [small]
    samples: 5
    shards:
      - {{url: "{base}/d-000000.tar", local: d-000000.tar}}
      - {{url: "{base}/d-000001.tar", local: d-000001.tar}}
    metadata: {{made: 2026-01-02, scale: 0.5}}
    content_metadata: {{station: north}}
lenses:
  - name: flatten
    source: Digit@1.0.0
    target: Flat@1.0.0
    description: Row by row.
    getter: &code
      repository: https://git.example/lenses
      commit: cccccccccccccccccccccccccccccccccccccccc
      path: "lenses/digits.py:flatten"
      language: python
    putter: *code
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CATALOG_APP_PASSWORD", raising=False)


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("coder")


@pytest.fixture
def client(account: Account) -> Iterator[Client]:
    with Client.login(account.handle, account.password) as opened:
        yield opened


def digits() -> list[Digit]:
    return [Digit(image=np.full((2, 2), number, np.uint8), label=number) for number in range(5)]


@pytest.fixture
def shards(tmp_path: Path, https_server: Callable[[Path], HttpsServer], monkeypatch: pytest.MonkeyPatch) -> HttpsServer:
    """Five digits in two shards, served by https; this process trusts the server."""
    write_shards(digits(), tmp_path / "d-%06d.tar", maxcount=3)
    server = https_server(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    return server


def publish_all(client: CatalogClient, base: str, folder: Path) -> list[AtUri]:
    """A schema, a dataset and a lens, as the manifest above has them."""
    named = [PublishedShard(url=f"{base}/{name}", local=folder / name) for name in ("d-000000.tar", "d-000001.tar")]
    return [
        client.publish_schema(sample_type(Digit), license="MIT", tags=["vision"]),
        client.publish_dataset(
            name="digits",
            schema=sample_type(Digit),
            shards=named,
            samples=5,
            version="1.0.0",
            description="A few digits.",
            license="MIT",
            tags=["small"],
            metadata={"made": date(2026, 1, 2), "scale": 0.5},
            content_metadata={"station": "north"},
        ),
        client.publish_lens(
            name="flatten",
            source=sample_type(Digit),
            target=sample_type(Flat),
            getter=CODE,
            putter=CODE,
            description="Row by row.",
        ),
    ]


def cids(network: Network, account: Account) -> dict[str, str]:
    """Every dataset record of an account, and its CID."""
    pages = (
        network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": name, "limit": "100"})
        for name in COLLECTIONS
    )
    return {line["uri"]: line["cid"] for page in pages for line in page["records"]}


def test_code_publishes_what_the_manifest_says_and_the_manifest_then_changes_nothing(
    network: Network, account: Account, shards: HttpsServer, tmp_path: Path
) -> None:
    """Same records to the CID, so it is one way; and what was published comes back as it was, over https."""
    with Client.login(account.handle, account.password) as client:  # after the server is trusted
        uris = publish_all(client, shards.url, tmp_path)
        schema, dataset, lens = uris
        assert schema == f"at://{account.did}/{SCHEMA}/Digit:1.0.0"
        assert (dataset.collection, lens.collection) == (DATASET, LENS)
        there = cids(network, account)
        assert len(there) == 5, "two schemas, the dataset, its label, the lens"
        assert set(uris) < set(there)
        assert f"at://{account.did}/{SCHEMA}/Flat:1.0.0" in there, "published with the lens"
        rev = network.latest_rev(account.did)

        assert publish_all(client, shards.url, tmp_path) == uris
        assert network.latest_rev(account.did) == rev, "a second time changes nothing"

        path = tmp_path / "digits.yaml"
        path.write_text(MANIFEST.format(base=shards.url), encoding="utf-8")
        assert client._session is not None
        report = publish(load([path]), client._session)
        assert (report.created, set(report.unchanged)) == ((), set(there))
        assert network.latest_rev(account.did) == rev

        value = network.get_record(account.did, DATASET, str(dataset.rkey))["value"]
        digests = [hashlib.sha256((tmp_path / f"d-00000{i}.tar").read_bytes()).hexdigest() for i in range(2)]
        assert [shard["checksum"]["digest"] for shard in value["storage"]["shards"]] == digests

        read: Dataset[Any] = Dataset.from_atproto(dataset, client=client)
        assert len(read) == 5
        assert [(one.label, one.image.tolist()) for one in read] == [(d.label, d.image.tolist()) for d in digits()]
        assert list(Dataset.from_atproto(dataset, Digit, client=client)) == digits()


def test_a_manifest_changed_by_a_word_changes_that_record_after_code_published_it(
    account: Account, shards: HttpsServer, tmp_path: Path
) -> None:
    """The control of the test above: not everything counts as unchanged."""
    path = tmp_path / "digits.yaml"
    path.write_text(MANIFEST.format(base=shards.url).replace("Row by row", "Row for row"), encoding="utf-8")
    with Client.login(account.handle, account.password) as client:
        publish_all(client, shards.url, tmp_path)
        assert client._session is not None
        report = publish(load([path]), client._session)
    assert [report.names[uri] for uri in report.updated] == ["lens 'flatten'"]
    assert report.created == ()


def test_a_changed_schema_of_the_same_version_is_refused_by_its_place_in_the_code(
    network: Network, account: Account, client: Client
) -> None:
    client.publish_schema(sample_type(Digit))
    rev = network.latest_rev(account.did)
    changed = SampleType(name="Digit", version="1.0.0", fields=(Field(name="label", type=Scalar(kind="str")),))
    line = inspect.getsourcelines(Digit)[1]
    with pytest.raises(PublishError) as caught:
        client.publish_schema(changed, place=Place.of(Digit))
    text = str(caught.value)
    assert f"test_client.py:{line}: schema Digit@1.0.0 is published with other content" in text
    assert "a published version is immutable (give it version 2.0.0)" in text
    with pytest.raises(PublishError, match="published with other content, and a published version is immutable"):
        client.publish_dataset(name="d", schema=changed, shards=[PublishedShard(url="https://data.example/d.tar")])
    assert network.latest_rev(account.did) == rev, "not even the dataset beside it"


def test_a_schema_that_is_there_with_more_words_serves_a_dataset_of_the_class(
    network: Network, account: Account, client: Client
) -> None:
    """A class has no descriptions of its fields, no licence and no tags; the record may. Its fields count."""
    described = sample_type(Digit)
    fields = tuple(
        Field(name=field.name, type=field.type, optional=field.optional, description="As described.")
        for field in reversed(described.fields)
    )
    client.publish_schema(
        SampleType(name="Digit", version="1.0.0", fields=fields, description="Longer."), license="MIT"
    )
    before = cids(network, account)
    shard = PublishedShard(url="https://data.example/d.tar", sha256="A" * 64, bytes=10240)
    uri = client.publish_dataset(name="d", schema=sample_type(Digit), shards=[shard])
    assert set(cids(network, account)) - set(before) == {uri}
    value = network.get_record(account.did, DATASET, str(uri.rkey))["value"]
    assert value["schemaRef"] == f"at://{account.did}/{SCHEMA}/Digit:1.0.0"
    assert value["storage"]["shards"][0]["checksum"] == {"algorithm": "sha256", "digest": "a" * 64}
    assert value["size"] == {"bytes": 10240, "shards": 1}


def test_a_published_schema_is_referred_to_by_did_even_when_named_by_handle(
    network: Network, account: Account, client: Client
) -> None:
    """Handles change hands."""
    other = network.account("schemas")
    with Client.login(other.did, other.password) as theirs:
        schema = theirs.publish_schema(sample_type(Digit))
    named = AtUri.parse(schema.replace(other.did, other.handle))
    uri = client.publish_dataset(name="d", schema=named, shards=[PublishedShard(url="https://data.example/d.tar")])
    assert network.get_record(account.did, DATASET, str(uri.rkey))["value"]["schemaRef"] == schema
    assert set(cids(network, account)) == {uri}


def test_shards_in_a_bucket_become_one_storage(network: Network, account: Account, client: Client) -> None:
    shards = [
        PublishedShard(url=f"s3://stations/waves/{i}.tar", endpoint="https://s3.example", region="eu") for i in "ab"
    ]
    uri = client.publish_dataset(name="d", schema=sample_type(Digit), shards=shards)
    value = network.get_record(account.did, DATASET, str(uri.rkey))["value"]["storage"]
    assert (value["bucket"], value["endpoint"], value["region"]) == ("stations", "https://s3.example", "eu")
    assert [shard["key"] for shard in value["shards"]] == ["waves/a.tar", "waves/b.tar"]
    read: Dataset[Any] = Dataset.from_atproto(uri, client=client)
    assert [shard.url for shard in read.shards] == [shard.url for shard in shards]


def test_a_schema_record_that_can_t_be_read_serves_nobody(network: Network, account: Account, client: Client) -> None:
    """It has the name and version of the class, and nothing else: the version is taken, and not by these fields."""
    network.create_record(account, SCHEMA, {"$type": SCHEMA, "name": "Digit", "version": "1.0.0"})
    rev = network.latest_rev(account.did)
    with pytest.raises(PublishError, match=r"schema Digit@1\.0\.0 is published, and can't be read as a schema"):
        client.publish_dataset(
            name="d", schema=sample_type(Digit), shards=[PublishedShard(url="https://data.example/d.tar")]
        )
    assert network.latest_rev(account.did) == rev


def test_a_class_where_a_schema_belongs_is_a_mistake_in_the_program(client: Client) -> None:
    wrong: Any = Digit
    with pytest.raises(TypeError, match="a sample type or an at:// URI, not type"):
        client.publish_lens(name="l", source=wrong, target=wrong, getter=CODE, putter=CODE)


def test_two_different_types_of_one_name_and_version_are_told(client: Client) -> None:
    other = SampleType(name="Digit", version="1.0.0", fields=(Field(name="x", type=Scalar(kind="int")),))
    with pytest.raises(InvalidManifest, match=r"two different schemas 'Digit@1\.0\.0'"):
        client.publish_lens(name="l", source=sample_type(Digit), target=other, getter=CODE, putter=CODE)


def test_records_that_break_a_lexicon_are_told_with_the_caller_s_line(
    network: Network, account: Account, client: Client
) -> None:
    """Also a missing local copy, and metadata that can't be packed; nothing is written."""
    rev = network.latest_rev(account.did)
    shard = PublishedShard(url="https://data.example/d.tar")
    with pytest.raises(InvalidManifest, match=r"test_client\.py:\d+: name: "):
        client.publish_dataset(name="d" * 201, schema=sample_type(Digit), shards=[shard])
    with pytest.raises(InvalidManifest, match=r"test_client\.py:\d+: metadata: can't be packed"):
        client.publish_dataset(name="d", schema=sample_type(Digit), shards=[shard], metadata={"x": object()})
    lost = PublishedShard(url="https://data.example/d.tar", local=Path("/nowhere/d.tar"))
    with pytest.raises(
        InvalidManifest, match=r"test_client\.py:\d+: the local copy '/nowhere/d.tar' can't be read: No"
    ):
        client.publish_dataset(name="d", schema=sample_type(Digit), shards=[lost])
    floats: Any = {"x": 0.5}  # no type of ours says that records have them
    with pytest.raises(CatalogError, match="float"):
        client.publish_dataset(name="d", schema=sample_type(Digit), shards=[shard], content_metadata=floats)
    assert network.latest_rev(account.did) == rev


def test_the_caller_is_the_first_line_outside_the_package(client: Client) -> None:
    here = inspect.currentframe()
    assert here is not None
    with pytest.raises(InvalidManifest) as caught:
        client.publish_schema(SampleType(name="", version="1.0.0", fields=()))
    assert f"test_client.py:{here.f_lineno - 1}: " in str(caught.value)


def test_a_place_is_known_of_classes_and_functions_that_have_a_source() -> None:
    assert Place.of(Digit) == Place(file=Path(__file__), line=inspect.getsourcelines(Digit)[1])
    function = Place.of(digits)
    assert function is not None
    assert function.file == Path(__file__)
    assert Place.of(type("Made", (), {})) is None
    assert Place.of(len) is None


def test_without_a_login_nothing_is_published(network: Network) -> None:
    assert network.pds_url
    with Client() as anonymous:
        assert (anonymous.did, anonymous.handle, repr(anonymous)) == (None, None, "Client()")
        with pytest.raises(SessionError, match="publishing needs a login"):
            anonymous.publish_schema(sample_type(Digit))


def test_the_password_comes_from_the_environment_and_is_shown_nowhere(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SessionError, match="CATALOG_APP_PASSWORD"):
        Client.login(account.handle)
    monkeypatch.setenv("CATALOG_APP_PASSWORD", account.password)
    with Client.login(account.handle) as client:
        assert (client.did, client.handle) == (account.did, account.handle)
        assert repr(client) == f"Client(did={account.did!r})"
        seen = repr(vars(client)) + repr(client)
    with pytest.raises(SessionError) as caught:
        Client.login(account.handle, "quaquaversal")
    told = seen + str(caught.value) + repr(caught.value)
    assert "refused" in told
    assert account.password not in told
    assert "quaquaversal" not in told


def test_an_account_that_nobody_has_is_told(network: Network) -> None:
    assert network.pds_url
    with pytest.raises(UnknownIdentity):
        Client.login("nobody-at-all.test", "x")
    with pytest.raises(InvalidSyntax):
        Client(NetworkSettings.from_environment()).records.by_did(AtUri.parse("at//x"))


def test_classes_and_datasets_publish_themselves(
    network: Network, account: Account, shards: HttpsServer, tmp_path: Path
) -> None:
    """``publish_to_atproto`` of a class, and of a dataset whose shards are at their addresses."""
    with Client.login(account.handle, account.password) as client:
        schema = Digit.publish_to_atproto(client, license="MIT", tags=["vision"])
        assert schema == f"at://{account.did}/{SCHEMA}/Digit:1.0.0"
        value = network.get_record(account.did, SCHEMA, "Digit:1.0.0")["value"]
        assert value["metadata"] == {"license": "MIT", "tags": ["vision"]}
        urls = [f"{shards.url}/d-00000{i}.tar" for i in range(2)]
        dataset = Dataset(urls, Digit)
        uri = dataset.publish_to_atproto(client, name="digits", description="A few.", tags=["small"])
        assert list(Dataset.from_atproto(uri, Digit, client=client)) == digits()
        rev = network.latest_rev(account.did)
        assert dataset.publish_to_atproto(client, name="digits", description="A few.", tags=["small"]) == uri
        assert network.latest_rev(account.did) == rev
        assert str(tmp_path) not in str(network.get_record(account.did, DATASET, str(uri.rkey)))


@pytest.mark.parametrize("misused", ["alice.example.org", "https://pds.example.org", 1])
def test_a_client_that_is_made_of_an_account_says_how_to_log_in(misused: object) -> None:
    with pytest.raises(TypeError, match=r"Client\.login\(account\)"):
        Client(misused)  # type: ignore[arg-type]
