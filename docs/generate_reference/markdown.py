"""Format Markdown, and convert docstrings to Markdown."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["anchor", "bullet", "code", "escape", "fence", "from_docstring", "front", "headings", "sentences"]

_LITERAL: Final = re.compile(r"``([^`]+)``")
_ROLE: Final = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(~?)([^`]+)`")
_EMPHASIS: Final = re.compile(r"\\\*(\w+)\\\*")
_HEADING: Final = re.compile(r"^#{2,} (.+)$", re.MULTILINE)
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def front(title: str, intro: str, source: str) -> list[str]:
    """Return the first lines of a page; ``source`` is the code that it is generated from."""
    notice = f"<!-- Generated from {source} by `make reference`; don't edit. -->"
    return [notice, "", f"# {title}", "", intro]


def anchor(heading: str) -> str:
    """Return the fragment of a heading; MkDocs and forges agree for all generated headings."""
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


def headings(page: str) -> list[str]:
    """Return the headings of a page below its title, without backticks."""
    return [found.replace("`", "") for found in _HEADING.findall(_FENCED.sub("", page))]


def code(text: object) -> str:
    """Return inline code; a text with backticks gets a longer delimiter."""
    inside = str(text)
    return f"`` {inside} ``" if "`" in inside else f"`{inside}`"


def escape(text: str) -> str:
    """Escape prose for Markdown: text in backticks stays code, tags and emphasis are escaped."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"(?<![\w\\])([*_])|([*_])(?![\w\\])|([<\[])", r"\\\g<0>", part)
        for index, part in enumerate(parts)
    )


def fence(text: str, language: str = "") -> str:
    """Return a fenced code block."""
    return f"```{language}\n{text.rstrip()}\n```"


def sentences(*parts: str) -> str:
    """Join parts to sentences; empty parts are omitted."""
    shown = [part.strip() for part in parts if part.strip()]
    return " ".join(part if part.endswith((".", "…", "!", "?", ":")) else f"{part}." for part in shown)


def bullet(head: str, *parts: str) -> str:
    """Return a list item: the term, and its description on the next line, so that it fits on a phone."""
    return f"- {head}  \n  {sentences(*parts)}" if any(parts) else f"- {head}"


def from_docstring(text: str, links: Mapping[str, str]) -> list[str]:
    """Convert a docstring to Markdown paragraphs; ``links`` maps names to their targets."""
    return list(_blocks(inspect.cleandoc(text).split("\n\n"), links))


def _blocks(paragraphs: Iterable[str], links: Mapping[str, str]) -> Iterable[str]:
    verbatim: list[str] = []
    expected = False
    for paragraph in [*paragraphs, ""]:
        if expected and paragraph.startswith("    "):
            verbatim.append(inspect.cleandoc(paragraph))
            continue
        if verbatim:
            yield fence("\n\n".join(verbatim), "python")
            verbatim = []
        expected = paragraph.endswith("::")
        prose = _prose(paragraph.removesuffix("::").rstrip(), links)
        if prose:
            yield f"{prose}:" if expected and not prose.endswith((".", ":")) else prose


def _prose(paragraph: str, links: Mapping[str, str]) -> str:
    def role(found: re.Match[str]) -> str:
        short, name = found.groups()
        shown = name.rpartition(".")[2] if short else name
        place = links.get(name.rpartition(".")[2])
        return f"[`{shown}`]({place})" if place else f"`{shown}`"

    lines = " ".join(line.strip() for line in paragraph.splitlines())
    pieces = re.split(f"({_ROLE.pattern.replace('(~?)', '~?').replace('([^`]+)', '[^`]+')}|``[^`]+``)", lines)
    return "".join(
        _LITERAL.sub(r"`\1`", _ROLE.sub(role, piece)) if index % 2 else _EMPHASIS.sub(r"*\1*", escape(piece))
        for index, piece in enumerate(pieces)
    )
