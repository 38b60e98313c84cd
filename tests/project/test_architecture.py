"""The page of the architecture says what the code does, and its worked examples work as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from catalog.atproto.datamodel import record_cid
from catalog.store import Store
from tests.fakes import answer, fake_server
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalog.atproto.datamodel import Json

PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
PACKAGE = re.compile(r"^\| `(\w+)` \| \S.* \|$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+) title=\"([^\"]+)\"\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RETRACTION = "science.alt.dataset.retraction"
TIME = "2026-01-02T03:04:05.000Z"


def _contracts(kind: str) -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return [contract for contract in settings["contracts"] if contract["type"] == kind]


def test_the_packages_of_the_page_are_those_of_the_contract_in_its_order() -> None:
    """The contract is exhaustive, so these are all packages there are."""
    (layers,) = (contract["layers"] for contract in _contracts("layers"))
    section = TEXT.partition("## Packages")[2].partition("Two further contracts")[0]
    assert PACKAGE.findall(section) == [name for layer in layers for name in re.findall(r"\w+", layer)]


def test_the_page_names_the_packages_that_never_import_click() -> None:
    (library,) = (contract["source_modules"] for contract in _contracts("forbidden"))
    named = re.search(r"the library\s+\(([^)]*)\) never imports `click`", TEXT)
    assert named is not None
    assert {f"catalog.{name}" for name in re.findall(r"`(\w+)`", named[1])} == set(library)


def test_the_diagram_shows_the_packages_of_the_page() -> None:
    tree = ET.parse(ROOT / "docs" / "diagrams" / "layers.svg").getroot()  # noqa: S314 - ours
    shown = [node.text for node in tree.iter() if node.get("font-size") == "14" and node.get("text-anchor") == "middle"]
    section = TEXT.partition("## Packages")[2].partition("Two further contracts")[0]
    assert shown == PACKAGE.findall(section)


def test_files_that_the_page_names_exist() -> None:
    """Those that the examples make aside."""
    made = {path for language, path, _ in BLOCK.findall(TEXT) if language != "diff"}
    for path in set(re.findall(r"`((?:catalog|tests|site_templates|lexicons)/[\w./]*)`", TEXT)) - made:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["read-path", "write-path"])
def test_each_diagram_says_no_more_than_the_list_below_it(name: str) -> None:
    """Every package in a picture stands in the text, in the same order; the page gives the picture's true size."""
    tree = ET.parse(ROOT / "docs" / "diagrams" / f"{name}.svg").getroot()  # noqa: S314 - ours
    bold = [node.text or "" for node in tree.iter() if node.get("font-weight") == "bold" and node.get("x") == "26"]
    _, found, rest = TEXT.partition(f"diagrams/{name}.svg")
    assert found
    size = f"){{ width={tree.get('width')} height={tree.get('height')} }}"
    assert rest.startswith(size)
    below = rest.partition("\n## ")[0]
    places = [below.find(f"**{word}**") for title in bold for word in title.split(", ")]
    assert -1 not in places, bold
    assert places == sorted(places)


def _apply(text: str, folder: Path) -> None:
    """Write the files of the page's blocks into a copy of the tree, and make its changes; each must fit once."""
    for language, path, block in BLOCK.findall(text):
        file = folder / path
        if language != "diff":
            assert not file.exists(), path
            file.write_text(block, encoding="utf-8")
            continue
        held = file.read_text(encoding="utf-8")
        for part in block.split("@@\n"):
            lines = part.splitlines(keepends=True)
            assert all(line[0] in " +-" for line in lines), part
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            assert held.count(old) == 1, f"{path}: doesn't fit once:\n{old}"
            held = held.replace(old, new)
        file.write_text(held, encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, with all examples of the page applied."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("catalog", "site_templates", "lexicons", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("generate_reference", "__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", folder)
    _apply(TEXT, folder)
    return folder


def _run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "CATALOG_ALLOW_LOOPBACK": "1", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tree: Path) -> Iterator[tuple[Path, str]]:
    """The example catalog built in that tree, with a file of accounts as one more source; and the account's DID."""
    with fake_server({}) as server:
        did = f"did:web:localhost%3A{server.url.rpartition(':')[2]}"
        good: dict[str, Json] = {
            "$type": RETRACTION, "dataset": f"at://{did}/science.alt.dataset.entry/3kaaaaaaaaaa2",
            "reason": "The labels are wrong.", "createdAt": TIME,
        }  # fmt: skip
        bad = {**good, "reason": "x" * 1001}
        listed = [
            {"uri": f"at://{did}/{RETRACTION}/{rkey}", "cid": str(record_cid(value)), "value": value}
            for rkey, value in (("good", good), ("bad", bad))
        ]
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": server.url}
        commit = {"cid": str(record_cid({})), "rev": "3kaaaaaaaaaa2"}
        server.routes |= {
            "/.well-known/did.json": lambda handler, _: answer(handler, {"id": did, "service": [service]}),
            "/xrpc/com.atproto.sync.getLatestCommit": lambda handler, _: answer(handler, commit),
            "/xrpc/com.atproto.repo.describeRepo": lambda handler, _: answer(handler, {"collections": [RETRACTION]}),
            "/xrpc/com.atproto.repo.listRecords": lambda handler, _: answer(handler, {"records": listed}),
        }
        (tree / "accounts.txt").write_text(f"# of our group\n\n{did}  # the lab's\n", encoding="utf-8")
        config = tree / "mkdocs.yml"
        named = "        - manifests: examples/manifests\n"
        text = config.read_text(encoding="utf-8")
        assert text.count(named) == 1
        config.write_text(text.replace(named, f"{named}        - accounts: accounts.txt\n"), encoding="utf-8")
        _run(tree, "-m", "catalog", "build")
        yield tree, did


