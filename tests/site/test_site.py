"""The built site as files: what lies where, the same every time, and what stops a build."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from catalog.records import DATASET
from catalog.site.addresses import HIDDEN_FOLDER
from catalog.site.build import ASIDE, IN_PLACE
from catalog.site.parallel import in_parallel
from catalog.site.shell import BODY, DESCRIPTION, TITLE
from tests.paths import ROOT
from tests.sitecatalog import CHANGED, DID, MKDOCS, UNPROVEN, build, dataset, fill, mkdocs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOME = "did-plc-ewvi7nxzyoun6zhxrhs64oiz"
FIRST = f"datasets/{HOME}/{CHANGED}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"), datasets=105)


def _text(site: Path, address: str) -> str:
    return (site / address / "index.html").read_text(encoding="utf-8")


def test_every_record_has_its_page_and_its_json(site: Path) -> None:
    pages = sorted(site.glob(f"*/{HOME}/*/index.html"))
    assert len(pages) == 105 + 2 + 1
    for page in pages:
        record = json.loads((page.parent / "index.json").read_text(encoding="utf-8"))
        assert record["uri"].startswith(f"at://{DID}/")
        assert set(record) == {"uri", "cid", "verified", "view", "record"}
    assert (site / "publishers" / HOME / "index.html").exists()


def test_no_archetype_and_no_token_is_left(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(f"{TITLE}|{DESCRIPTION}|{BODY}|{HIDDEN_FOLDER}", text), page
    assert not list(site.rglob(HIDDEN_FOLDER))
    assert HIDDEN_FOLDER not in (site / "sitemap.xml").read_text(encoding="utf-8")


def test_a_page_has_its_own_title_description_and_canonical_address(site: Path) -> None:
    text = _text(site, FIRST)
    assert "<title>Tidal recordings 0 - Tides</title>" in text
    assert '<meta name="description" content="Recordings of harbour 0, at 48 kHz. See the site.">' in text
    assert f'<link rel="canonical" href="https://tides.example/catalog/{FIRST}/">' in text
    assert text.count("<h1") == 1


def test_a_dataset_page_says_what_matters(site: Path) -> None:
    text = _text(site, FIRST)
    for words in ("from_atproto", "data.example/tides-0-000000.tar", "spdx.org/licenses/MIT", "2.0.0", "channel 2"):
        assert words in text


def test_every_internal_link_leads_somewhere(site: Path) -> None:
    missing = set()
    for page in site.rglob("index.html"):
        for target in re.findall(r'(?:href|src)="([^"#?:]+)[#?]?[^":]*"', page.read_text(encoding="utf-8")):
            place = (page.parent / target).resolve()
            if not (place / "index.html").exists() and not place.is_file():
                missing.add((str(page.relative_to(site)), target))
    assert not missing


def test_listings_are_paged_and_hold_every_dataset_once(site: Path) -> None:
    pages = [_text(site, "datasets"), _text(site, "datasets/page/2")]
    links = [re.findall(rf'href="[./]*datasets/{HOME}/([^/"]+)/"', page) for page in pages]
    assert [len(part) for part in links] == [60, 45]
    assert len({*links[0], *links[1]}) == 105


def test_the_status_page_names_what_was_refused_and_why(site: Path) -> None:
    text = _text(site, "status")
    assert "3kbroken" in text
    assert "name: &lt;b&gt;is missing&lt;/b&gt;" in text


def test_the_status_page_tells_what_the_last_crawl_did(site: Path) -> None:
    """By source and host, with what couldn't be read; what others wrote is text."""
    text = _text(site, "status")
    for words in ("2026-11-20 12:00 UTC", "plc.example", "2,468", "11.4 MB", "tree&nbsp;2", "Earlier crawls"):
        assert words in text
    assert "can&#39;t &lt;i&gt;be&lt;/i&gt; reached" in text
    assert "did:plc:x: &lt;b&gt;gone&lt;/b&gt;" in text


def test_what_is_not_proven_is_shown_so(site: Path) -> None:
    """A mark at the name and words among the facts; what is proven has none."""
    for address, proven in ((FIRST, True), (f"datasets/{HOME}/{UNPROVEN}", False)):
        text = _text(site, address)
        assert (">unverified</span>" in text) is not proven
        assert ("verified against the repository’s signed commit" in text) is proven


