"""Datasets: from URLs, from records on a real PDS, in order and shuffled."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the class below needs it at run time

from catalog import Array, Dataset, DictSample, PackableSample
from catalog.atproto.identity import Identity
from catalog.client import Client
from catalog.datasets.order import Partition
from catalog.datasets.published import shards_of
from catalog.errors import (
    DataError,
    InvalidSample,
    InvalidSchema,
    InvalidSyntax,
    LensError,
    PublishError,
    RefusedUrl,
    RequestFailed,
)
from catalog.lenses.lens import Lens, LensNetwork
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
    UnknownStorage,
    write_record,
)
from catalog.records import Dataset as DatasetRecord
from catalog.records.fetch import Published
from catalog.samples.arrays import encode_array
from catalog.samples.clients import PublishedShard
from catalog.samples.packable import class_from, sample_type
from catalog.samples.write_shards import write_shards
from catalog.shards.shard import Shard
from catalog.syntax import AtUri, Cid, Datetime, Did

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalog.samples.clients import CatalogClient
    from tests.conftest import HttpsServer, Network

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
    write_shards(tiles(10), tmp_path / "t-%06d.tar", maxcount=4)
    return tmp_path


def test_a_pattern_of_local_files_is_iterated_in_order_again_and_again(folder: Path) -> None:
    dataset = Dataset(f"{folder}/t-{{000000..000002}}.tar", Tile)
    assert list(dataset) == tiles(10)
    assert list(dataset) == tiles(10)
    assert [sample.__key__ for sample in dataset.head(2)] == ["00000000", "00000001"]
    assert dataset


def test_braces_in_a_list_are_just_characters(folder: Path) -> None:
    odd = folder / "t-{000000,000001}.tar"
    (folder / "t-000002.tar").rename(odd)
    assert [tile.number for tile in Dataset([odd], Tile)] == [8, 9]
    assert [tile.number for tile in Dataset([str(odd)], Tile)] == [8, 9]
    assert len(list(Dataset(str(odd), Tile))) == 8  # the control: in a single string they are a pattern


def test_without_a_class_samples_are_dicts(folder: Path) -> None:
    (first,) = Dataset(f"{folder}/t-000000.tar").head(1)
    assert isinstance(first, DictSample)
    assert first["image"].tolist() == [[0, 0], [0, 0]]


def test_shuffling_gives_every_sample_once_and_the_same_order_for_the_same_seed(folder: Path) -> None:
    dataset = Dataset(f"{folder}/t-{{000000..000002}}.tar", Tile)
    for buffer in (1, 3, 100):
        one = [tile.number for tile in dataset.shuffled(buffer_samples=buffer, seed=7)]
        assert sorted(one) == list(range(10))
        assert one == [tile.number for tile in dataset.shuffled(buffer_samples=buffer, seed=7)]
    assert len({tuple(tile.number for tile in dataset.shuffled(seed=seed)) for seed in range(5)}) > 1
    assert [tile.number for tile in dataset.shuffled(seed=7).ordered()] == list(range(10))


def test_steps_make_new_datasets(folder: Path) -> None:
    dataset = Dataset(f"{folder}/t-000000.tar", Tile)
    odd = dataset.filter(lambda tile: tile.number % 2).map(lambda tile: tile.number * 10)
    assert list(odd) == [10, 30]
    assert len(list(dataset)) == 4


def test_a_length_is_told_only_where_it_is_known(folder: Path) -> None:
    with pytest.raises(TypeError, match="not known"):
        len(Dataset(f"{folder}/t-000000.tar", Tile))


@pytest.mark.parametrize("cls", [dict, int, "Number"])
def test_a_class_that_is_no_sample_is_refused_before_anything_is_read(folder: Path, cls: type) -> None:
    with pytest.raises(InvalidSchema, match=r"is not a packable class \(use @packable or PackableSample; for dicts"):
        Dataset(str(folder / "gone.tar"), cls)


def test_a_dataset_shows_shards_class_and_address_and_nothing_of_its_inside(folder: Path) -> None:
    shown = repr(Dataset(str(folder / "n-000000.tar")).shuffled(seed=1).batched(2))
    assert "n-000000.tar" in shown
    assert "SampleBatch" in shown
    assert " _" not in shown


def test_other_schemes_are_refused_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(RefusedUrl):
        Dataset([folder / "t-000000.tar", "pipe:cat x"], Tile)


def test_checksums_go_with_their_shards(folder: Path) -> None:
    path = folder / "t-000000.tar"
    right = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(list(Dataset([path, path], Tile, checksums=[right, None]))) == 8
    with pytest.raises(DataError, match="promises"):
        list(Dataset([path], Tile, checksums=["sha256:" + "0" * 64]))
    with pytest.raises(ValueError, match="shorter"):
        Dataset([path, path], Tile, checksums=[right])


def test_a_sample_that_does_not_fit_is_named_with_its_shard(folder: Path) -> None:
    class Other(PackableSample):
        title: str

    with pytest.raises(InvalidSample, match=r"t-000000\.tar\.00000000: field 'title': expected str, found nothing"):
        list(Dataset(f"{folder}/t-000000.tar", Other))


def test_shards_that_were_written_make_a_dataset_of_known_length(tmp_path: Path) -> None:
    infos = write_shards(tiles(10), tmp_path / "t-%06d.tar", maxcount=4)
    dataset = Dataset(infos, Tile)
    assert len(dataset) == 10
    assert list(dataset) == tiles(10)
    assert dataset.shards[0].checksum == f"sha256:{infos[0].sha256}"
    with pytest.raises(TypeError, match="not known"):
        len(Dataset(dataset.shards, Tile))
    assert isinstance(Dataset(dataset.shards).head(1)[0], DictSample)


def test_steps_that_change_the_number_change_the_length(folder: Path) -> None:
    dataset = numbered(folder).__replace__(_stored=10)
    assert [len(dataset.map(str)), len(dataset.shuffled()), len(dataset.validated())] == [10, 10, 10]
    for size in (1, 3, 4, 5, 10, 11):
        assert len(dataset.batched(size)) == len(list(dataset.batched(size)))
        assert len(dataset.batched(size, drop_last=True)) == len(list(dataset.batched(size, drop_last=True)))
    assert dataset.filter(bool).length is None
    assert dataset.filter(bool).batched(2).length is None
    assert len(dataset.batched(3).batched(2)) == 2


def numbered(folder: Path) -> Dataset[Tile]:
    return Dataset(f"{folder}/t-{{000000..000002}}.tar", Tile)


def numbers(dataset: Dataset[Tile]) -> list[int]:
    return [tile.number for tile in dataset]


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("seed", [None, 1])
def test_nodes_share_the_samples_and_none_is_idle(folder: Path, nodes: int, seed: int | None) -> None:
    dataset = numbered(folder) if seed is None else numbered(folder).shuffled(buffer_samples=3, seed=seed)
    parts = [numbers(dataset.split_by_node(rank, nodes)) for rank in range(nodes)]
    assert sorted(chain(*parts)) == list(range(10))
    assert all(parts)
    known = [dataset.__replace__(_stored=10).split_by_node(rank, nodes).length for rank in range(nodes)]
    assert known == [len(part) for part in parts]


@given(items=st.integers(0, 60), unit=st.integers(1, 7), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_parts_of_parts_take_units_in_turn(items: int, unit: int, sizes: list[int]) -> None:
    """The samples of nodes, nested nodes and workers, by counting turns."""
    parts = [Partition(unit=unit)]
    for size in sizes:
        parts = [part.divided(rank, size) for rank in range(size) for part in parts]
    turns = [list(range(items))[start : start + unit] for start in range(0, items, unit)]
    for place, part in enumerate(parts):
        expected = list(chain(*turns[place :: len(parts)]))
        assert [item for item, own in zip(range(items), part.mask(), strict=False) if own] == expected
        assert part.size(items) == len(expected)


def test_a_rank_that_is_none_is_refused(folder: Path) -> None:
    for rank, nodes in ((-1, 2), (2, 2), (0, 0)):
        with pytest.raises(ValueError, match="rank"):
            numbered(folder).split_by_node(rank, nodes)


def is_odd(tile: Tile) -> bool:
    return tile.number % 2 == 1


def doubled(tile: Tile) -> Tile:
    return Tile(image=tile.image, number=tile.number * 2)


def test_a_dataset_pickles_with_its_steps_and_with_a_class_made_at_run_time(folder: Path) -> None:
    dataset = numbered(folder).shuffled(seed=3).filter(is_odd).map(doubled).validated().split_by_node(0, 1)
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
    assert again == dataset
    assert list(again) == list(dataset)
    made: Dataset[Any] = Dataset(f"{folder}/t-000000.tar", class_from(sample_type(Tile)))
    again = pickle.loads(pickle.dumps(made.batched(3)))  # noqa: S301
    assert [batch.number.tolist() for batch in again] == [[0, 1, 2], [3]]


def test_shapes_are_checked_on_request(folder: Path) -> None:
    class Wide(PackableSample):
        image: Annotated[NDArray[np.uint8], Array(shape=(4, 4))]

    loose = Dataset(f"{folder}/t-000000.tar", Wide)
    assert loose.head(1)[0].image.shape == (2, 2)
    with pytest.raises(InvalidSample, match=r"t-000000\.tar\.00000000: field 'image': expected array\[uint8, 4, 4\]"):
        loose.validated().head(1)


# --- as another type -----------------------------------------------------------------------------------------


class Sum(PackableSample):
    """Return the sum of a tile's pixels."""

    total: int


