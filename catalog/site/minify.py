"""Minify rendered pages: collapse white space, move inline scripts and the hidden navigation into files.

Every page stamped from a shell contains the shell: with a hundred thousand pages each kilobyte of it is a hundred
megabytes. Scripts in files allow ``script-src 'self'``, and a browser fetches each of them once.

- White space in the body is collapsed, never removed: between inline elements it is visible.
- The content of ``pre``, ``textarea``, tags and our own pages is unchanged.
- A script in a file runs at the position of the inline one: it has neither ``async`` nor ``defer``.
- The navigation of a page that hides it (record pages do) is the drawer of narrow screens, the same on every page. A
  script inserts it; without scripts the drawer has the link to the home page.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, MutableMapping
from typing import Final

ASSETS: Final = "assets/catalog/"
"""The folder of the catalog's assets in the site."""

_ROOT: Final = re.compile(r"""<link\b[^>]*\bhref=["']?([^"'\s>]*?)assets/catalog/catalog\.css""")
_OPAQUE: Final = re.compile(
    r"<!--.*?-->"
    r'|<article class="cat-page\b.*?</article>'
    r"|<(?P<raw>pre|textarea|style|script)\b(?P<attributes>[^>]*)>(?P<inside>.*?)</(?P=raw)\s*>"
    r"""|<[a-zA-Z/!](?:[^>"']|"[^"]*"|'[^']*')*>""",
    re.DOTALL | re.IGNORECASE,
)
_CONFIG: Final = re.compile(r'(<script id="?__config"? type="?application/json"?>)(.*?)(</script>)', re.DOTALL)
_EMPTY_TOC: Final = re.compile(
    r'<div class="md-sidebar md-sidebar--secondary"[^>]*\shidden>\s*<div class="md-sidebar__scrollwrap">\s*'
    r'<div class="md-sidebar__inner">\s*<nav class="md-nav md-nav--secondary"[^>]*>\s*</nav>\s*</div>\s*</div>\s*</div>'
)
_HIDDEN_NAV: Final = re.compile(
    r'(<div class="md-sidebar md-sidebar--primary"[^>]*\shidden>\s*<div class="md-sidebar__scrollwrap">\s*'
    r'<div class="md-sidebar__inner">)\s*(<nav\b(?:(?!--active|md-sidebar__inner).)*?</nav>)'
    r"\s*(</div>\s*</div>\s*</div>)"
    r'(?=\s*<div class="md-(?:content|sidebar md-sidebar--secondary)")',
    re.DOTALL,
)
_NAV_LINK: Final = re.compile(r'<a href="[^"]*" class="md-nav__link">.*?</a>', re.DOTALL)
_HEAD: Final = re.compile(r"<head\b.*?</head>", re.DOTALL | re.IGNORECASE)
_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_PLAIN_SCRIPT: Final = re.compile(r"""\s*(?:type=["']?(?:text|application)/javascript["']?)?\s*""", re.IGNORECASE)


def root_of(html: str) -> str | None:
    """Return the path from a rendered page to the site's root, as in the page itself: ``../../`` or ``/base/``.

    None for a page without the catalog's style sheet.
    """
    found = _ROOT.search(html)
    return None if found is None else found[1]


def tidy(html: str, root: str, scripts: MutableMapping[str, str]) -> str:
    """Minify a rendered page. Inline scripts are added to ``scripts``: file name → source.

    Idempotent.
    """
    head = _HEAD.search(html)
    if head is None:
        return html
    html = _CONFIG.sub(_needed_config, _EMPTY_TOC.sub("", html))
    move = _mover(root, scripts)
    html = _HIDDEN_NAV.sub(lambda match: _moved_nav(match, root, scripts), html)
    tidied = _each(html[head.start() : head.end()], "", move)
    return _each(html[: head.start()].lstrip(), "", move) + tidied + _each(html[head.end() :], " ", move)


def _moved_nav(match: re.Match[str], root: str, scripts: MutableMapping[str, str]) -> str:
    nav = _each(match[2], " ", lambda kept: kept[0])
    home = _NAV_LINK.search(nav)
    if home is None:
        return match[0]
    # The text of a script in a file: "</script>" in it is harmless, and the page's parser sees the result as HTML.
    script = _in_file(f"document.currentScript.outerHTML = {json.dumps(nav, ensure_ascii=False)};", root, scripts)
    return f"{match[1]}{script}<noscript>{home[0]}</noscript>{match[3]}"


def _in_file(source: str, root: str, scripts: MutableMapping[str, str]) -> str:
    """Add a script to ``scripts`` and return the element that loads it."""
    name = f"inline-{hashlib.sha256(source.encode()).hexdigest()[:12]}.js"
    scripts[name] = source + "\n"
    return f'<script src="{root}{ASSETS}{name}"></script>'


def _needed_config(match: re.Match[str]) -> str:
    """Return the theme's settings for its script without the translations of its unused search."""
    try:
        config = json.loads(match[2])
        words = config["translations"]
        config["translations"] = {
            key: value for key, value in words.items() if not key.startswith(("search.", "select."))
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return match[0]
    return match[1] + json.dumps(config, separators=(",", ":")).replace("<", "\\u003c") + match[3]


def _mover(root: str, scripts: MutableMapping[str, str]) -> Callable[[re.Match[str]], str]:
    def moved(match: re.Match[str]) -> str:
        if (match["raw"] or "").lower() != "script" or not _PLAIN_SCRIPT.fullmatch(match["attributes"]):
            return match[0]
        source = match["inside"].strip()
        return _in_file(source, root, scripts) if source else ""

    return moved


def _each(html: str, space: str, move: Callable[[re.Match[str]], str]) -> str:
    parts: list[str] = []
    end = 0
    for match in _OPAQUE.finditer(html):
        parts += [_text(html[end : match.start()], space), move(match)]
        end = match.end()
    return "".join([*parts, _text(html[end:], space)])


def _text(text: str, space: str) -> str:
    """Collapse white space between two tags. A newline stays one, so that the source is readable."""
    if not text.strip(" \t\r\n\f"):
        return ("\n" if "\n" in text and space else space) if text else ""
    return _SPACE.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
