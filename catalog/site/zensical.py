"""Build the site with Zensical instead of MkDocs: it renders the shells, the rest is the same.

Zensical reads ``mkdocs.yml`` and runs no MkDocs plugins. So it gets a temporary project: a configuration that inherits
the owner's with a few settings of ours, the owner's pages and the archetypes, and links to all other files beside the
owner's ``mkdocs.yml``. Its output is postprocessed as a site of MkDocs is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from catalog.config import catalog_block, load_config, load_settings
from catalog.errors import BuildError, require_extra
from catalog.site import addresses, build
from catalog.site.languages import Language, language
from catalog.site.postprocess import ASSETS, HOME_PAGE, finish_site, read_graph, warn_replaced
from catalog.site.scripts import assets
from catalog.site.settings import SiteSettings, overrides, read_formats, read_row_viewer, read_search

_HOMES: Final = ("index.md", "README.md")
_SECONDS: Final = 600


def build_with_zensical(config_file: Path, target: Path) -> None:
    """Crawl, render with Zensical, and write the finished site into ``target``, an empty folder.

    Raises :class:`MissingExtra` if Zensical is not installed, :class:`BuildError` with its message if it fails.
    """
    require_extra("site,zensical", "zensical", purpose="building with Zensical")
    settings = load_settings(config_file)
    owner = load_config(config_file)
    base = config_file.resolve().parent
    block = catalog_block(owner) or {}
    search, appview = read_search(block.get("search", True))
    graph = read_graph(settings, crawls=bool(block.get("crawl", True)))
    with TemporaryDirectory(prefix="catalog-zensical-") as folder:
        project = Path(folder)
        own = _lay_out(project, config_file, base, owner, search=search)
        _run(project)
        url = owner.get("site_url")
        site = SiteSettings(
            name=str(owner.get("site_name") or "Catalog"),
            description=str(owner.get("site_description") or ""),
            url=str(url).rstrip("/") + "/" if url else None,
            base=base,
            search=search,
            appview=appview,
            row_hosts=read_row_viewer(block.get("row_viewer", True)),
            templates=overrides(_custom_dir(owner, base)),
            language=_language(owner),
            formats=read_formats(block.get("formats")),
        )
        finish_site(graph, project / "site", settings=settings, site=site, own=own)
        target.rmdir()
        shutil.move(project / "site", target)


def _lay_out(project: Path, config_file: Path, base: Path, owner: Mapping[str, Any], *, search: bool) -> frozenset[str]:
    """Create the project for Zensical; return the sections whose page the owner wrote."""
    docs = base / str(owner.get("docs_dir") or "docs")
    places = {docs.resolve(), (base / str(owner.get("site_dir") or "site")).resolve(), config_file.resolve()}
    for entry in base.iterdir():
        if entry.resolve() not in places and entry.name not in {"owner.yml", "mkdocs.yml", "docs", "site"}:
            (project / entry.name).symlink_to(entry.resolve())
    shutil.copy(config_file, project / "owner.yml")
    if docs.is_dir():
        shutil.copytree(docs, project / "docs")
    else:
        (project / "docs").mkdir()
    written = {
        path.relative_to(project / "docs").as_posix() for path in (project / "docs").rglob("*") if path.is_file()
    }
    taken = {addresses.of_source(path): path for path in sorted(written)}
    own = set()
    for path, text in chain(build.archetype_sources(), build.section_sources(_language(owner))):
        address = addresses.of_source(path)
        if address in taken:
            own.add(path.removesuffix("/index.md"))
            warn_replaced(
                taken[address],
                (project / "docs" / taken[address]).read_text(encoding="utf-8", errors="replace"),
                f"the catalog's page {address}",
            )
        else:
            _write(project / "docs" / path, text)
    if not written.intersection(_HOMES):
        _write(project / "docs" / "index.md", HOME_PAGE.format(owner.get("site_name") or "Catalog"))
    for name, content in assets():
        place = project / "docs" / ASSETS / name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    _write(project / "mkdocs.yml", json.dumps(_overrides(owner, written, search=search)))
    return frozenset(own)


def _overrides(owner: Mapping[str, Any], written: set[str], *, search: bool) -> dict[str, object]:
    """Return our settings; lists are merged with the owner's."""
    held: dict[str, object] = {
        "INHERIT": "owner.yml",
        "docs_dir": "docs",
        "site_dir": "site",
        "use_directory_urls": True,
        "extra_css": [f"{ASSETS}/catalog.css"],
        "extra_javascript": [{"path": f"{ASSETS}/catalog.js", "type": "module"}],
    }
    if search:  # one search is enough
        held["plugins"] = [{"search": {"enabled": False}}]
    if not owner.get("nav"):  # else every archetype would be in it
        sections = [f"{section}/index.md" for section in build.IN_PLACE if section not in build.ASIDE]
        pages = sorted(path for path in written if path.endswith(".md") and path not in {*_HOMES, *sections})
        home = next((name for name in _HOMES if name in written), "index.md")
        held["nav"] = [{"Home": home}, *sections, *pages]
    return held


def _run(project: Path) -> None:
    command = [sys.executable, "-m", "zensical", "build", "--config-file", "mkdocs.yml"]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"Zensical took more than {_SECONDS} seconds") from None
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        raise BuildError(f"Zensical failed: {words[-1] if words else f'exit code {done.returncode}'}")


def _language(owner: Mapping[str, Any]) -> Language:
    theme = owner.get("theme")
    return language(str((theme.get("language") if isinstance(theme, dict) else None) or "en"))


def _custom_dir(owner: Mapping[str, Any], base: Path) -> Path | None:
    theme = owner.get("theme")
    named = theme.get("custom_dir") if isinstance(theme, dict) else None
    return base / str(named) if named else None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