def _dataset_pages(tree: Path) -> list[Path]:
    pages = sorted((tree / "site" / "datasets").glob("did-*/*/index.html"))
    assert len(pages) >= 4
    return pages


def test_the_new_source_and_the_new_lexicon_bring_records_to_the_store(built: tuple[Path, str]) -> None:
    """The account that the file names is read; its good record is kept, the one against its lexicon is refused."""
    tree, did = built
    with Store.open(tree / ".catalog" / "catalog.sqlite") as store:
        kept = [str(record.uri) for record in store.records() if record.uri.collection == RETRACTION]
        refused = [found for found in store.refused() if found.uri == f"at://{did}/{RETRACTION}/bad"]
    assert kept == [f"at://{did}/{RETRACTION}/good"]
    assert len(refused) == 1
    assert "reason" in refused[0].reason


def test_a_record_of_the_new_lexicon_is_read_and_written(tree: Path) -> None:
    """A record is read as a typed value, and written unchanged."""
    value = {
        "$type": RETRACTION, "dataset": "at://did:web:example.org/science.alt.dataset.entry/3kaaaaaaaaaa2",
        "reason": "No.", "createdAt": TIME,
    }  # fmt: skip
    program = (
        "import json, sys; from catalog.records import read_record, write_record; value = json.loads(sys.argv[2]); "
        "read = read_record(sys.argv[1], value); print(type(read).__name__, write_record(read) == value)"
    )
    assert _run(tree, "-c", program, RETRACTION, json.dumps(value)) == "Retraction True\n"


def test_the_new_snippet_is_a_tab_and_a_program(built: tuple[Path, str]) -> None:
    """On every dataset's page, with its program beside the page or its schema's."""
    tree, _ = built
    # The script makes a tab of each of these words.
    assert all(
        re.search(r' data-ways="[^"]*,Julia"', page.read_text(encoding="utf-8")) for page in _dataset_pages(tree)
    )
    programs = [file.read_text(encoding="utf-8") for file in (tree / "site").rglob("load.txt")]
    assert programs
    assert all("=== Julia: julia -e" in text and "MsgPack.unpack" in text for text in programs)


def test_the_new_export_lies_beside_the_pages(built: tuple[Path, str]) -> None:
    """One beside each dataset's page, with the addresses of its shards."""
    tree, _ = built
    found = {(page.parent / "shards.txt").read_text(encoding="utf-8") for page in _dataset_pages(tree)}
    assert "https://data.example/shards/breast-cancer-000000.tar\n" in found
    assert all(re.fullmatch(r"(https://\S+\n)+", text) for text in found)


def test_the_new_page_is_made_and_linked(built: tuple[Path, str]) -> None:
    """It lists the datasets by size, and the home page's navigation leads to it."""
    tree, _ = built
    page = (tree / "site" / "largest" / "index.html").read_text(encoding="utf-8")
    body = page.partition("<ol>")[2].partition("</ol>")[0]
    assert body.count("<li>") == len(_dataset_pages(tree))
    sizes = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) samples?</span>", body)]
    assert len(sizes) > 1
    assert sizes == sorted(sizes, reverse=True)
    assert re.search(r'href="largest/"', (tree / "site" / "index.html").read_text(encoding="utf-8"))


def test_an_example_that_does_not_fit_the_code_is_noticed(tmp_path: Path) -> None:
    """The control: one word of a line that an example changes is another."""
    (tmp_path / "catalog.py").write_text("one\nTWO\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="doesn't fit once"):
        _apply('```diff title="catalog.py"\n one\n-two\n+three\n```\n', tmp_path)
