"""The pages of a built site to check: of each kind those that together contain all that the kind can contain.

Nobody lists the kinds: a folder that has pages is one. Within a kind the pages are chosen by the words of their
markup (classes, roles, data attributes), so a part that only some records have is looked at too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = re.compile(
    r'<(\w+)[^>]*?\sclass="([^"]*)"|\s(role|data-[\w-]+|aria-[\w-]+)=|<(h\d|dt|details|table|nav|svg|img)\b'
)
_LEADS_ON = ('http-equiv="refresh"', '<meta name="robots" content="noindex"><title>@')
"""Marks of a redirect, and of an account's list of short addresses, whose script sends the visitor on."""
_SCRIPTS = re.compile(r"<script\b.*?</script>", re.DOTALL)
MOST = 4
"""Pages of one kind that are checked."""


def pages(site: Path, *, leading_on: bool = False) -> list[str]:
    """The address of every page a visitor may read, as the server takes it: ``""``, ``browse/``, ``404.html``.

    With ``leading_on`` also those that send the visitor on.
    """
    found = (path for path in site.rglob("*.html") if "catalog/text/" not in path.as_posix())
    kept = (path for path in found if leading_on or not _leads_on(path))
    return sorted(path.relative_to(site).as_posix().removesuffix("index.html") for path in kept)


def _leads_on(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return any(mark in text for mark in _LEADS_ON)


def kind(address: str) -> str:
    """``datasets/*/*``, ``tags/*/page/*``: the folder, and for each step below it that it is there."""
    parts = address.rstrip("/").split("/")
    return "/".join([parts[0], *(part if part == "page" else "*" for part in parts[1:])]) or "home"


def kinds(site: Path, *, most: int = MOST, leading_on: bool = False) -> dict[str, list[str]]:
    """By kind: the addresses of up to ``most`` pages, first the one that has most, then those that add to it."""
    groups: dict[str, list[str]] = {}
    for address in pages(site, leading_on=leading_on):
        groups.setdefault(kind(address), []).append(address)
    return {name: _choice(site, group, most) for name, group in groups.items()}


def chosen(site: Path, *, most: int = MOST, leading_on: bool = False) -> list[str]:
    """The pages of all kinds in one list."""
    return [address for group in kinds(site, most=most, leading_on=leading_on).values() for address in group]


def text(site: Path, address: str) -> str:
    """A page's HTML."""
    file = site / address
    return (file / "index.html" if file.is_dir() else file).read_text(encoding="utf-8")


def _choice(site: Path, group: list[str], most: int) -> list[str]:
    left = {address: set(_WORDS.findall(_SCRIPTS.sub("", text(site, address)))) for address in group}
    seen: set[tuple[str, ...]] = set()
    taken: list[str] = []
    while left and len(taken) < most:
        best = max(left, key=lambda address: len(left[address] - seen))
        if taken and not left[best] - seen:
            break
        taken.append(best)
        seen |= left.pop(best)
    return taken