def test_history_tells_what_changed_and_when(site: Path) -> None:
    """The fields that differ from the version before, with the rev of each version."""
    text = _text(site, f"datasets/{HOME}/{CHANGED}")
    assert "History: 2 versions" in text
    assert "3kaaaaaaaaa2z" in text
    assert "changed description, tags" in text


def test_every_record_is_in_one_chunk_of_rows_and_of_results(site: Path) -> None:
    facets = json.loads((site / "catalog" / "facets.json").read_text(encoding="utf-8"))
    chunks = [json.loads(file.read_text(encoding="utf-8")) for file in (site / "catalog" / "rows").iterdir()]
    assert facets["length"] == sum(len(chunk["name"]) for chunk in chunks) == 108
    shown = [json.loads(file.read_text(encoding="utf-8")) for file in (site / "catalog/text/shown").iterdir()]
    assert len({result[1] for part in shown for result in part}) == sum(map(len, shown)) == 108


def test_the_sitemap_has_hand_written_pages_and_records(site: Path) -> None:
    text = (site / "sitemap.xml").read_text(encoding="utf-8")
    for address in ("", "guide/", "browse/", f"{FIRST}/", "datasets/page/2/"):
        assert f"<loc>https://tides.example/catalog/{address}</loc>" in text


def test_two_builds_are_the_same_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with another order of sets and other hashes."""

    def contents(name: str) -> dict[str, bytes]:
        monkeypatch.setenv("PYTHONHASHSEED", {"one": "1", "two": "2"}[name])
        folder = tmp_path / name
        folder.mkdir()
        made = build(folder, datasets=3)
        return {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}

    first, second = contents("one"), contents("two")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_tags_and_licences_named_like_files_and_letters_that_unfold_have_their_pages(tmp_path: Path) -> None:
    """The kind: a stranger's text that the site has a use for itself, as a file name or as a word."""
    odd = [
        "index.html",
        "index.json",
        "catalog-shell",
        ".",
        "..",
        "con",
        "a.",
        "a ",
        "Vision",
        "vision",
        "\ufdfa",
        "\ufe70",
    ]
    extra = [
        (DATASET, f"3kodd{number:08d}", dataset(1, name=f"odd {number}", tags=[text], license=text))
        for number, text in enumerate(odd)
    ]
    site = build(tmp_path, extra=extra)
    for section in ("tags", "licences"):
        rows = json.loads((site / section / "index.json").read_text(encoding="utf-8"))[section]
        assert {row["name"] for row in rows} >= {text for text in odd if section == "tags"}
        for row in rows:
            assert (site / row["page"] / "index.html").is_file(), row
            assert (site / row["page"] / "index.json").is_file(), row
    assert len(list(site.glob("datasets/*/3kodd*/index.html"))) == len(odd)


