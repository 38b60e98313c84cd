"""Datasets: from URLs, from records on a real PDS, in order and shuffled."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

import catalog
from catalog import Array, Dataset, DictSample, PackableSample, write_shards
from catalog.config import NetworkSettings
from catalog.errors import DataError, InvalidSample, InvalidSyntax, RefusedUrl, RequestFailed
from catalog.records import (
    DATASET,
    LABEL,
    LENS,
    SCHEMA,
    Checksum,
    ExternalStorage,
    HttpShard,
    HttpStorage,
    Label,
    S3Shard,
    S3Storage,
    Schema,
    Size,
    Storage,
    write_record,
)
from catalog.records import Dataset as DatasetRecord
from catalog.samples.dataset import _stored
from catalog.samples.packable import sample_type
from catalog.syntax import AtUri, Datetime, Did

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Network

NOW = Datetime.parse("2026-01-01T00:00:00Z")


class Tile(PackableSample):
    """A small image and its number."""

    image: Annotated[NDArray[np.uint8], Array(shape=(2, 2), dimensions=("y", "x"))]
    number: int


def tiles(count: int) -> list[Tile]:
    return [Tile(image=np.full((2, 2), number % 256, np.uint8), number=number) for number in range(count)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten tiles in three shards: 4, 4, 2."""
    write_shards(tiles(10), tmp_path / "t-%06d.tar", per_shard=4)
    return tmp_path


def test_a_pattern_of_local_files_is_iterated_in_order_again_and_again(folder: Path) -> None:
    dataset = Dataset.from_urls(f"{folder}/t-{{000000..000002}}.tar", Tile)
    assert list(dataset) == tiles(10)
    assert list(dataset) == tiles(10)
    assert [sample.__key__ for sample in dataset.head(2)] == ["00000000", "00000001"]
    assert dataset


def test_braces_in_a_list_are_just_characters(folder: Path) -> None:
    odd = folder / "t-{000000,000001}.tar"
    (folder / "t-000002.tar").rename(odd)
    assert [tile.number for tile in Dataset.from_urls([odd], Tile)] == [8, 9]
    assert [tile.number for tile in Dataset.from_urls([str(odd)], Tile)] == [8, 9]
    assert len(list(Dataset.from_urls(str(odd), Tile))) == 8  # the control: in a single string they are a pattern


def test_without_a_class_samples_are_dicts(folder: Path) -> None:
    (first,) = Dataset.from_urls(f"{folder}/t-000000.tar").head(1)
    assert isinstance(first, DictSample)
    assert first["image"].tolist() == [[0, 0], [0, 0]]


def test_shuffling_gives_every_sample_once_and_the_same_order_for_the_same_seed(folder: Path) -> None:
    dataset = Dataset.from_urls(f"{folder}/t-{{000000..000002}}.tar", Tile)
    for buffer in (1, 3, 100):
        one = [tile.number for tile in dataset.shuffled(7, buffer)]
        assert sorted(one) == list(range(10))
        assert one == [tile.number for tile in dataset.shuffled(7, buffer)]
    assert len({tuple(tile.number for tile in dataset.shuffled(seed)) for seed in range(5)}) > 1
    assert [tile.number for tile in dataset.shuffled(7).ordered()] == list(range(10))


def test_steps_make_new_datasets(folder: Path) -> None:
    dataset = Dataset.from_urls(f"{folder}/t-000000.tar", Tile)
    odd = dataset.filter(lambda tile: tile.number % 2).map(lambda tile: tile.number * 10)
    assert list(odd) == [10, 30]
    assert len(list(dataset)) == 4


def test_a_length_is_told_only_where_it_is_known(folder: Path) -> None:
    with pytest.raises(TypeError, match="not known"):
        len(Dataset.from_urls(f"{folder}/t-000000.tar", Tile))


def test_other_schemes_are_refused_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(RefusedUrl):
        Dataset.from_urls([folder / "t-000000.tar", "pipe:cat x"], Tile)


