"""Untrusted text made safe for a page: no hidden characters, no scripts, no external resources.

Escaping HTML is not enough. A bidi control reverses the text around it, a zero-width character hides in a name, an
image in a description discloses the reader to its host. Control characters are displayed as their code points, images
become links, and links may only be ``http``, ``https`` or ``mailto``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from html import unescape
from typing import Final
from urllib.parse import urlsplit

from markupsafe import Markup, escape

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
"""Controls, bidi controls, fillers, tags, lone surrogates, and noncharacters, some of which XML can't represent."""
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_ODD = f"[{_JOINERS}](?<=[{_JOINERS}].)|[{_SELECTORS}](?<=[{_JOINERS}{_SELECTORS}].)|(?<!\\S)[{_JOINERS}{_SELECTORS}]"
"""Scripts and emoji need one joiner or selector after a letter; several, or one after nothing, can hide text."""
_HIDDEN: Final = re.compile(f"[{_INVISIBLE}\t\n]|{_ODD}")
_HIDDEN_IN_LINES: Final = re.compile(f"[{_INVISIBLE}]|{_ODD}")
_BLANKS: Final = re.compile("(?:&nbsp;|[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]){4,}")
"""Blanks that HTML doesn't collapse: a thousand of them make a page wider than its window."""

_PLAINLY_WEB: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]*)?([/?#][!#-;=?-Z^_a-z{|}~]*)?")
"""The common form of a URL: an ASCII host, and a path that needs no further checks."""
_UNFIT: Final = re.compile("[{}|^`]")
"""Characters that a URL must percent-encode; the braces of a shard pattern are the most frequent."""
_REL: Final = "nofollow ugc"
_MAILTO: Final = re.compile(r"mailto:[^\s<>\"]{1,300}", re.IGNORECASE)
_LONGEST_URL: Final = 4000
_LOWEST = 6
_SHIFT = 2
"""Headings of a description start at h3: the page has the h1, its sections are h2."""


def shown(text: str, *, lines: bool = False) -> str:
    """Return the text with invisible characters as ``⟨U+202E⟩``. With ``lines``, newlines and tabs stay."""
    if text.isascii() and (text.replace("\n", "") if lines else text).isprintable():
        return text  # as most of it is; the patterns would take 30 times as long to say so
    return (_HIDDEN_IN_LINES if lines else _HIDDEN).sub(_number, text)


def _number(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


@lru_cache(maxsize=4096)
def is_web(url: str) -> bool:
    """Return whether a URL is safe for ``href``: http or https, with a host, without invisible characters or blanks."""
    if len(url) <= _LONGEST_URL and _PLAINLY_WEB.fullmatch(url):
        return True
    if _HIDDEN.search(url) or re.search(r"[\s<>\"\\]", url) or len(url) > _LONGEST_URL:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)


def link(url: str, text: str | None = None) -> Markup:
    """Return a link if :func:`is_web` accepts the URL; else plain text."""
    words = escape(shown(url if text is None else text))
    if not is_web(url):
        return words
    # Here and in html_helpers f-strings of escaped parts: Markup.format takes five times as long.
    address = escape(_UNFIT.sub(_percent, url))
    return Markup(f'<a href="{address}" rel="{_REL}">{words}</a>')  # noqa: S704 - escaped


def _percent(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def markdown(text: str) -> Markup:
    """Return a description as HTML: no raw HTML, no images, headings from h3, only web and mail links."""
    return _markdown(shown(text.replace("\r\n", "\n").replace("\r", "\n"), lines=True))


@lru_cache(maxsize=4096)
def _markdown(text: str) -> Markup:
    if _TOO_DEEP.search(text):
        return Markup(f"<pre>{escape(text)}</pre>")  # noqa: S704 - escaped
    # All raw HTML is escaped, so every tag here is the renderer's own, and its attributes hold neither < nor ".
    render, clean_html = _renderer()
    html = render(text)
    html = _IMAGE.sub(_image_as_link, _LINK.sub(_checked_link, _levelled(html)))
    # What entities stand for (`&#x202E;`) is a character only now.
    clean = shown(clean_html(html), lines=True)
    return Markup(_BLANKS.sub(" ", clean))  # noqa: S704 - the cleaner's output, without any character of HTML added


@cache
def _renderer() -> tuple[Callable[[str], str], Callable[[str], str]]:
    """Return the Markdown renderer and the HTML sanitizer: only they need the extra ``[site]``."""
    import comrak
    import nh3

    extensions, rendering = comrak.ExtensionOptions(), comrak.RenderOptions()
    extensions.table = extensions.strikethrough = extensions.autolink = True
    rendering.escape = True
    cleaner = nh3.Cleaner(
        tags=_TAGS, attributes={"a": {"href"}, "ol": {"start"}}, url_schemes={"http", "https", "mailto"}, link_rel=_REL
    )
    return lambda text: comrak.render_markdown(text, extensions, None, rendering), cleaner.clean


def _levelled(html: str) -> str:
    """Shift headings to h3 and below, without skipped levels: ``# a`` and ``##### b`` become h3 and h4."""
    last = _SHIFT

    def moved(match: re.Match[str]) -> str:
        nonlocal last
        if not match[1]:
            last = min(_LOWEST, int(match[2]) + _SHIFT, last + 1)
        return f"<{match[1]}h{last}>"

    return _HEADING.sub(moved, html)


def plain(text: str, *, longest: int = 200) -> str:
    """Return the start of a description as one line of plain text, cut at a word."""
    stripped = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text[: longest * 4])
    bare = re.sub(r"[*`~]+|(?<!\w)_+|_+(?!\w)|^[ ]{0,3}(#+|>+|[-+])(?=\s)", "", stripped, flags=re.MULTILINE)
    line = shown(" ".join(re.sub(r"\|[\s|:-]*", " ", bare).split()))
    return cut(line, longest)


def cut(line: str, longest: int) -> str:
    """Return a line of at most ``longest`` characters, cut at a word."""
    if len(line) <= longest:
        return line
    return line[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"


def _checked_link(match: re.Match[str]) -> str:
    return _anchor(match[1], match[2])


def _image_as_link(match: re.Match[str]) -> str:
    return _anchor(match[1], match[2] or match[1])


def _anchor(address: str, words: str) -> str:
    """Return a link from two HTML texts; an address that is not allowed is appended as text."""
    url = unescape(address)
    if is_web(url) or _MAILTO.fullmatch(url):
        return f'<a href="{address}">{words}</a>'
    return f"{words} ({address})" if address not in {"", words} else words


_TOO_DEEP: Final = re.compile(r"^(?:[ \t]*(?:>|(?:[*+-]|\d{1,9}[.)])[ \t])){100}", re.MULTILINE)
"""Deeply nested quotes or lists: the cleaner takes seconds for ten thousand levels."""
_LINK: Final = re.compile(r'<a href="([^"]*)"(?: title="[^"]*")?>(.*?)</a>', re.DOTALL)
_IMAGE: Final = re.compile(r'<img src="([^"]*)" alt="([^"]*)"(?: title="[^"]*")? />')
_HEADING: Final = re.compile(r"<(/?)h([1-6])>")
_TAGS: Final = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
