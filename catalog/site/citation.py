"""BibTeX citations of datasets: the publisher's own entry from the metadata, else one generated from the record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from catalog.site.markup import is_web, shown
from catalog.store.searchable import creators

if TYPE_CHECKING:
    from catalog.store.graph import DatasetNode

_ENTRY: Final = re.compile(r"\s*@[A-Za-z]+\s*[{(]")
_ESCAPED: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
}  # fmt: skip
_SPECIAL: Final = re.compile(r"[\\{}~^&%$#_]")


def own_citation(metadata: Mapping[str, object]) -> str | None:
    """Return the publisher's BibTeX if the metadata has it under ``citation``."""
    text = metadata.get("citation")
    return text.strip() if isinstance(text, str) and _ENTRY.match(text) else None


def citation(node: DatasetNode, url: str | None) -> str:
    """Return a BibTeX entry for a published dataset. ``url`` is the address of its page, if known."""
    record = node.record
    own = own_citation(record.metadata)
    if own is not None:
        return own
    doi = record.metadata.get("doi")
    homepage = record.metadata.get("homepage")
    if url is None and isinstance(homepage, str) and is_web(homepage):
        url = homepage
    version = next((label.record.version for label in node.labels if label.record.version is not None), None)
    named = creators(record.metadata)
    author = " and ".join(_text(name) for name in named) if named else f"{{{_text(node.publisher.shown)}}}"
    year = node.created.year
    fields = [
        ("author", author),
        ("title", f"{{{_text(record.name)}}}"),
        ("year", str(year)),
        ("version", "" if version is None else _text(version)),
        ("doi", _text(doi) if isinstance(doi, str) else ""),
        ("url", "" if url is None else shown(url).translate({ord(c): None for c in "{}\\"})),
        ("note", "" if node.draft else f"\\url{{{node.uri}}}"),
    ]
    key = re.sub(r"[^a-z0-9]+", "", f"{_word(author)}{year}{_word(record.name)}") or "dataset"
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields if value)
    return f"@misc{{{key},\n{lines}}}"


def _text(text: str) -> str:
    return _SPECIAL.sub(lambda match: _ESCAPED[match[0]], " ".join(shown(text).split()))


def _word(text: str) -> str:
    found = re.search(r"[A-Za-z0-9]+", text)
    return "" if found is None else found[0].lower()