class Verdict(PackableSample):
    """Return whether that is much."""

    large: bool


class Number(PackableSample):
    """A tile without its image: every tile can be read as one."""

    number: int


class Apart(PackableSample):
    """Nothing leads here."""

    other: str


def summed(tile: Tile) -> Sum:
    return Sum(total=int(tile.image.sum()))


def judged(sum_: Sum) -> Verdict:
    return Verdict(large=sum_.total >= 20)


def counted(number: Number) -> Apart:
    return Apart(other=str(number.number))


SUMMED, JUDGED, COUNTED = Lens(summed), Lens(judged), Lens(counted)


def test_samples_go_through_a_lens_or_the_shortest_path_of_a_network(folder: Path) -> None:
    tiles_ = Dataset(f"{folder}/t-{{000000..000002}}.tar", Tile)
    assert [found.total for found in tiles_.as_type(Sum, through=SUMMED)] == [4 * number for number in range(10)]
    network = LensNetwork([SUMMED, JUDGED])
    judged_ = tiles_.as_type(Verdict, through=network)
    assert [found.large for found in judged_] == [number >= 5 for number in range(10)]
    assert judged_.head(1)[0].__key__ == "00000000"
    assert judged_.schema == sample_type(Verdict)
    assert list(tiles_.as_type(Sum, through=network).as_type(Verdict, through=network)) == list(judged_)
    assert list(pickle.loads(pickle.dumps(judged_))) == list(judged_)  # noqa: S301 - our own
    with pytest.raises(LensError, match=r"from Tile 1\.0\.0 to Sum"):
        tiles_.as_type(Sum, through=LensNetwork([JUDGED]))
    with pytest.raises(LensError, match="makes Sum, not Verdict"):
        tiles_.as_type(Verdict, through=cast("Lens[Any, Verdict]", SUMMED))


