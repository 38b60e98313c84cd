"""Fixes for invalid or inaccessible HTML of the theme; ``catalog.css`` fixes its colours.

Material for MkDocs 9.8: ``autocomplete`` on checkboxes, which HTML doesn't allow; a search dialogue without a name; a
button of the drawer that has no name either, and that no keyboard reaches (its script takes Enter on a label); the
boxes of task lists, nameless too; sections of the navigation with an empty ``tabindex``.
"""

from __future__ import annotations

import re
from typing import Final

_INPUT: Final = re.compile(r"<input\b[^>]*>", re.IGNORECASE)
_TICKED: Final = re.compile(r"""\stype=["']?(?:checkbox|radio)\b""", re.IGNORECASE)
_AUTOCOMPLETE: Final = re.compile(r"""\sautocomplete=(?:"[^"]*"|'[^']*'|[^\s>]*)""", re.IGNORECASE)
_NAMELESS: Final = re.compile(r"""<(?![^>]*\saria-label)([a-z]+)(?=\s[^>]*\brole=["']?dialog\b)""", re.IGNORECASE)
_DRAWER: Final = re.compile(
    r"""<label(?![^>]*\stabindex)(?=[^>]*\bmd-header__button\b)([^>]*\bfor=["']?__drawer\b[^>]*>)"""
)
_NO_TABINDEX: Final = re.compile(r"""(<label\b[^>]*?)\stabindex=(?:""|'')""", re.IGNORECASE)

_LOST: Final = re.compile(r"<h1>404 - Not found</h1>(?!<p)")
_EXPLANATION: Final = (
    "<h1>404 - Not found</h1><p>This page does not exist. Records that were deleted, and those of closed accounts, are "
    "removed from the catalog. Check the end of an address that was typed or copied.</p>"
    '<p><a href="{root}browse/">Browse and search</a>, or go to the <a href="{root}.">home page</a>.</p>'
    "<noscript><p>The datasets of an address like <code>/@handle/name/</code> are listed at <code>/@handle/</code>."
    "</p></noscript>"
)


def fix_theme(html: str) -> str:
    """Return a rendered page with all fixes. Idempotent."""
    html = _NO_TABINDEX.sub(r"\1", html)
    html = _NAMELESS.sub(r'<\1 aria-label="Search"', html)
    html = _DRAWER.sub(r'<label tabindex="0"\1<span class="cat-hidden">Menu</span>', html)
    return _INPUT.sub(_input, html)


def explain_404(html: str, root: str) -> str:
    """Add an explanation and links to the theme's 404 page; other pages are unchanged. Idempotent."""
    return _LOST.sub(lambda _: _EXPLANATION.format(root=root), html, count=1)


def _input(match: re.Match[str]) -> str:
    html = match[0]
    if not _TICKED.search(html):
        return html
    if " disabled" in html and " aria-label" not in html:  # a task's: nothing else has a box that can't be ticked
        html = f'<input aria-label="{"done" if " checked" in html else "to do"}"{html[6:]}'
    return _AUTOCOMPLETE.sub("", html)
