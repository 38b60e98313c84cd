"""The programs that a dataset's page offers, put together as its script does."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

from catalog.codegen import MAX_URLS, plain_urls
from catalog.site.load_code import NAME, SHARD, URI

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["page_programs"]

_FIRST = re.compile(
    r'<section class="cat-tab" data-tab="([^"]+)">.*?<code data-copy-source data-language="(\w+)">(.*?)</code>',
    re.DOTALL,
)
_WAYS = re.compile(r'data-ways="([^"]*)">.*?cat-still">(?:<a href="([^"]+)"|.*?data-programs>(.*?)</pre>)', re.DOTALL)
_NAME = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)


def page_programs(page: Path) -> list[tuple[str, str, str]]:
    """Label, language and code of each, in the order of the tabs."""
    text = page.read_text(encoding="utf-8")
    first, more, name = _FIRST.search(text), _WAYS.search(text), _NAME.search(text)
    if first is None:
        return []
    assert more is not None
    assert name is not None
    label, language, block = first.groups()
    beside = json.loads((page.parent / "index.json").read_text(encoding="utf-8"))
    found = [(label, language, html.unescape(re.sub(r"<[^>]+>", "", block)))]
    programs = _programs(html.unescape(more[3]) if more[3] else (page.parent / more[2]).read_text(encoding="utf-8"))
    for way in more[1].split(","):
        code = programs[way] if more[3] else _filled(programs[way], html.unescape(name[1]), beside)
        found.append((way, "typescript" if way == "TypeScript" else "python", code))
    return found


def _programs(text: str) -> dict[str, str]:
    parts = re.split(r"^=== ", text, flags=re.MULTILINE)[1:]
    return {part.partition(":")[0]: part.partition("\n")[2][1:].rstrip() + "\n" for part in parts}


def _filled(code: str, name: str, beside: dict[str, Any]) -> str:
    urls = plain_urls([shard["url"] for shard in beside["record"]["storage"]["shards"]])
    many = len(urls) > MAX_URLS and SHARD in code
    lines: list[str] = []
    for line in code.split("\n"):
        if line.strip() in {f"# {NAME}", f"// {NAME}"}:
            lines.append(line.replace(NAME, name))
            lines += [line.replace(NAME, f"the first {MAX_URLS} of {len(urls)} shards")] if many else []
        elif line.strip() == f'"{SHARD}",':
            lines += [line.replace(SHARD, url) for url in urls[:MAX_URLS]]
        else:
            lines.append(line.replace(URI, beside["uri"]))
    return "\n".join(lines)
