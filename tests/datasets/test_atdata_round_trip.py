"""Records and shards between this library and atdata itself, on a real PDS: each reads everything of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Array, Client, Dataset, DictSample, PackableSample, load_dataset, write_samples
from catalog.records import LABEL, Label, Lens
from catalog.records.fetch import Reader
from tests.atdata_process import peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Account, Network


class Plate(PackableSample):
    """The class of ``tests/atdata_peer.py``, with the dtypes."""

    image: Annotated[NDArray[np.float32], Array(shape=(2, 3))]
    label: str
    score: float
    count: int
    fresh: bool
    raw: bytes
    tags: list[str]
    overlay: NDArray[np.uint8] | None


class Untyped(PackableSample):
    """The class of ``tests/atdata_peer.py``, without dtypes, as its schema record has it."""

    image: NDArray[Any]
    label: str
    score: float
    count: int
    fresh: bool
    raw: bytes
    tags: list[str]
    overlay: NDArray[Any] | None


class Word(PackableSample):
    label: str


def plates() -> list[Plate]:
    return [
        Plate(
            image=np.full((2, 3), number, np.float32), label=f"plate {number}", score=number / 4, count=number,
            fresh=number % 3 == 0, raw=bytes([number]), tags=["a"] * number,
            overlay=np.arange(4, dtype=np.uint8) if number % 2 else None,
        )
        for number in range(10)
    ]  # fmt: skip


@pytest.fixture
def account(network: Network) -> Account:
    return network.account("peer")


def test_everything_that_atdata_publishes_is_read_here(
    network: Network, account: Account, tmp_path: Path, serve: Callable[[Path], str]
) -> None:
    who = {"pds": network.pds_url, "did": account.did, "handle": account.handle, "password": account.password}
    found = peer("publish", **who, folder=str(tmp_path), url=serve(tmp_path))
    expected = [shown(sample) for sample in plates()]
    for name in ("checked", "bare", "blobs", "label"):
        made = Dataset.from_atproto(found[name])
        assert [shown(sample) for sample in made] == expected
        assert [shown(sample) for sample in Dataset.from_atproto(found[name], Untyped).validated()] == expected
        assert load_dataset(found[name], split="train").head(1)[0] == made.head(1)[0]
    with Client() as client:
        read = Reader(client.http, client.settings)
        checked = read.dataset(found["checked"]).record
        assert (checked.metadata, checked.license) == ({"custom": {"a": 5}}, "MIT")
        label, lens = read.record(found["label"]).record, read.lens(found["lens"]).record
    assert isinstance(label, Label)
    assert (label.name, label.version) == ("plates", "1.0.0")
    assert isinstance(lens, Lens)
    assert (lens.name, str(lens.source)) == ("label_of", found["schema"])
    tars = sorted(tmp_path.glob("*.tar"))
    assert list(Dataset(tars, Plate)) == plates()
    assert [sample.label for sample in Dataset(tars)] == [sample.label for sample in plates()]


def test_everything_that_is_published_here_is_read_by_atdata(
    network: Network, account: Account, tmp_path: Path, serve: Callable[[Path], str]
) -> None:
    written = write_samples(plates(), tmp_path / "plates.tar", maxcount=4)
    url = serve(tmp_path)
    urls = [url + name.rpartition("/")[2] for name in written.list_shards()]
    with Client.login(account.handle, account.password) as client:
        at_server = written.publish_to_atproto(client, name="plates", version="1.0.0", license="MIT", urls=urls)
        word = Word.publish_to_atproto(client)
    entry = record(network, at_server)
    lens = publish_lens(network, account, entry["schemaRef"], str(word))
    (label,) = network.get("com.atproto.repo.listRecords", {"repo": account.did, "collection": LABEL})["records"]
    in_blobs = publish_blobs(network, account, tmp_path, entry)
    found = peer(
        "read", pds=network.pds_url, did=account.did, datasets=[str(at_server), in_blobs], label=label["uri"], lens=lens
    )
    expected = [shown(plate) for plate in plates()]
    for uri in (str(at_server), in_blobs):
        for theirs, ours in zip(found["samples"][uri], expected, strict=True):
            assert theirs == ours
    assert found["typed"] == expected
    assert (found["entries"], found["label"], found["lens"]) == (["plates", "blobs"], "plates", "word_of")


def record(network: Network, uri: object) -> dict[str, Any]:
    """Return the record of a URI."""
    found: dict[str, Any] = network.get_record(*str(uri).removeprefix("at://").split("/"))["value"]
    return found


def publish_blobs(network: Network, account: Account, folder: Path, like: dict[str, Any]) -> str:
    """Write the dataset once more, with its shards as blobs."""
    import httpx

    headers = {"authorization": f"Bearer {account.access_jwt}", "content-type": "application/x-tar"}
    address = f"{network.pds_url}/xrpc/com.atproto.repo.uploadBlob"
    files = [tar.read_bytes() for tar in sorted(folder.glob("*.tar"))]
    blobs = [{"blob": httpx.post(address, content=raw, headers=headers).json()["blob"]} for raw in files]
    storage = {"$type": "science.alt.dataset.storageBlobs", "blobs": blobs}
    value = {**like, "name": "blobs", "storage": storage}
    return str(network.create_record(account, "science.alt.dataset.entry", value)["uri"])


def publish_lens(network: Network, account: Account, source: str, target: str) -> str:
    code = {"repository": "https://git.example/lenses", "commit": "a" * 40, "path": "lenses.py:word_of"}
    value = {
        "$type": "science.alt.dataset.lens", "name": "word_of", "sourceSchema": source, "targetSchema": target,
        "getterCode": code, "putterCode": code, "createdAt": "2026-01-02T03:04:05.000Z",
    }  # fmt: skip
    return str(network.create_record(account, "science.alt.dataset.lens", value)["uri"])


def shown(sample: Any) -> dict[str, Any]:  # noqa: ANN401 - of this class, or of one made from a schema record
    values = sample if isinstance(sample, DictSample) else {name: getattr(sample, name) for name in vars(plates()[0])}
    return {name: plain(value) for name, value in values.items()}


def plain(value: Any) -> Any:  # noqa: ANN401 - samples hold anything
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    return list(value) if isinstance(value, bytes) else value
