"""The programs that a dataset's page offers, put together as its script does."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["page_programs"]

_FIRST = re.compile(
    r'<section class="cat-tab" data-tab="([^"]+)">.*?<code data-copy-source data-language="(\w+)">(.*?)</code>',
    re.DOTALL,
)
_OWN = re.compile(r'data-programs="([^"]+)">.*?<script type="application/json">(.*?)</script>', re.DOTALL)


def page_programs(page: Path) -> list[tuple[str, str, str]]:
    """Label, language and code of each, in the order of the tabs."""
    text = page.read_text(encoding="utf-8")
    first = _FIRST.search(text)
    if first is None:
        return []
    label, language, block = first.groups()
    found = _OWN.search(text)
    assert found is not None
    own = json.loads(found[2])
    shared = json.loads((page.parent / found[1]).read_text(encoding="utf-8"))
    programs = {program["label"]: program for program in shared["programs"]}
    rest = [(way, programs[way]["language"], _code(programs[way], shared["parts"], own)) for way in own["ways"]]
    return [(label, language, _plain(block)), *rest]


def _code(program: dict[str, Any], texts: list[str], own: dict[str, Any]) -> str:
    return "".join(_own(program, own) if part is None else _plain(texts[part]) for part in program["parts"])


def _own(program: dict[str, Any], own: dict[str, Any]) -> str:
    if "listing" not in program:
        return str(own["own"][program["label"]])
    mark, opening, indent, closing = map(str, program["listing"])
    comments = "".join(f"{mark} {line}\n" for line in own["about"])
    return comments + opening + "".join(f'{indent}"{url}",\n' for url in own["urls"]) + closing


def _plain(block: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", block))
