"""Shells: a page that the theme rendered once, cut at its tokens so that many pages can be stamped from it.

- A theme may put the title anywhere: into text, an attribute, or JSON inside a ``<script>``. Each place gets the
  escaping it needs, decided when the page is cut.
- A minifier drops the quotes around an attribute that doesn't need them. Titles may need them; they are restored.
- The archetype's address is a token, too, so the canonical link and everything derived from it is correct.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from catalog.errors import BuildError
from catalog.site.addresses import HIDDEN_FOLDER

TITLE: Final = "CatalogShellTitleToken"
DESCRIPTION: Final = "CatalogShellDescriptionToken"
BODY: Final = "CatalogShellBodyToken"
ARCHETYPE_BODY: Final = f"<h1>{BODY}</h1>"
"""The content of an archetype as HTML."""

PLACEHOLDERS: Final = (b"CatalogShell", HIDDEN_FOLDER.encode())
"""Placeholders, which no file of a finished site contains."""
SECTION_MARK: Final = "<div data-catalog-section></div>"
"""The end of a section's own text; heading, text and mark are replaced by the body."""

_SECTION_PLACE: Final = re.compile(
    r'<h1\b[^>]*>(?:(?!<h1\b).)*?<div data-catalog-section(?:=(?:"")?)?>\s*</div>', re.DOTALL | re.IGNORECASE
)
_BODY_PLACE: Final = re.compile(rf"<h1\b[^>]*>\s*{BODY}\b.*?</h1>", re.DOTALL | re.IGNORECASE)
_HEAD_END: Final = r"(?=</head>)"
_SCRIPT: Final = re.compile(r"<script\b[^>]*>.*?</script>", re.DOTALL | re.IGNORECASE)
_UNQUOTED: Final = re.compile(r"<[a-zA-Z][^<>]*\s[\w:-]+=\Z")
"""The start of an attribute without quotes. (``endpos`` of a search is where ``\\Z`` matches.)"""

_OTHER_THEME: Final = '<div class="md-typeset cat-plain">{}</div>'

Filler = Callable[[dict[str, str]], str]


def archetype() -> str:
    """Return the Markdown source of an archetype."""
    return _source(TITLE, DESCRIPTION, ARCHETYPE_BODY)


def section_source(title: str, description: str) -> str:
    """Return the Markdown source of a section's page, with text for search engines and other plugins.

    Its heading is HTML, because the theme's link to a heading of Markdown would have no target in the body.
    """
    return _source(title, description, f"<h1>{title}</h1>\n\n{description}\n\n{SECTION_MARK}")


def _source(title: str, description: str, body: str) -> str:
    front = f"title: {title}\ndescription: {description}\nhide:\n  - navigation\n  - toc\nsearch:\n  exclude: true\n"
    return f"---\n{front}---\n\n{body}\n"


def has_place(html: str) -> bool:
    """Return whether a rendered page is an archetype or a section's page."""
    return SECTION_MARK[:26] in html or BODY in html


def wrapped(html: str) -> str:
    """Return an archetype or a section's page whose body will be styled in a theme other than Material."""
    place = _BODY_PLACE if BODY in html else _SECTION_PLACE
    return place.sub(lambda found: _OTHER_THEME.format(found[0]), html)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Fixed parts of HTML with the slots between them: one slot fewer than parts."""

    pieces: tuple[str, ...]
    fillers: tuple[Filler, ...]

    @classmethod
    def cut(cls, html: str, *, address: str | None = None) -> Shell:
        """Cut the rendered archetype at ``address`` (``datasets/catalog-shell/record/``).

        Without ``address`` only the body is cut out: the page keeps its title and address. Raises
        :class:`BuildError` when the theme didn't render the title or the body, or rendered the body twice.
        """
        place = _SECTION_PLACE if address is None else _BODY_PLACE
        if len(place.findall(html)) != 1 or html.count(BODY) != (address is not None):
            raise BuildError(
                "the theme rendered no page body, or more than one, for the catalog's pages",
                where=address,
                hint="a template override must keep {{ page.content }}, once",
            )
        if address is not None and TITLE not in html:
            raise BuildError(
                "the theme rendered no title for the catalog's pages",
                where=address,
                hint="a template override must keep {{ page.title }} in <title>",
            )
        return cls._cut(html, address)

    @classmethod
    def _cut(cls, html: str, address: str | None) -> Shell:
        tokens = [_SECTION_PLACE.pattern]
        if address is not None:
            tokens = [_BODY_PLACE.pattern, TITLE, DESCRIPTION, re.escape(address), _HEAD_END]
        scripts = [match.span() for match in _SCRIPT.finditer(html)]
        pieces: list[str] = []
        fillers: list[Filler] = []
        end = 0
        for match in re.finditer("|".join(f"(?:{token})" for token in tokens), html, re.DOTALL):
            start = match.start()
            in_script = any(low < start < high for low, high in scripts)
            key = {TITLE: "title", DESCRIPTION: "description", address: "address", "": "head"}.get(match[0], "body")
            bare = not in_script and bool(_UNQUOTED.search(html, max(0, start - 300), start))
            pieces.append(html[end:start])
            fillers.append(_filler(key, in_script=in_script, bare=bare))
            end = match.end()
        return cls(pieces=(*pieces, html[end:]), fillers=tuple(fillers))

    def stamp(self, *, body: str, title: str = "", description: str = "", address: str = "", head: str = "") -> str:
        """Return a page. ``body`` and ``head`` are HTML; the others are plain text and are escaped."""
        values = {"body": body, "title": title, "description": description, "address": address, "head": head}
        parts = [self.pieces[0]]
        for filler, piece in zip(self.fillers, self.pieces[1:], strict=True):
            parts.append(filler(values))
            parts.append(piece)
        return "".join(parts)


def _filler(key: str, *, in_script: bool, bare: bool) -> Filler:
    if key in {"body", "head"}:
        return lambda values: values[key]
    if key == "address":
        return lambda values: quote(values["address"], safe="/~")
    if in_script:  # inside a string literal
        return lambda values: json.dumps(values[key])[1:-1].replace("<", "\\u003c").replace("'", "\\u0027")
    if bare:
        return lambda values: f'"{escape(values[key])}"'
    return lambda values: escape(values[key])
