"""Somebody else's text made fit for a page: nothing hides, nothing runs, nothing loads.

Tricky bits
-----------
Escaping HTML is not enough. A bidi control turns the text around it, a zero-width character hides in a name, an
image in a description tells its host who reads. Control characters are shown by their number, images become
links, and a link is one only to ``http``, ``https`` or ``mailto``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

__all__ = ["is_web", "link", "markdown", "plain", "shown"]

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
"""Controls, bidi controls, fillers, tags and lone surrogates. The joiners U+200C and U+200D stay: scripts need them."""
_HIDDEN: Final = re.compile(f"[{_INVISIBLE}\t\n]")
_HIDDEN_IN_LINES: Final = re.compile(f"[{_INVISIBLE}]")

_REL: Final = "nofollow noopener ugc"
_MAILTO: Final = re.compile(r"mailto:[^\s<>\"]{1,300}", re.IGNORECASE)
_LOWEST = 6
_SHIFT = 2
"""The page has its own h1, each of its parts an h2."""


def shown(text: str, *, lines: bool = False) -> str:
    """``text`` with what can't be seen made visible, as ``⟨U+202E⟩``. With ``lines``, newlines and tabs stay."""
    if text.isascii() and (text.replace("\n", "") if lines else text).isprintable():
        return text  # as most of it is; the patterns would take 30 times as long to say so
    return (_HIDDEN_IN_LINES if lines else _HIDDEN).sub(_number, text)


def _number(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


@lru_cache(maxsize=4096)
def is_web(url: str) -> bool:
    """Whether it may stand in ``href``: http or https, with a host, and nothing invisible or blank in it."""
    if _HIDDEN.search(url) or re.search(r"[\s<>\"\\]", url) or len(url) > 4000:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in {"http", "https"} and bool(parts.hostname)


def link(url: str, text: str | None = None) -> Markup:
    """A link that is one only where :func:`is_web` says so; plain text otherwise."""
    words = escape(shown(url if text is None else text))
    if not is_web(url):
        return words
    # Here and in `pieces` f-strings of escaped parts: Markup.format takes five times as long.
    return Markup(f'<a href="{escape(url)}" rel="{_REL}">{words}</a>')  # noqa: S704 - escaped


def markdown(text: str) -> Markup:
    """A description as HTML. No raw HTML, no images, headings below the page's own, links to the web and mail only."""
    return _markdown(shown(text.replace("\r\n", "\n").replace("\r", "\n"), lines=True))


@lru_cache(maxsize=4096)
def _markdown(text: str) -> Markup:
    tokens = _PARSER.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(_LOWEST, int(token.tag[1]) + _SHIFT)}"
    html = str(_PARSER.renderer.render(tokens, _PARSER.options, {}))
    return Markup(_CLEANER.clean(html))  # noqa: S704 - this is the cleaner's output


def plain(text: str, *, longest: int = 200) -> str:
    """The first words of a description as one line of plain text, cut at a word."""
    stripped = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text[: longest * 4])
    bare = re.sub(r"[*`~]+|(?<!\w)_+|_+(?!\w)|^[ ]{0,3}(#+|>+|[-+])(?=\s)", "", stripped, flags=re.MULTILINE)
    line = shown(" ".join(re.sub(r"\|[\s|:-]*", " ", bare).split()))
    if len(line) <= longest:
        return line
    return line[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"


def _image_as_link(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    words = renderer.renderInlineAsText(token.children, options, env) or str(token.attrs.get("src", ""))
    return str(Markup('<a href="{}">{}</a>').format(token.attrs.get("src", ""), words))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: is_web(url) or bool(_MAILTO.fullmatch(url))  # type: ignore[method-assign]
    parser.add_render_rule("image", _image_as_link)
    return parser


_PARSER: Final = _parser()
_TAGS: Final = {
    "a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_CLEANER: Final = nh3.Cleaner(
    tags=_TAGS, attributes={"a": {"href"}, "ol": {"start"}}, url_schemes={"http", "https", "mailto"}, link_rel=_REL
)
