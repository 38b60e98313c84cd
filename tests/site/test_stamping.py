"""A stamped page is, byte for byte, the page that the whole pipeline renders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from catalog.site.build import ready
from catalog.site.languages import ENGLISH
from catalog.site.pages.dataset import dataset_page
from catalog.site.pages.lens import lens_page
from catalog.site.pages.schema import schema_page
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from catalog.store import Store
from catalog.store.graph import Graph
from tests.sitecatalog import build

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.site.templates import Page

HOOKS = """
import json, pathlib
from mkdocs.structure.files import File, InclusionLevel

PAGES = json.loads(pathlib.Path("pages.json").read_text())

def on_files(files, config):
    for address, page in PAGES.items():
        front = "".join(f"{key}: {json.dumps(page[key])}\\n" for key in ("title", "description"))
        text = f"---\\n{front}hide: [navigation, toc]\\n---\\n\\nx\\n"
        files.append(File.generated(config, address + "index.md", content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files

def on_page_content(html, page, config, files):
    return PAGES[page.url]["body"] if page.url in PAGES else html

def on_post_page(output, page, config):
    if page.url in PAGES:
        whole = output.replace("</head>", PAGES[page.url]["head"] + "</head>")
        pathlib.Path("rendered-" + page.url.replace("/", "_") + ".html").write_text(whole)
    return output
"""


@pytest.mark.parametrize("kind", ["dataset", "schema", "lens"])
def test_stamped_is_what_the_theme_would_have_rendered(tmp_path: Path, kind: str) -> None:
    stamped_site = build(tmp_path / "stamped")
    with Store.open(tmp_path / "stamped" / "store.sqlite") as store:
        graph = Graph.from_store(store)
    settings = SiteSettings(name="Tides", url="https://tides.example/catalog/", base=(tmp_path / "stamped").resolve())
    templates = Templates(graph, settings)
    pages: dict[str, list[Page]] = {
        "dataset": [dataset_page(templates, node) for node in graph.datasets],
        "schema": [schema_page(templates, node) for node in graph.schemas],
        "lens": [lens_page(templates, node) for node in graph.lenses],
    }
    ours = pages[kind]

    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "hooks.py").write_text(HOOKS, encoding="utf-8")
    (whole / "pages.json").write_text(
        json.dumps(
            {p.address: {"title": p.title, "description": p.description, "body": p.body, "head": p.head} for p in ours}
        ),
        encoding="utf-8",
    )
    build(whole, config="hooks: [hooks.py]\n")
    for page in ours:
        rendered = (whole / f"rendered-{page.address.replace('/', '_')}.html").read_text(encoding="utf-8")
        stamped = (stamped_site / page.address / "index.html").read_text(encoding="utf-8")
        assert ready(rendered, {}, ENGLISH) == stamped