def test_a_home_page_is_left_as_it_is_but_for_its_mark(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Mine\n\nBefore.\n\n<!-- catalog:home -->\n\nAfter.\n", "utf-8")
    text = _text(build(tmp_path, search=False), "")
    assert re.search(r"Before\..*Tidal recordings 3.*After\.", text, re.DOTALL)


OWN = {
    "tags.md": "tags",
    "datasets/README.md": "datasets",
    "browse.md": "browse",
    "licences/index.md": "licences",
    "schemas/index.html": "schemas",
    f"{FIRST}.md": FIRST,
    "tags/river.md": "tags/river",
    "datasets/page/2.md": "datasets/page/2",
}
"""File of the owner → address of the catalog's page that it replaces."""


def _write(folder: Path, pages: dict[str, str]) -> None:
    for file, text in pages.items():
        (folder / "docs" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / file).write_text(text, encoding="utf-8")


def test_a_page_of_the_owner_wins_over_one_of_the_catalog_with_a_warning(tmp_path: Path) -> None:
    """Decided by the address, not by the name of the source."""
    site = build(tmp_path, datasets=105)
    _write(tmp_path, {file: "<p>wombat</p>" if file.endswith(".html") else "# Mine\n\nwombat\n" for file in OWN})
    ran = mkdocs(tmp_path, quiet=False)
    assert ran.returncode == 0, ran.stderr
    assert [address for address in OWN.values() if "wombat" not in _text(site, address)] == []
    warned = [line for line in ran.stderr.splitlines() if "WARNING" in line]
    assert len(warned) == len(OWN)
    for file, address in OWN.items():
        assert any(file in line or f"{address}/index.html" in line for line in warned), file
    assert (site / FIRST / "index.json").exists(), "what is beside the page stays"
    assert mkdocs(tmp_path, "--strict", quiet=False).returncode == 1


def test_a_page_says_that_it_replaces_one_of_the_catalog(tmp_path: Path) -> None:
    site = build(tmp_path)
    _write(tmp_path, {"tags.md": "---\nreplaces_catalog_page: true\n---\n# Mine\n\nwombat\n"})
    assert mkdocs(tmp_path, "--strict", quiet=False).returncode == 0
    assert "wombat" in _text(site, "tags")


def test_owners_pages_below_a_section_are_found_mapped_and_listed(tmp_path: Path) -> None:
    site = build(tmp_path)
    pages = {"quokka": "help.md", "numbat": "datasets/how-to-cite.md", "bilby": "tags/policy.md"}
    _write(tmp_path, {file: f"# Page\n\n{word} text\n" for word, file in pages.items()})
    assert mkdocs(tmp_path, "--strict").returncode == 0
    index = " ".join(file.read_text(encoding="utf-8") for file in (site / "catalog").rglob("*.json"))
    for word, file in pages.items():
        address = file.removesuffix(".md") + "/"
        assert word in index
        assert address in (site / "sitemap.xml").read_text(encoding="utf-8")
        assert address in (site / "index.html").read_text(encoding="utf-8")


def test_links_and_navigation_lead_to_pages_of_records(tmp_path: Path) -> None:
    """In a strict build, from anywhere, and MkDocs doesn't say that they are excluded."""
    site = build(tmp_path)
    _write(
        tmp_path,
        {
            "guide.md": f"# G\n\n[it]({FIRST}.md), [its fields]({FIRST}/index.md#fields), [tags](tags/index.md)\n",
            "datasets/how.md": f"# How\n\n[first]({FIRST.removeprefix('datasets/')}.md)\n",
        },
    )
    config = tmp_path / "mkdocs.yml"
    nav = f"nav:\n  - index.md\n  - First: {FIRST}.md\n  - guide.md\n  - datasets/how.md\n"
    config.write_text(config.read_text(encoding="utf-8") + nav, encoding="utf-8")
    (tmp_path / "docs" / "index.md").write_text("# Home\n", encoding="utf-8")
    ran = mkdocs(tmp_path, "--strict", quiet=False)
    assert ran.returncode == 0, ran.stderr
    assert "excluded" not in ran.stderr
    guide = _text(site, "guide")
    for link in (f'href="../{FIRST}/"', f'href="../{FIRST}/#fields"', 'href="../tags/"'):
        assert link in guide
    assert f'href="../{FIRST.removeprefix("datasets/")}/"' in _text(site, "datasets/how")
    assert f'href="{FIRST}/"' in _text(site, "")
    assert "Tidal recordings 0" in _text(site, FIRST)


HOOKS = """\
from pathlib import Path

printed = []

def on_files(files, config):
    for file in files:
        assert file.abs_src_path and Path(file.abs_src_path).is_file(), file.src_uri

def on_nav(nav, config, files):
    nav.items.reverse()

def on_page_content(html, page, config, files):
    assert page.title and page.file.abs_src_path
    printed.append(f"{page.title} {page.meta.get('description')} {html}")

def on_post_build(config):
    Path(config.site_dir, "print.html").write_text("\\n".join(printed))
"""
"""What plugins do beside the catalog: read files and their dates, sort the navigation, print all pages into one."""


def test_pages_are_real_to_other_plugins_and_a_placeholder_in_the_site_is_reported(tmp_path: Path) -> None:
    fill(tmp_path / "store.sqlite", datasets=1)
    (tmp_path / "docs").mkdir()
    _write(tmp_path, {"guide.md": "# Guide\n", "notes.txt": "CatalogShellTitleToken"})
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "mkdocs.yml").write_text(MKDOCS % "true" + "hooks: [hooks.py]\n")
    ran = mkdocs(tmp_path, quiet=False)
    assert ran.returncode == 0, ran.stderr
    warnings = [line for line in ran.stderr.splitlines() if "placeholder" in line]
    assert len(warnings) == 1, warnings
    assert "notes.txt" in warnings[0]
    printed = (tmp_path / "site" / "print.html").read_text()
    assert "CatalogShell" not in printed
    assert "Browse Filter and sort everything in this catalog." in printed
    links = re.findall(r'<a href="([^"]+)" class="md-nav__link', _text(tmp_path / "site", ""))
    assert links.index("guide/") < links.index("publishers/") < links.index("browse/")