def test_without_a_network_all_lenses_are_asked(folder: Path) -> None:
    whole = Dataset(f"{folder}/t-000000.tar", Tile)
    with pytest.raises(LensError, match="no lens leads from Tile"):
        whole.as_type(Apart)
    assert whole.as_type(Tile) is whole


def test_samples_are_read_as_what_a_lens_starts_from_where_their_schema_fits(folder: Path) -> None:
    whole = Dataset(f"{folder}/t-000000.tar", Tile)
    assert [found.other for found in whole.as_type(Apart, through=COUNTED)] == ["0", "1", "2", "3"]
    assert [found.other for found in whole.as_type(Apart, through=LensNetwork([COUNTED, JUDGED]))] == [
        "0",
        "1",
        "2",
        "3",
    ]
    plain = Dataset(f"{folder}/t-000000.tar")
    assert [found.total for found in plain.as_type(Sum, through=SUMMED)] == [0, 4, 8, 12]
    made: Dataset[Any] = Dataset(f"{folder}/t-000000.tar", class_from(sample_type(Tile)))
    assert [found.total for found in made.as_type(Sum, through=SUMMED)] == [0, 4, 8, 12]
    assert [found.total for found in made.filter(is_odd).as_type(Sum, through=SUMMED)] == [4, 12]
    with pytest.raises(InvalidSample, match="total"):
        whole.as_type(Verdict, through=JUDGED)


def test_a_type_that_the_schema_fits_needs_no_lens(folder: Path) -> None:
    whole = Dataset(f"{folder}/t-000000.tar", Tile)
    assert list(whole.as_type(Number)) == [Number(number=number) for number in range(4)]
    made: Dataset[Any] = Dataset(f"{folder}/t-000000.tar", class_from(sample_type(Tile)))
    assert list(made.as_type(Tile)) == list(whole)
    assert made.as_type(Tile).sample_type is Tile
    assert list(Dataset(f"{folder}/t-000000.tar").as_type(Tile)) == list(whole)


