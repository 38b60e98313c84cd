"""Shards of a record: where they are, and the patterns that other clients write."""

from __future__ import annotations

import pytest

from catalog.errors import RefusedUrl
from catalog.records import Checksum, ExternalStorage, HttpShard, HttpStorage, Storage
from catalog.shards.locations import shards_of_storage

DID, PDS = "did:plc:" + "a" * 24, "https://pds.example"


def urls(storage: Storage) -> list[str]:
    return [shard.url for shard in shards_of_storage(storage, DID, PDS)]


def listed(*addresses: str, checksum: Checksum | None = None) -> HttpStorage:
    return HttpStorage(shards=tuple(HttpShard(url=url, checksum=checksum) for url in addresses))


def test_a_pattern_without_a_checksum_is_expanded() -> None:
    assert urls(listed("https://a.example/x.tar", "https://a.example/d-{08..10}.tar")) == [
        "https://a.example/x.tar", "https://a.example/d-08.tar", "https://a.example/d-09.tar",
        "https://a.example/d-10.tar",
    ]  # fmt: skip
    assert urls(listed("https://a.example/{train,test}.tar"))[1] == "https://a.example/test.tar"
    assert urls(listed("https://a.example/{x}.tar")) == ["https://a.example/{x}.tar"]


def test_a_checksum_is_of_one_shard() -> None:
    checksum = Checksum(algorithm="sha256", digest="0" * 64)
    assert urls(listed("https://a.example/{0..1}.tar", checksum=checksum)) == ["https://a.example/{0..1}.tar"]


@pytest.mark.parametrize(
    "storage",
    [
        listed("https://a.example/{0..99999999}.tar"),
        listed(*["https://a.example/{0..60000}.tar"] * 2),
        ExternalStorage(urls=("https://a.example/{0..60000}.tar",) * 2),
    ],
)
def test_the_shards_of_all_patterns_are_limited(storage: Storage) -> None:
    with pytest.raises(RefusedUrl, match=r"more than 100,?000 shards"):
        urls(storage)


def test_a_pattern_of_local_files_is_refused() -> None:
    with pytest.raises(RefusedUrl):
        urls(listed("/etc/{passwd,hosts}"))
