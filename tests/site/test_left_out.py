"""A page that can't be made is left out alone: each step of the build fails for some datasets."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import sys
from functools import wraps
from typing import TYPE_CHECKING

import pytest

from catalog.config import read_settings
from catalog.errors import BuildError
from catalog.records import DATASET
from catalog.site import parallel
from catalog.site.postprocess import finish_site
from catalog.site.settings import SiteSettings
from catalog.store import Store
from catalog.store.graph import Graph
from tests.sitecatalog import MKDOCS, dataset, fill, uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

ERRORS = {
    "3koddoddodd22": ValueError,
    "3koddoddodd23": RecursionError,
    "3koddoddodd24": MemoryError,
    "3koddoddodd25": OSError,
}
"""Odd datasets, by record key, each with the error that is raised for it."""
ODD = next(iter(ERRORS))
NAMES = [f"3kfine{number:07d}" for number in range(19)]
STEPS = [
    ("catalog.site.pages.dataset", "dataset_page"),
    ("catalog.site.exports.record_json", "record_json"),
    ("catalog.site.exports.croissant", "croissant"),
    ("catalog.site.exports.jsonld", "dataset_jsonld"),
    ("catalog.site.citation", "citation"),
    ("catalog.site.load_code", "ways"),
    ("catalog.site.templates", "Templates._once"),
    ("catalog.site.facets", "words_of"),
    ("catalog.site.facets", "sort_key"),
    ("catalog.site.exports.feeds", "_entry"),
    ("catalog.site.exports.dcat", "_dataset"),
    ("catalog.site.exports.index", "_page"),
]


def _tag(odd: str) -> str:
    """Return the tag that only one odd dataset has."""
    return f"only{odd}"


def _fill(store: Path, *, odd: Iterable[str]) -> None:
    extra = [(DATASET, name, dataset(number + 1)) for number, name in enumerate(NAMES)]
    extra += [(DATASET, key, dataset(7, name="Odd one", tags=["audio", _tag(key)])) for key in odd]
    fill(store, datasets=0, extra=extra)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what MkDocs renders before the catalog's pages: the shells, and stores of nineteen datasets and more."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("rendered")
    _fill(folder / "store.sqlite", odd=[ODD])
    _fill(folder / "nineteen.sqlite", odd=[])
    _fill(folder / "errors.sqlite", odd=ERRORS)
    (folder / "mkdocs.yml").write_text(MKDOCS % "true", encoding="utf-8")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text("# Home\n\n<!-- catalog:home -->\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        config = load_config(str(folder / "mkdocs.yml"))
        # In the module that MkDocs has loaded: another test of this process may have imported it anew.
        loaded = type(config.plugins["catalog"])._finish.__globals__  # type: ignore[attr-defined]
        patch.setitem(loaded, "finish_site", lambda *_, **__: None)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    return folder


def _finished(rendered: Path, target: Path, store: str = "store.sqlite") -> Path:
    site = target / "site"
    shutil.copytree(rendered / "site", site)
    settings = read_settings({"store": store, "sources": [{"pds": "https://pds.example"}]}, rendered)
    with Store.open(rendered / store) as opened:
        graph = Graph.from_store(opened)
    url = "https://tides.example/catalog/"
    finish_site(graph, site, settings=settings, site=SiteSettings(name="Tides", url=url, base=rendered))
    return site


@pytest.fixture(scope="module")
def nineteen(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the site without an odd dataset."""
    return _files(_finished(rendered, tmp_path_factory.mktemp("nineteen"), "nineteen.sqlite"))


def _files(site: Path) -> dict[str, bytes]:
    return {str(file.relative_to(site)): file.read_bytes() for file in site.rglob("*") if file.is_file()}


def _status(site: Path) -> list[dict[str, str | None]]:
    held: list[dict[str, str | None]] = json.loads((site / "status" / "index.json").read_bytes())["left_out"]["pages"]
    return held


def _spoil(patch: pytest.MonkeyPatch, module: str, name: str, error: Callable[[str], BaseException]) -> None:
    """Let a function of ours fail when it is called with an odd dataset or with the group of its tag."""
    holder: object = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    real = getattr(holder, last)

    @wraps(real)
    def spoiled(*args: object, **kwargs: object) -> object:
        for odd in ERRORS:
            if any(odd in str(getattr(arg, "uri", "")) or getattr(arg, "name", "") == _tag(odd) for arg in args):
                raise error(odd)
        return real(*args, **kwargs)

    for known in [holder, *(module for key, module in sys.modules.items() if key.startswith("catalog."))]:
        if getattr(known, last, None) is real:
            patch.setattr(known, last, spoiled)


