"""Themes other than Material for MkDocs, and owners' own headers: the place of the search box, styles, page texts.

- The pages of a catalog use Material's variables and its class ``md-typeset``. Other themes get that class around the
  catalog's content, default values for the variables, and lengths for a root font of 16 px instead of 20 px.
- The search box is placed at the owner's mark, at a known place of the theme, or at the end of the page's header. It
  replaces the search boxes of the themes ``readthedocs`` and ``mkdocs``, which know nothing of records.
- A theme that ignores ``extra_css`` and ``extra_javascript`` gets both in the head of the catalog's pages.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from catalog.config import resources

SEARCH_MARK: Final = "<!-- catalog:search -->"
"""The mark in an owner's template that is replaced by the search box."""

_MARK: Final = re.compile(rf"{re.escape(SEARCH_MARK)}|<div data-catalog-box(?:=(?:\"\")?)?></div>")
_PLACES: Final = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r'(?P<before><nav\b[^>]*\bmd-header__inner\b.*?)(?=<div class="md-header__source"|</nav>)',  # Material
        r'(?P<before>)<div role="search">\s*<form\s+id\s*="rtd-search-form".*?</form>\s*</div>',  # readthedocs
        r'(?P<before><div class="wy-side-nav-search">.*?</a>)',
        r'(?P<before><li class="nav-item">\s*)<a\b[^>]*#mkdocs_search_modal.*?</a>',  # mkdocs
        r'(?P<before><ul class="nav navbar-nav ms-md-auto">)',
        r"(?P<before><header\b.*?)(?=</header>)",
    )
)
"""The known places of the search box, each after ``before``; the best first."""
_CONTENT_START: Final = re.compile(r"""<main\b|<article\b|<h1\b|role=["']?main\b|class=["']?cat-""", re.IGNORECASE)
_BODY: Final = re.compile(r"<body\b", re.IGNORECASE)
_MATERIAL: Final = re.compile(r"""<[a-z]+\b[^>]*\bmd-typeset\b""")
_PLAIN_SCRIPT: Final = re.compile(
    r"""<script\b(?![^>]*\btype=)(?=[^>]*\bsrc=["']?[^"'\s>]*assets/catalog/catalog\.js)"""
)
_STYLE: Final = "assets/catalog/catalog.css"
_REM: Final = re.compile(r"(?<![\w.-])(\d*\.?\d+)rem\b")
_SCALE: Final = 1.25
"""The root font of Material is 125 % of the browser's."""
_VOID: Final = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
)


def place_box(html: str, box: str) -> str | None:
    """Return a page with the search box; None if the theme has no place for it."""
    if _MARK.search(html) is not None:
        return _MARK.sub(lambda _: box, html, count=1)
    body = _BODY.search(html)
    start = 0 if body is None else body.end()
    content = _CONTENT_START.search(html, start)
    end = len(html) if content is None else content.start()
    for place in _PLACES:
        found = place.search(html, start, end)
        if found is not None:
            return html[: found.start()] + found["before"] + box + html[found.end() :]
    return None


def is_material(html: str) -> bool:
    """Return whether a page is one of Material for MkDocs."""
    return _MATERIAL.search(html) is not None


def with_assets(html: str, root: str) -> str:
    """Return a page of the catalog whose head has the style sheet and the script, whatever the theme ignores."""
    html = _PLAIN_SCRIPT.sub('<script type="module"', html)
    if _STYLE in html:
        return html
    script = f'<script type="module" src="{root}assets/catalog/catalog.js"></script>'
    return html.replace("</head>", f'<link rel="stylesheet" href="{root}{_STYLE}">{script}</head>', 1)


def style_sheet(css: str) -> str:
    """Return the catalog's style sheet for a theme other than Material."""
    own = (resources.templates() / "other_themes.css").read_text(encoding="utf-8")
    if own in css:  # a dirty build has left the sheet as it was
        return css
    scaled = _REM.sub(lambda length: f"{float(length[1]) * _SCALE:.4g}rem", css)
    return f"{scaled}\n{own}"


def page_text(html: str) -> tuple[str, str] | None:
    """Return title and text of a page: of its ``<main>``, or of the element with that role."""
    reader = _Main()
    reader.feed(html)
    if not reader.found:
        return None
    title, text = reader.title or reader.document_title, reader.text
    return " ".join("".join(title).split()), " ".join("".join(text).replace("¶", "").split())


class _Main(HTMLParser):
    """Collects the text of the first main element and of its first heading."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = False
        self.title: list[str] = []
        self.document_title: list[str] = []
        self.text: list[str] = []
        self._depth = 0
        self._inside = ""
        self._headed = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._depth:
            self._depth += tag not in _VOID
        elif not self.found and (tag == "main" or dict(attrs).get("role") == "main"):
            self.found, self._depth = True, 1
        if tag in {"script", "style", "title"} or (tag == "h1" and self._depth and not self._headed):
            self._inside = tag
        self.text.append(" " if self._depth else "")

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag not in _VOID:
            self._depth -= 1
        if tag == self._inside:
            self._headed = self._headed or tag == "h1"
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "h1":
            self.title.append(data)
        elif self._inside == "title":
            self.document_title.append(data)
        elif self._depth and not self._inside:
            self.text.append(data)