def test_without_directory_urls_each_link_names_a_file(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    _write(tmp_path, {"index.md": f"# Home\n\n[first]({FIRST}.md)\n\n<!-- catalog:home -->\n"})
    site = build(tmp_path, config="use_directory_urls: false\n", datasets=45)
    missing = set()
    for page in site.rglob("index.html"):
        for target in re.findall(r'(?:href|src|action)="([^"#?:]+)[#?]?[^":]*"', page.read_text(encoding="utf-8")):
            if not (page.parent / target).is_file() and target not in {".", "./"}:
                missing.add((str(page.relative_to(site)), target))
    assert {found for found in missing if not found[1].endswith(("/.", "../"))} == set()
    assert f'href="{FIRST}/index.html"' in _text(site, "")
    assert f'<link rel="canonical" href="https://tides.example/catalog/{FIRST}/index.html">' in _text(site, FIRST)


def test_without_search_there_is_no_box_and_no_index(tmp_path: Path) -> None:
    made = build(tmp_path, search=False)
    assert "data-catalog-search" not in _text(made, FIRST)
    assert not (made / "catalog" / "text").exists()
    assert (made / "sitemap.xml").read_text("utf-8").count("guide/") == 1


def _lost(folder: Path, template: str) -> str:
    fill(folder / "store.sqlite")
    (folder / "over").mkdir()
    (folder / "over" / "main.html").write_text(template, encoding="utf-8")
    text = (MKDOCS % "false").replace("font: false", "font: false\n  custom_dir: over")
    (folder / "mkdocs.yml").write_text(text, encoding="utf-8")
    (folder / "docs").mkdir()
    done = mkdocs(folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_theme_that_drops_the_content_stops_the_build_with_a_sentence(tmp_path: Path) -> None:
    words = _lost(tmp_path, '{% extends "base.html" %}{% block content %}nothing{% endblock %}')
    assert "no page body" in words
    assert "page.content" in words


def test_a_mistake_in_the_settings_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nplugins:\n  - catalog: {sources: [{pdz: x}]}\n", "utf-8")
    done = mkdocs(tmp_path)
    assert done.returncode == 1
    assert "pdz" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fresh_denial_is_honoured_without_a_crawl(tmp_path: Path) -> None:
    made = build(tmp_path, search=False)
    assert (made / FIRST).exists()
    file = tmp_path / "mkdocs.yml"
    file.write_text(file.read_text("utf-8").replace("crawl: false", f'deny: ["{DID}"], crawl: false'), "utf-8")
    assert mkdocs(tmp_path).returncode == 0
    assert not (made / FIRST).exists()


@pytest.mark.parametrize("number", [3, 1000])
def test_work_in_parallel_is_the_same_work(number: int) -> None:
    """Also what fails comes through as it is."""
    double: Callable[[int], int] = lambda n: 2 * n  # noqa: E731 - forked workers take any function
    assert sorted(in_parallel(double, range(number))) == [2 * n for n in range(number)]
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda n: 1 // (n - 2), range(number))


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="with one core there is nothing to fork for")
def test_processes_are_forked_anew_after_a_while() -> None:
    """Touched pages of shared memory are released. In a process with one thread: others don't fork."""
    code = (
        "import json, os; from catalog.site.parallel import in_parallel; "
        "print(json.dumps([os.getpid(), *in_parallel(lambda _: os.getpid(), range(1000), block=10, renewed=20)]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    parent, *workers = json.loads(ran.stdout)
    assert parent not in workers
    assert all(len(set(workers[first : first + 10])) == 1 for first in range(0, 1000, 10))
    rounds = [set(workers[first : first + 200]) for first in range(0, 1000, 200)]
    assert len(set().union(*rounds)) == sum(map(len, rounds)) >= len(rounds)


def test_a_template_of_the_owner_takes_the_place_of_ours(tmp_path: Path) -> None:
    """``theme.custom_dir`` has the theme's overrides, and in ``catalog/`` those of our pages."""
    folder = tmp_path / "overrides" / "catalog"
    folder.mkdir(parents=True)
    (folder / "card.html").write_text("<li>OWN {{ node | name }}</li>\n", encoding="utf-8")
    fill(tmp_path / "store.sqlite")
    config = (MKDOCS % "false").replace("  name: material\n", "  name: material\n  custom_dir: overrides\n")
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    assert mkdocs(tmp_path, "--strict").returncode == 0
    assert "<li>OWN Tidal recordings 1</li>" in _text(tmp_path / "site", "datasets")
    assert 'class="cat-card"' not in _text(tmp_path / "site", "datasets")
    assert 'id="load"' in _text(tmp_path / "site", FIRST), "the others are ours"


def test_words_of_the_field_lead_to_what_they_mean(site: Path) -> None:
    known = set(re.findall(r'<dt id="([a-z-]+)">', _text(site, "words")))
    assert {"schema", "shard", "lens", "record", "cid", "did", "handle", "lexicon"} <= known
    met: set[str] = set()
    for page in site.rglob("index.html"):
        for way, word in re.findall(r'href="([./]*)words/#([^"]*)"', page.read_text(encoding="utf-8")):
            assert (page.parent / way / "words" / "index.html").exists(), page
            met.add(word)
    assert {"schema", "shard", "lens", "cid", "did", "handle", "address"} <= met <= known
    listed = re.findall(r'<a href="([^"]*)" class="md-nav__link', _text(site, "guide"))
    assert "../browse/" in listed
    assert "../words/" not in listed, "they are explained aside"


@pytest.mark.parametrize("file", ["mkdocs.yml", "site_templates/init/mkdocs.yml"])
def test_a_navigation_has_at_most_seven_tabs(file: str) -> None:
    """Ours, the one of ``catalog init``, and the automatic one: a home page and the sections that aren't aside."""
    nav = yaml.safe_load((ROOT / file).read_text(encoding="utf-8").partition("\nnav:\n")[2].partition("\n\n")[0])
    assert 3 <= len(nav) <= 7
    assert 1 + len(set(IN_PLACE) - set(ASIDE)) <= 7


def test_the_home_page_seeks_datasets_and_shows_each_schema_once(site: Path) -> None:
    text = _text(site, "")
    form = re.search(r'<form class="cat-find" action="([^"]*)".*?</form>', text, re.DOTALL)
    assert form is not None
    assert form[1] == "browse/"
    assert 'name="q"' in form[0]
    assert 'type="hidden" name="kind" value="dataset"' in form[0]
    shown = re.findall(r'cat-kind--schema">schema</span>.*?<a href="[^"]*">([^<]*)</a>', text, re.DOTALL)
    assert shown
    assert len(shown) == len(set(shown))


def test_the_page_for_what_is_not_there_leads_on(site: Path) -> None:
    assert re.search(r'href="[^"]*/browse/">Browse and search</a>', (site / "404.html").read_text(encoding="utf-8"))


def test_a_dataset_without_a_licence_says_so(tmp_path: Path) -> None:
    """A missing licence must not look like a free one."""
    silent = dataset(0)
    del silent["license"]
    built = build(tmp_path, datasets=1, extra=[("science.alt.dataset.entry", "3kbbbbbbbbbb2", silent)])
    assert "not specified" in _text(built, f"datasets/{HOME}/3kbbbbbbbbbb2")
    others = [page for page in built.glob(f"datasets/{HOME}/*/index.html") if page.parent.name != "3kbbbbbbbbbb2"]
    assert others
    assert not any("not specified" in page.read_text(encoding="utf-8") for page in others)