def test_after_map_only_a_lens_says_what_samples_are(folder: Path) -> None:
    whole = Dataset(f"{folder}/t-000000.tar", Tile)
    with pytest.raises(LensError, match="not known after map"):
        whole.map(doubled).as_type(Sum, through=LensNetwork([SUMMED]))
    assert [found.total for found in whole.map(doubled).as_type(Sum, through=SUMMED)] == [0, 4, 8, 12]
    with pytest.raises(LensError, match="Tile"):
        list(whole.map(str).as_type(Sum, through=cast("Lens[Any, Sum]", SUMMED)))
    with pytest.raises(InvalidSample, match="as_type first"):
        whole.filter(is_odd).as_type(Apart, through=COUNTED)
    with pytest.raises(LensError, match="SampleBatch"):
        whole.batched(2).as_type(Sum, through=LensNetwork([SUMMED]))


# --- bad samples ---------------------------------------------------------------------------------------------


def with_sample(folder: Path, raw: bytes) -> Path:
    """A shard with a good sample, that one, and a good one."""
    path = folder / "bad.tar"
    good = Tile(image=np.zeros((2, 2), np.uint8), number=1).packed
    with tarfile.open(path, "w") as tar:
        for key, data in (("a", good), ("b", raw), ("c", good)):
            member = tarfile.TarInfo(f"{key}.msgpack")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


