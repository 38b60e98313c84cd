"""Other themes than Material, and owners' own headers: search, styles and the texts of pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.site.themes import page_text, place_box, style_sheet, with_assets
from tests.sitecatalog import fill, mkdocs

BOX = "<form data-catalog-search></form>"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (
            '<body><header><nav class="md-header__inner md-grid"><a></a><div class="md-header__source"></div></nav>',
            '<body><header><nav class="md-header__inner md-grid"><a></a>BOX<div class="md-header__source"></div></nav>',
        ),
        ("<body><header>A</header><main>", "<body><header>ABOX</header><main>"),
        (
            '<div class="wy-side-nav-search"><a>A</a><div role="search">\n<form id ="rtd-search-form" x></form></div>',
            '<div class="wy-side-nav-search"><a>A</a>BOX',
        ),
        ('<div class="wy-side-nav-search"><a>A</a></div>', '<div class="wy-side-nav-search"><a>A</a>BOX</div>'),
        (
            '<li class="nav-item"> <a data-bs-target="#mkdocs_search_modal"><i></i></a></li>',
            '<li class="nav-item"> BOX</li>',
        ),
        ("<header>A</header><p><!-- catalog:search --></p>", "<header>A</header><p>BOX</p>"),
        ('<main><header class="mine">A</header></main>', None),
        ('<div class="top">A</div><article class="cat-page"><header></header></article>', None),
    ],
)
def test_the_box_has_one_place(html: str, expected: str | None) -> None:
    assert place_box(html, BOX) == (None if expected is None else expected.replace("BOX", BOX))


def test_a_theme_that_ignores_styles_and_scripts_gets_them_on_pages_of_the_catalog() -> None:
    html = with_assets("<head><title>T</title></head>", "../")
    assert 'href="../assets/catalog/catalog.css"' in html
    assert '<script type="module" src="../assets/catalog/catalog.js">' in html
    assert with_assets(html, "../") == html
    plain = '<link href="../assets/catalog/catalog.css"><script src="../assets/catalog/catalog.js"></script>'
    assert '<script type="module" src=' in with_assets(plain, "../")


def test_lengths_are_scaled_once_and_only_lengths() -> None:
    sheet = style_sheet("a { margin: .4rem 1rem; width: 3em; } .x1rem { --a: 2.5rem }")
    assert sheet.startswith("a { margin: 0.5rem 1.25rem; width: 3em; } .x1rem { --a: 3.125rem }")
    assert style_sheet(sheet) == sheet


def test_the_text_of_a_page_is_that_of_its_main_part() -> None:
    page = (
        "<title>T - S</title><nav>menu</nav><div role='main'><h1>A <em>b</em>¶</h1><p>one<br>two &amp; "
        "<script>no()</script>three</p></div><footer>end</footer>"
    )
    assert page_text(page) == ("A b¶", "one two & three")
    assert page_text("<title>T</title><main>x</main>") == ("T", "x")
    assert page_text("<p>x</p>") is None


@pytest.mark.parametrize(
    ("theme", "template"),
    [
        ("readthedocs", None),
        ("mkdocs", None),
        ("{name: material, font: false, custom_dir: ov}", "partials/header.html"),
        ("{name: null, custom_dir: ov}", "main.html"),
    ],
)
def test_search_and_browse_work_in_any_theme(tmp_path: Path, theme: str, template: str | None) -> None:
    fill(tmp_path / "store.sqlite", datasets=1)
    files = {"docs/index.md": "# Home\n\n<!-- catalog:home -->\n", "docs/guide.md": "# Guide\n\nquokka\n"}
    if template == "main.html":
        files["ov/main.html"] = (
            "<html><head><title>{{ page.title }}</title></head>"
            "<body><nav>N</nav><main>{{ page.content }}</main></body></html>"
        )
        files["ov/404.html"] = files["ov/sitemap.xml"] = ""
    elif template is not None:
        files[f"ov/{template}"] = '<header class="md-header"><a href="/">{{ config.site_name }}</a></header>'
    catalog = '{catalog: {store: store.sqlite, sources: [pds: "https://pds.example"], crawl: false}}'
    plugins = [catalog] if "material" in theme else ["search", catalog]
    files["mkdocs.yml"] = f"site_name: T\ntheme: {theme}\nplugins: [{', '.join(plugins)}]\n"
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    done = mkdocs(tmp_path, *(["--strict"] if template != "main.html" else []), quiet=False)
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    for page in ("index.html", "browse/index.html", next(site.glob("datasets/did*/*/index.html")).relative_to(site)):
        html = (site / page).read_text(encoding="utf-8")
        assert "assets/catalog/catalog.js" in html
        assert ("data-catalog-search" in html.partition("<h1")[0]) == (template != "main.html")
    assert "quokka" in json.dumps([file.read_text() for file in sorted((site / "catalog/text").rglob("*.json"))])
    if template == "main.html":
        assert "<!-- catalog:search -->" in done.stderr