def test_checksums_go_with_their_shards(folder: Path) -> None:
    path = folder / "t-000000.tar"
    right = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list(Dataset.from_urls([path, path], Tile, checksums=[right, None]))) == 8
    with pytest.raises(DataError, match="promises"):
        list(Dataset.from_urls([path], Tile, checksums=["sha256:" + "0" * 64]))
    with pytest.raises(ValueError, match="shorter"):
        Dataset.from_urls([path, path], Tile, checksums=[right])


def test_a_sample_that_does_not_fit_is_named_with_its_shard(folder: Path) -> None:
    class Other(PackableSample):
        title: str

    with pytest.raises(InvalidSample, match=r"t-000000\.tar\.00000000: field 'title': expected str, found nothing"):
        list(Dataset.from_urls(f"{folder}/t-000000.tar", Other))


# --- from records --------------------------------------------------------------------------------------------


def entry(schema: str, storage: Storage, samples: int | None = 10) -> dict[str, Any]:
    record = DatasetRecord(
        name="tiles", schema_ref=AtUri.parse(schema), storage=storage, created_at=NOW, size=Size(samples=samples)
    )
    return write_record(record)


def http_storage(folder: Path, base: str) -> HttpStorage:
    paths = sorted(folder.glob("t-*.tar"))
    sums = [Checksum(algorithm="sha256", digest=hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    pairs = zip(paths, sums, strict=True)
    return HttpStorage(shards=tuple(HttpShard(url=base + path.name, checksum=one) for path, one in pairs))


def published(network: Network, storage: Callable[[], Storage]) -> str:
    """The dataset's address; its schema is another account's."""
    schema = write_record(Schema(sample_type=sample_type(Tile), created_at=NOW))
    schema_uri = network.create_record(network.account("schemas"), SCHEMA, schema, "Tile:1.0.0")["uri"]
    owner = network.account("tiles")
    return str(network.create_record(owner, DATASET, entry(schema_uri, storage()))["uri"])


def test_a_record_on_a_real_pds_is_loaded_with_a_class_made_from_its_schema(
    network: Network, folder: Path, serve: Callable[[Path], str]
) -> None:
    uri = published(network, lambda: http_storage(folder, serve(folder)))
    dataset = Dataset.from_atproto(uri)
    assert len(dataset) == 10
    assert dataset.sample_class.__name__ == "Tile"
    assert [(tile.number, tile.image.tolist()) for tile in dataset] == [  # type: ignore[attr-defined]
        (tile.number, tile.image.tolist()) for tile in tiles(10)
    ]
    assert list(Dataset.from_atproto(uri, Tile)) == tiles(10)
    assert Dataset.from_atproto(uri, DictSample).head(1)[0]["number"] == 0


def test_a_label_leads_to_its_dataset_and_a_handle_to_its_account(
    network: Network, folder: Path, serve: Callable[[Path], str]
) -> None:
    uri = published(network, lambda: http_storage(folder, serve(folder)))
    labeller = network.account("labeller")
    label = write_record(Label(name="tiles", dataset=AtUri.parse(uri), created_at=NOW, version="1.0.0"))
    rkey = network.create_record(labeller, LABEL, label)["uri"].rpartition("/")[2]
    assert len(list(Dataset.from_atproto(f"at://{labeller.handle}/{LABEL}/{rkey}", Tile))) == 10


def test_shards_in_blobs_come_from_the_pds_and_are_checked_by_their_cid(network: Network, folder: Path) -> None:
    import httpx

    account = network.account("blobs")
    raw = (folder / "t-000002.tar").read_bytes()
    headers = {"authorization": f"Bearer {account.access_jwt}", "content-type": "application/x-tar"}
    address = f"{network.pds_url}/xrpc/com.atproto.repo.uploadBlob"
    blob = httpx.post(address, content=raw, headers=headers).json()["blob"]
    schema = write_record(Schema(sample_type=sample_type(Tile), created_at=NOW))
    schema_uri = network.create_record(account, SCHEMA, schema, "Tile:1.0.0")["uri"]
    value = entry(schema_uri, HttpStorage(shards=(HttpShard(url="https://data.example/x.tar"),)))
    value["storage"] = {"$type": "science.alt.dataset.storageBlobs", "blobs": [{"blob": blob}]}
    uri = network.create_record(account, DATASET, value)["uri"]
    dataset = Dataset.from_atproto(uri, Tile)
    assert [tile.number for tile in dataset] == [8, 9]
    assert dataset.shards[0].checksum == "sha256:" + hashlib.sha256(raw).hexdigest()


def test_a_class_that_cannot_read_the_schema_is_refused_before_any_shard(
    network: Network, folder: Path, serve: Callable[[Path], str]
) -> None:
    class Titled(PackableSample):
        number: int
        title: str

    class Worded(PackableSample):
        number: str

    class Partial(PackableSample):
        number: int
        extra: str | None = None

    uri = published(network, lambda: http_storage(folder, serve(folder)))
    with pytest.raises(InvalidSample, match="'title': Titled requires it"):
        Dataset.from_atproto(uri, Titled)
    with pytest.raises(InvalidSample, match="'number': Worded has str, the schema int"):
        Dataset.from_atproto(uri, Worded)
    assert Dataset.from_atproto(uri, Partial).head(1) == [Partial(number=0)]


def test_addresses_that_are_no_dataset_are_named(network: Network) -> None:
    account = network.account("nobody")
    with pytest.raises(RequestFailed):
        Dataset.from_atproto(f"at://{account.did}/{DATASET}/3jzfcijpj2z2a")
    with pytest.raises(InvalidSyntax):
        Dataset.from_atproto("https://example.org")
    with pytest.raises(DataError, match="not the address of a dataset"):
        Dataset.from_atproto(f"at://{account.did}/{LENS}/3jzfcijpj2z2a")


def record_of(storage: Storage) -> DatasetRecord:
    return DatasetRecord(
        name="x", schema_ref=AtUri.parse(f"at://did:plc:{'a' * 24}/{SCHEMA}/x"), storage=storage, created_at=NOW
    )


@pytest.mark.parametrize("url", ["pipe:touch MARK", "/etc/passwd", "file:///etc/passwd", "data.tar", "s3://b/k"])
@pytest.mark.parametrize("kind", ["listed", "external"])
def test_a_record_never_opens_a_file_or_a_command_of_the_reader(url: str, kind: str) -> None:
    storage = HttpStorage(shards=(HttpShard(url=url),)) if kind == "listed" else ExternalStorage(urls=(url,))
    with pytest.raises(RefusedUrl):
        _stored(record_of(storage), Did.parse("did:plc:" + "a" * 24), "https://pds.example")


def test_braces_are_a_pattern_only_in_external_storage() -> None:
    url = "https://data.example/{0..1}.tar"
    did = Did.parse("did:plc:" + "a" * 24)
    listed = _stored(record_of(HttpStorage(shards=(HttpShard(url=url),))), did, "https://pds.example")
    external = _stored(record_of(ExternalStorage(urls=(url,))), did, "https://pds.example")
    assert [shard.url for shard in listed] == [url]
    assert [shard.url for shard in external] == ["https://data.example/0.tar", "https://data.example/1.tar"]


def test_storage_that_is_not_opened_yet_says_so() -> None:
    storage = S3Storage(bucket="b", shards=(S3Shard(key="k"),))
    with pytest.raises(RefusedUrl, match="S3Storage"):
        _stored(record_of(storage), Did.parse("did:plc:" + "a" * 24), "https://pds.example")


# --- the top level -------------------------------------------------------------------------------------------


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "'numpy', 'msgpack', 'httpx', 'yaml', 'mkdocs'"
    code = f"import sys, catalog; print([name for name in ({heavy}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert [name for name in catalog.__all__ if getattr(catalog, name, None) is None] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = catalog.nothing
    assert NetworkSettings().allow_loopback is False
