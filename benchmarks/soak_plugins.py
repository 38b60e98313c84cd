"""Build a catalog beside each of the most used plugins of MkDocs, before and after it in the list of plugins.

    python benchmarks/soak_plugins.py [NAME …] [--python PATH]

Without ``--python`` a virtual environment with ``benchmarks/plugins.txt`` is made in a temporary folder; that takes
minutes. A plugin holds if the build ends with 0, the page of the dataset is there, and no file has a placeholder of the
catalog. The output is a table in Markdown; the exit code is the number of plugins that don't hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

HERE: Final = Path(__file__).resolve().parent
MANIFEST: Final = {
    "schemas": [{"name": "Digit", "version": "1.0.0", "fields": {"label": "int"}}],
    "datasets": [
        {"name": "two", "schema": "Digit@1.0.0", "samples": 3, "shards": [{"url": "https://data.example/b.tar"}]}
    ],
}
PLUGINS: Final = {
    "i18n": "i18n: {docs_structure: suffix, languages: [{locale: en, default: true, name: English}, "
    "{locale: de, name: Deutsch}]}",
    "rss": "rss: {use_git: false}",
    "print-site": "print-site",
    "awesome-nav": "awesome-nav",
    "awesome-pages": "awesome-pages",
    "nav-weight": "mkdocs-nav-weight",
    "redirects": "redirects: {redirect_maps: {old.md: guide.md}}",
    "git-revision-date-localized": "git-revision-date-localized: {enable_creation_date: true}",
    "minify": "minify: {minify_html: true}",
    "macros": "macros",
    "glightbox": "glightbox",
    "literate-nav": "literate-nav: {nav_file: SUMMARY.md}",
    "section-index": "section-index",
    "gen-files": "gen-files: {scripts: [gen.py]}",
    "exclude": 'exclude: {glob: ["*.tmp"]}',
    "exclude-search": "exclude-search: {exclude: [guide.md]}",
    "include-markdown": "include-markdown",
    "monorepo": "monorepo",
    "autorefs": "autorefs",
    "mkdocstrings": "mkdocstrings",
    "jupyter": "mkdocs-jupyter",
    "table-reader": "table-reader",
    "swagger-ui-tag": "swagger-ui-tag",
    "same-dir": "same-dir",
    "ezlinks": "ezlinks",
    "roamlinks": "roamlinks",
    "meta-manager": "meta-manager",
    "llmstxt": "llmstxt: {sections: {Docs: [guide.md]}}",
    "enumerate-headings": "enumerate-headings",
    "add-number": "mkdocs-add-number-plugin",
    "video": "mkdocs-video",
    "badges": "badges",
    "alias": "alias",
    "mermaid2": "mermaid2",
    "markdownextradata": "markdownextradata",
    "open-in-new-tab": "open-in-new-tab",
    "mike": "mike",
    "search": "search",
    "tags": "tags",
    "blog": "blog",
    "offline": "offline",
    "privacy": "privacy",
    "meta": "meta",
    "group": "group: {enabled: true, plugins: [tags]}",
    "social": "social",
    "typeset": "typeset",
}
"""Name → its entry under ``plugins:``."""
MARKS: Final = (b"CatalogShell", b"catalog-shell")


def environment(folder: Path) -> Path:
    """Make a virtual environment with the plugins and this package; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [python, "-m", "pip", "install", "-q", "-r", HERE / "plugins.txt", f"{HERE.parent}[site]"]
    subprocess.run(command, check=True)
    return python


def project(folder: Path, plugin: str, *, first: bool) -> None:
    """Write a site with a page in two languages, a post, and a draft."""
    files = {
        "m/m.yaml": json.dumps(MANIFEST),
        "docs/index.md": "# Home\n\nHello.\n",
        "docs/guide.md": "# Guide\n\nwombat [home](index.md)\n",
        "docs/blog/index.md": "# Blog\n",
        "docs/blog/posts/a.md": "---\ndate: 2026-01-01\n---\n# Post\n\nx\n",
        "gen.py": 'import mkdocs_gen_files\nwith mkdocs_gen_files.open("made.md", "w") as f: f.write("# Made\\n")\n',
    }
    if "literate-nav" in plugin:
        files["docs/SUMMARY.md"] = "- [Home](index.md)\n- [Guide](guide.md)\n- [Datasets](datasets/index.md)\n"
    entries = [f"  - {plugin}\n", "  - catalog: {sources: [manifests: m]}\n"]
    files["mkdocs.yml"] = (
        "site_name: Test\nsite_url: https://test.example/\ntheme: {name: material, font: false}\nplugins:\n"
        + "".join(entries if first else reversed(entries))
    )
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=folder, check=True)


def verdict(python: Path, plugin: str, *, first: bool) -> str:
    """Build; return "holds", or the reason."""
    with TemporaryDirectory(prefix="catalog-plugin-") as name:
        folder = Path(name)
        project(folder, plugin, first=first)
        variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
        command = [python, "-m", "mkdocs", "build", "-q"]
        ran = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
        site = folder / "site"
        if ran.returncode != 0:
            lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
            return f"refused: {lines[-1].strip()[:160] if lines else 'no message'}"
        marked = [
            file.relative_to(site).as_posix()
            for file in site.rglob("*")
            if file.is_file() and any(mark in file.read_bytes() for mark in MARKS)
        ]
        if marked:
            return f"placeholder in {', '.join(marked[:3])}"
        pages = list(site.glob("datasets/*/*/index.html"))
        return "holds" if len(pages) == 1 else f"{len(pages)} pages of datasets"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="plugins to try; all by default")
    parser.add_argument("--python", type=Path, help="Python of an environment that has the plugins")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="catalog-plugins-") as folder:
        python = asked.python or environment(Path(folder))
        names = asked.names or list(PLUGINS)
        print("| plugin | before `catalog` | after `catalog` |\n| --- | --- | --- |", flush=True)
        failed = 0

        def both(name: str) -> tuple[str, str]:
            return tuple(verdict(python, PLUGINS[name], first=first) for first in (True, False))  # type: ignore[return-value]

        with ThreadPoolExecutor(2) as pool:
            for name, found in zip(names, pool.map(both, names), strict=True):
                print(f"| {name} | {found[0]} | {found[1]} |", flush=True)
                failed += found != ("holds", "holds")
    return failed


if __name__ == "__main__":
    sys.exit(main())