def _injected(odd: str) -> BaseException:
    return ERRORS[odd]("injected")


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[f"{step[0].rpartition('.')[2]}.{step[1]}" for step in STEPS])
def test_datasets_that_cannot_be_shown_are_left_out_and_the_others_are_as_without_them(
    module: str,
    name: str,
    rendered: Path,
    nineteen: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Byte for byte: pages, lists, search entries, exports, sitemap. Only the status page differs: it names them."""
    _spoil(monkeypatch, module, name, _injected)
    with caplog.at_level(logging.WARNING):
        site = _finished(rendered, tmp_path, "errors.sqlite")
    files = _files(site)
    assert files.keys() == nineteen.keys()
    assert {key for key in files if files[key] != nineteen[key]} == {"status/index.html", "status/index.json"}
    found = _status(site)
    assert sorted(str(one["uri"]) for one in found) == [str(uri(DATASET, odd)) for odd in ERRORS]
    for one in found:
        odd = str(one["uri"]).rpartition("/")[2]
        assert one["kind"] == "dataset"
        assert odd in (one["page"] or "")
        assert ERRORS[odd].__name__ in (one["error"] or "")
        assert odd in files["status/index.html"].decode()
        assert any(odd in record.getMessage() for record in caplog.records), "a warning: a strict build fails"


@pytest.mark.parametrize(("module", "name"), [("textindex", "levels"), ("spelling", "_words_of")])
def test_datasets_that_cannot_be_indexed_have_their_pages_and_the_others_are_found(
    module: str, name: str, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, f"catalog.site.{module}", name, _injected)
    site = _finished(rendered, tmp_path, "errors.sqlite")
    assert sorted((str(found["kind"]), str(found["uri"])) for found in _status(site)) == [
        ("search entry", str(uri(DATASET, odd))) for odd in ERRORS
    ]
    assert len(list(site.glob("datasets/*/3k*/index.html"))) == 23
    shown = json.loads((site / "catalog" / "text" / "shown" / "0.json").read_bytes())
    shown += json.loads((site / "catalog" / "text" / "shown" / "1.json").read_bytes())
    assert sum(name.startswith("Tidal recordings") for name, *_ in shown) >= 19


def test_tag_pages_that_cannot_be_made_cost_no_record(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links to them lead to a few words and on to the status page."""
    _spoil(monkeypatch, "catalog.site.exports.record_json", "group_json", _injected)
    site = _finished(rendered, tmp_path, "errors.sqlite")
    assert sorted((str(found["kind"]), str(found["page"])) for found in _status(site)) == [
        ("tag", f"tags/{_tag(odd)}/") for odd in ERRORS
    ]
    assert len(list(site.glob("datasets/*/3k*/index.html"))) == 23
    for odd in ERRORS:
        assert 'href="../../status/"' in (site / "tags" / _tag(odd) / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["facets.files", "network_json"])
def test_a_file_of_the_whole_catalog_that_cannot_be_made_is_reported_and_costs_no_page(
    name: str, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_graph: Graph) -> str:
        if len(_graph.datasets) > 1:
            raise ValueError("injected")
        return ""

    monkeypatch.setattr(f"catalog.site.build.{name}", fail)
    site = _finished(rendered, tmp_path)
    (found,) = _status(site)
    assert found["page"] in {"catalog/facets.json", "catalog/network.json"}
    assert len(list(site.glob("datasets/*/3k*/index.html"))) == 20


def test_a_full_disk_and_a_fault_of_every_record_fail_the_build(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site without its pages must not take the place of a whole one."""
    with monkeypatch.context() as patch:
        _spoil(
            patch, "catalog.site.exports.record_json", "record_json", lambda _: OSError(28, "No space left on device")
        )
        with pytest.raises(BuildError, match="space"):
            _finished(rendered, tmp_path / "full")

    def fail(*_: object) -> None:
        raise ValueError("injected")

    monkeypatch.setattr("catalog.site.build.dataset_page", fail)
    with pytest.raises(BuildError, match="injected"):
        _finished(rendered, tmp_path / "every")


def test_a_page_over_which_workers_are_killed_is_left_out(
    rendered: Path, nineteen: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the system when memory runs out; in another process, as this one may have threads, which forbid forks."""
    import os
    import signal

    here = os.getpid()

    def die(_odd: str) -> Exception:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return MemoryError("in the only process there is")

    monkeypatch.setattr(parallel, "_WORTH_IT", 2)
    monkeypatch.setattr(parallel, "_can_fork", lambda: True)
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    _spoil(monkeypatch, "catalog.site.pages.dataset", "dataset_page", die)
    files = _files(_finished(rendered, tmp_path))
    assert files.keys() == nineteen.keys()
    (found,) = _status(tmp_path / "site")
    assert found["uri"] == str(uri(DATASET, ODD))
