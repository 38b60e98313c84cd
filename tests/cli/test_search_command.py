"""``catalog search``: what it prints, where it looks, and what it says when it can't."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from catalog.cli import cli
from catalog.errors import CatalogError
from catalog.records import DATASET
from tests import sitecatalog
from tests.hostilerecords import PAYLOADS
from tests.sitecatalog import DID, dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from tests.conftest import Network

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]")
TERMINAL = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\u202eevil\r\nsecond\u200b line"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    extra: list[tuple[str, str, dict[str, Json]]] = [
        (DATASET, "3kelephant", dataset(3, name="Elephant migrations", description="Herds, *by collar*.")),
        (
            DATASET, "3kterminal",
            dataset(3, name=f"terminal {TERMINAL}", description=TERMINAL, tags=[TERMINAL[:40]], license=TERMINAL),
        ),
        *((DATASET, f"3khostile{key}", dataset(7, name=text[:200], tags=[])) for key, text in PAYLOADS.items()),
    ]  # fmt: skip
    sitecatalog.build(folder, datasets=25, extra=extra)
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("CATALOG_ALLOW_LOOPBACK", "1")
    monkeypatch.delenv("CATALOG_SEARCH", raising=False)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["search", *arguments])


def test_results_are_the_same_lines_from_the_store_and_the_site(here: Path, serve: Callable[[Path], str]) -> None:
    site = serve(here / "site")
    for asked in (["elephant"], ["tidal", "--tag", "river", "--limit", "3"], ["--kind", "schema"], ["gain", "--json"]):
        store, hosted = run(*asked), run(*asked, "--in", site)
        assert (store.exit_code, hosted.exit_code) == (0, 0)
        if "--json" in asked:
            assert json.loads(store.stdout)["results"] == json.loads(hosted.stdout)["results"] != []
        else:
            assert store.stdout == hosted.stdout != ""
            assert store.stderr == hosted.stderr


def test_a_result_has_kind_name_publisher_size_licence_tags_words_and_address(here: Path) -> None:
    assert here
    assert run("elephant").stdout.splitlines() == [
        "dataset Elephant migrations",
        "        waves.example.org · 300 samples, 4.5 MB · CC-BY-4.0 · audio, river",
        "        Herds, by collar.",
        f"        at://{DID}/{DATASET}/3kelephant",
    ]


def test_json_is_one_object_with_a_list_of_results(here: Path) -> None:
    found = json.loads(run("elephant", "--json").stdout)
    assert found["place"] == str(here / "store.sqlite")
    (one,) = found["results"]
    assert one["uri"] == f"at://{DID}/{DATASET}/3kelephant"
    assert set(one) == {
        "kind", "name", "uri", "cid", "publisher", "tags", "license", "bytes", "samples", "description",
    }  # fmt: skip


def test_no_control_character_of_a_record_reaches_the_terminal(here: Path, serve: Callable[[Path], str]) -> None:
    """Neither escape sequences nor what turns lines around, from store or site; one record stays in its lines."""
    for place in ("store", serve(here / "site")):
        found = run("--kind", "dataset", "--limit", "100", "--in", place)
        assert found.exit_code == 0
        assert "terminal" in found.stdout
        assert not CONTROL.search(found.stdout + found.stderr)
        heads = [line for line in found.stdout.splitlines() if not line.startswith("        ")]
        assert len(heads) == 25 + 2 + len(PAYLOADS)
        assert all(line.startswith("dataset ") for line in heads)


def test_what_is_left_out_and_what_was_meant_is_said(here: Path) -> None:
    assert here
    assert run("tidal", "--limit", "2").stderr == "25 results, the first 2\n"
    assert "no record has elephnat" in run("elephnat").stderr
    nothing = run("xqzwvk")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr.startswith("no results: try fewer")


def test_the_place_may_be_in_the_environment_and_an_option_goes_before_it(
    here: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = serve(here / "site")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CATALOG_SEARCH", site)
    assert json.loads(run("elephant", "--json").stdout)["place"] == site
    store = str(here / "store.sqlite")
    assert json.loads(run("elephant", "--json", "--in", store).stdout)["place"] == store


def test_without_a_place_misuse_says_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATALOG_SEARCH", raising=False)
    found = run("elephant")
    assert found.exit_code == 2
    assert "--in or CATALOG_SEARCH" in found.stderr
    assert run("x", "--in", "pds").exit_code == 2
    assert run("x", "--limit", "0").exit_code == 2
    assert run("x", "--kind", "label").exit_code == 2


def test_the_help_has_an_example_for_each_place() -> None:
    """Each on a line of its own, also on a narrow terminal."""
    lines = [line.strip() for line in run("--help").stdout.splitlines()]
    for place in ("the store here", "a site", "an AppView", "an account"):
        assert [line for line in lines if "catalog search ocean" in line and line.endswith(f"  # {place}")], place


def test_mistakes_are_our_own_errors(here: Path) -> None:
    assert here
    for asked in (["x", "--in", "nowhere.sqlite"], ["x", "--in", "http://127.0.0.1:9"], ["--schema", "at://x"]):
        found = run(*asked)
        assert isinstance(found.exception, CatalogError), asked


def test_an_account_is_asked_at_its_pds_and_a_dtype_there_is_refused(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    account = network.account("asked")
    network.create_record(account, DATASET, dataset(1, name="Elephants of mine", tags=[]))
    found = run("elephants", "--publisher", account.handle, "--in", "pds")
    assert found.stdout.splitlines()[0] == "dataset Elephants of mine"
    assert run("elephants", "--publisher", account.handle).stdout == found.stdout
    refused = run("elephants", "--publisher", account.handle, "--dtype", "uint8")
    assert "a PDS can't be searched by dtype" in str(refused.exception)
    assert refused.stdout == ""