BAD = {
    "a field is missing": (msgpack.packb({"number": 1}), "'image'.*nothing"),
    "a field of another type": (msgpack.packb({"image": "no", "number": 1}), "'image'.*str"),
    "an array header that lies": (
        msgpack.packb({"image": encode_array(np.zeros((2, 2), np.uint8))[:-1], "number": 1}),
        "'image'.*promises 4 bytes",
    ),
    "no array at all": (msgpack.packb({"image": b"\x00", "number": 1}), "'image'.*array"),
    "a msgpack bomb": (b"\xdd\xff\xff\xff\xff" * 100, "msgpack"),
    "nested too deep": (b"\x91" * 100_000, "msgpack"),
    "no map": (msgpack.packb([1]), "map"),
    "nothing": (b"", "msgpack"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("way", ["ordered", "shuffled", "dealt", "batched"])
def test_a_bad_sample_is_named_with_its_shard_and_the_dataset_stays_usable(folder: Path, what: str, way: str) -> None:
    raw, said = BAD[what]
    whole = Dataset([with_sample(folder, raw), folder / "t-000000.tar"], Tile)
    ways: dict[str, Dataset[Any]] = {
        "ordered": whole,
        "shuffled": whole.shuffled(buffer_samples=2, seed=1),
        "dealt": whole.split_by_node(1, 3),
        "batched": whole.batched(2),
    }
    for _ in range(2):
        with pytest.raises(InvalidSample, match=rf"bad\.tar\.b: .*{said}"):
            list(ways[way])
    assert [tile.number for tile in whole.split_by_node(0, 3)] == [1, 0, 3], "who doesn't meet it doesn't mind"


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
    assert dataset.sample_type is not None
    assert dataset.sample_type.__name__ == "Tile"
    assert [(tile.number, tile.image.tolist()) for tile in dataset] == [
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
    blob = httpx.post(address, content=raw, headers=headers, timeout=60).json()["blob"]
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
        unit: str = "m"

    uri = published(network, lambda: http_storage(folder, serve(folder)))
    with pytest.raises(InvalidSample, match=r"Titled can't read samples of Tile: title .*\(str\)"):
        Dataset.from_atproto(uri, Titled)
    with pytest.raises(InvalidSample, match=r"number .*\(int → str\)"):
        Dataset.from_atproto(uri, Worded)
    assert Dataset.from_atproto(uri, Partial).head(1) == [Partial(number=0)]


def test_addresses_that_are_no_dataset_are_named(network: Network) -> None:
    account = network.account("nobody")
    with pytest.raises(RequestFailed):
        Dataset.from_atproto(f"at://{account.did}/{DATASET}/3jzfcijpj2z2a")
    with pytest.raises(InvalidSyntax):
        Dataset.from_atproto("https://example.org")
    with pytest.raises(DataError, match="not the URI of a dataset"):
        Dataset.from_atproto(f"at://{account.did}/{LENS}/3jzfcijpj2z2a")


def stored(storage: Storage) -> tuple[Shard, ...]:
    """Return the locations of the shards of a record with that storage."""
    uri = AtUri.parse(f"at://did:plc:{'a' * 24}/{SCHEMA}/x")
    record = DatasetRecord(name="x", schema_ref=uri, storage=storage, created_at=NOW)
    account = Identity(did=Did.parse("did:plc:" + "a" * 24), handle=None, pds="https://pds.example")
    return shards_of(Published(record=record, uri=uri, cid=Cid.of_block(b""), account=account))


@pytest.mark.parametrize("url", ["pipe:touch MARK", "/etc/passwd", "file:///etc/passwd", "data.tar", "ftp://b/k"])
@pytest.mark.parametrize("kind", ["listed", "external"])
def test_a_record_never_opens_a_file_or_a_command_of_the_reader(url: str, kind: str) -> None:
    with pytest.raises(RefusedUrl):
        stored(HttpStorage(shards=(HttpShard(url=url),)) if kind == "listed" else ExternalStorage(urls=(url,)))


def test_braces_are_a_pattern_where_no_checksum_says_that_it_is_one_file() -> None:
    url = "https://data.example/{0..1}.tar"
    both = ["https://data.example/0.tar", "https://data.example/1.tar"]
    checksum = Checksum(algorithm="sha256", digest="0" * 64)
    assert [shard.url for shard in stored(ExternalStorage(urls=(url,)))] == both
    assert [shard.url for shard in stored(HttpStorage(shards=(HttpShard(url=url),)))] == both
    assert [shard.url for shard in stored(HttpStorage(shards=(HttpShard(url=url, checksum=checksum),)))] == [url]


def test_shards_in_a_bucket_keep_its_endpoint_and_region() -> None:
    checksum = Checksum(algorithm="sha256", digest="0" * 64)
    keys = (S3Shard(key="a/{0..1}.tar", checksum=checksum), S3Shard(key="b.tar"))
    plain = stored(S3Storage(bucket="bucket", shards=keys))
    assert [shard.url for shard in plain] == ["s3://bucket/a/{0..1}.tar", "s3://bucket/b.tar"]
    assert [shard.checksum for shard in plain] == ["sha256:" + "0" * 64, None]
    assert (plain[0].endpoint, plain[0].region) == (None, None)
    (other,) = stored(S3Storage(bucket="bucket", shards=keys[:1], endpoint="https://s3.example", region="x-1"))
    assert (other.endpoint, other.region) == ("https://s3.example", "x-1")


def test_storage_of_an_unknown_type_is_named() -> None:
    with pytest.raises(RefusedUrl, match=r"org\.example\.tape"):
        stored(UnknownStorage(type="org.example.tape"))


# --- published -----------------------------------------------------------------------------------------------


class Recorder:
    """A publisher that only writes down what it is asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def publish_dataset(self, **asked: Any) -> AtUri:  # noqa: ANN401 - as it comes
        self.asked = asked
        return AtUri.parse(f"at://did:plc:{'a' * 24}/{DATASET}/3jzfcijpj2z2a")


def asked_for(dataset: Dataset[Any], **rest: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the client's arguments when the dataset is published."""
    recorder = Recorder()
    dataset.publish_to_atproto(cast("CatalogClient", recorder), name="tiles", **rest)
    return recorder.asked


def test_files_are_published_at_the_urls_given_for_them_and_hashed_from_here(tmp_path: Path) -> None:
    infos = write_shards(tiles(10), tmp_path / "t-%06d.tar", maxcount=5)
    dataset = Dataset(infos, Tile)
    urls = "https://data.example/t-{000000..000001}.tar"
    asked = asked_for(dataset, urls=urls, version="1.0.0", tags=("a",), license="MIT", description="Tiles.")
    assert asked["schema"] == sample_type(Tile)
    assert asked["samples"] == 10
    assert asked["shards"] == [
        PublishedShard(url=f"https://data.example/t-00000{number}.tar", local=info.path, sha256=info.sha256)
        for number, info in enumerate(infos)
    ]
    assert (asked["version"], asked["tags"], asked["license"], asked["description"]) == (
        "1.0.0",
        ("a",),
        "MIT",
        "Tiles.",
    )
    assert asked_for(dataset.shuffled(), urls=urls) == asked_for(dataset, urls=urls), "an order is no change"
    with pytest.raises(PublishError, match="urls"):
        asked_for(dataset)
    with pytest.raises(PublishError, match="1 urls for 2 shards"):
        asked_for(dataset, urls=["https://data.example/t-{000000..000001}.tar"])


def test_remote_shards_are_published_where_they_are() -> None:
    shards = [
        Shard(url="https://data.example/a.tar", checksum="SHA-256:" + "AB" * 32),
        Shard(url="https://data.example/b.tar", checksum="md5:" + "0" * 32),
        Shard(url="s3://bucket/c.tar", endpoint="https://s3.example", region="x-1"),
    ]
    assert asked_for(Dataset(shards, Tile))["shards"] == [
        PublishedShard(url="https://data.example/a.tar", sha256="ab" * 32),
        PublishedShard(url="https://data.example/b.tar"),
        PublishedShard(url="s3://bucket/c.tar", endpoint="https://s3.example", region="x-1"),
    ]


def test_the_schema_that_is_referred_to_is_the_one_the_shards_have() -> None:
    uri = AtUri.parse(f"at://did:plc:{'a' * 24}/{SCHEMA}/Tile:1.0.0")
    remote = ["https://data.example/a.tar"]
    dicts, typed = Dataset(remote), Dataset(remote, Tile)
    assert asked_for(typed.__replace__(_schema_uri=uri))["schema"] == uri
    assert asked_for(Dataset(remote, class_from(sample_type(Tile), uri=uri)))["schema"] == uri
    assert asked_for(dicts, schema=str(uri))["schema"] == uri
    assert asked_for(dicts, schema=Tile)["schema"] == asked_for(typed)["schema"] == sample_type(Tile)
    with pytest.raises(PublishError, match="schema"):
        asked_for(dicts)


@pytest.mark.parametrize("step", ["map", "filter", "batched", "split_by_node"])
def test_what_the_shards_do_not_hold_is_not_published(step: str) -> None:
    dataset = Dataset(["https://data.example/a.tar"], Tile)
    changed: dict[str, Dataset[Any]] = {
        "map": dataset.map(str),
        "filter": dataset.filter(bool),
        "batched": dataset.batched(2),
        "split_by_node": dataset.split_by_node(0, 2),
    }
    with pytest.raises(PublishError, match="write_samples"):
        asked_for(changed[step])


def test_what_a_client_publishes_it_reads_again(
    network: Network,
    tmp_path: Path,
    https_server: Callable[[Path], HttpsServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = network.account("code")
    infos = write_shards(tiles(10), tmp_path / "t-%06d.tar", maxcount=4)
    server = https_server(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    with Client.login(account.handle, account.password) as client:
        urls = f"{server.url}/t-{{000000..000002}}.tar"
        uri = Dataset(infos, Tile).publish_to_atproto(client, name="tiles", license="MIT", urls=urls)
        dataset = Dataset.from_atproto(uri, client=client)
    assert dataset.uri == uri
    assert dataset.schema is not None
    assert dataset.schema.fields == sample_type(Tile).fields
    assert len(dataset) == 10
    assert [shard.checksum for shard in dataset.shards] == [f"sha256:{info.sha256}" for info in infos]
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
    assert [sample.number for sample in again] == list(range(10))
    assert list(Dataset.from_atproto(uri, Tile)) == tiles(10)


# --- the top level -------------------------------------------------------------------------------------------


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "'numpy', 'msgpack', 'httpx', 'yaml', 'mkdocs'"
    code = f"import sys, catalog; print([name for name in ({heavy}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_former_names_work(tmp_path: Path) -> None:
    """Code and snippets written before atdata's names were adopted."""
    infos = write_shards([{"v": n} for n in range(5)], tmp_path / "n-%06d.tar", per_shard=2)
    assert [info.samples for info in infos] == [2, 2, 1]
    checksums = [f"sha256:{info.sha256}" for info in infos]
    by_urls: Dataset[DictSample] = Dataset.from_urls([str(info.path) for info in infos], checksums=checksums)
    by_infos: Dataset[DictSample] = Dataset.from_shards(infos)
    assert [sample["v"] for sample in by_urls] == [sample["v"] for sample in by_infos] == list(range(5))
    pattern = str(tmp_path / "n-00000{0..2}.tar")
    assert len(list(Dataset.from_urls(pattern, DictSample))) == 5
