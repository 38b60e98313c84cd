"""Records of many empty lists: what a page and its JSON show of them is bounded, and so is memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from catalog.atproto import datamodel
from catalog.records import DATASET
from catalog.site.exports.record_json import LARGEST, record_json
from catalog.site.pages.dataset import _readable
from catalog.store import Found, Repo, Store
from catalog.store.graph import Graph
from tests.sitecatalog import DID, MKDOCS, SEEN, SOURCE, dataset, fill, mkdocs, uri

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json

LISTS: Json = [[]] * 300_000
"""As a value they take 64 times as many bytes."""
TEXT = "x" * 1_500_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of them, which were two others before; in the store as a crawl without limits left them."""
    folder = tmp_path_factory.mktemp("bulky")
    fill(folder / "store.sqlite", datasets=2)
    repo = Repo(did=DID, source=SOURCE, rev="3kaaaaaaaaa2z", pds="https://pds.example")
    with Store.open(folder / "store.sqlite") as store:
        for version in range(3):
            found = []
            for number in range(2):
                value = dataset(
                    number, name=f"bulky {number}", contentMetadata={"lists": LISTS, "text": TEXT, "version": version}
                )
                cid = datamodel.record_cid(
                    {"number": number, "version": version}
                )  # of a small value: hashing is not the matter
                found.append(Found(uri=uri(DATASET, f"3kbulk{number:07d}"), cid=cid, value=value))
            kept = [str(record.uri) for record in store.records() if "3kbulk" not in record.uri]
            store.replace(replace(repo, rev=f"3kaaaaaaaab{version + 2}z"), found, [], moment=SEEN, kept=kept)
    (folder / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    (folder / "docs").mkdir()
    return folder


def test_what_a_site_shows_of_them_is_bounded(folder: Path) -> None:
    done = mkdocs(folder, "--strict")
    assert done.returncode == 0, done.stderr
    for page in folder.glob("site/datasets/*/3kbulk*"):
        assert sum(file.stat().st_size for file in page.iterdir()) < 300_000
        held = json.loads((page / "index.json").read_bytes())
        assert held["record"] is None
        assert held["left_out"]["characters"] > LARGEST
        assert held["left_out"]["at"].startswith(
            "https://pds.example/xrpc/com.atproto.repo.getRecord?repo=did%3Aplc%3A"
        )
    assert len(list(folder.glob("site/datasets/*/3kbulk*"))) == 2


def test_the_memory_that_a_build_takes_does_not_grow_with_their_number(folder: Path) -> None:
    """Records, versions and pages, each as a value takes 20 MB."""
    code = """
import sys
from pathlib import Path
from catalog.store.graph import Graph
from catalog.store import Store
with Store.open(Path(sys.argv[1])) as store:
    graph = Graph.from_store(store)
for _ in range(3):
    for node in graph.datasets:
        node.record
# Not ru_maxrss: that starts with the size of the process that started this one.
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
    command = [sys.executable, "-c", code, str(folder / "store.sqlite")]
    taken = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert int(taken.stdout) < 200_000, "kilobytes; nine values of 20 MB would not fit"


def test_ten_thousand_shards_are_shown_whole(tmp_path: Path) -> None:
    """The largest that a lab meets."""
    checksum: Json = {"algorithm": "sha256", "digest": "ab" * 32}
    shards: list[Json] = [
        {"url": f"https://data.example/{'long/' * 10}{i:06d}.tar", "checksum": checksum} for i in range(10_000)
    ]
    storage: Json = {"$type": "science.alt.dataset.storageHttp", "shards": shards}
    fill(tmp_path / "store.sqlite", datasets=0, extra=[(DATASET, "3klargelarge2", dataset(1, storage=storage))])
    with Store.open(tmp_path / "store.sqlite") as store:
        (node,) = Graph.from_store(store).datasets
    assert len(json.loads(record_json(node))["record"]["storage"]["shards"]) == 10_000


def test_metadata_of_many_and_long_words_is_cut() -> None:
    pairs = _readable({f"key {number}": "x" * 1000 for number in range(1000)})
    assert sum(len(key) + len(words) for key, words in pairs) < 60_000
    assert "more" in pairs[-1][1]
    assert _readable({"a": "b"}) == (("a", "b"),)
    assert len(_readable({"k" * 100_000: "v"})[0][0]) < 1000
