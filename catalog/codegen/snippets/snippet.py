"""The type of a snippet, and the parts that all snippets share: the comment about the dataset and its URLs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from catalog.codegen.text import one_line

MAX_URLS: Final = 20
"""Maximum URLs in a snippet; a dataset may have ten thousand."""

_URL_CHARACTERS: Final = "~:/?#@&()*+,;=%-._"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A program that loads a dataset. ``language`` is a lexer's name, ``install`` the installation command.

    ``parts`` are the code. Each part is whole lines, and most are shared between datasets.
    """

    label: str
    language: str
    parts: tuple[str, ...]
    install: str

    @property
    def code(self) -> str:
        """The complete program."""
        return "".join(self.parts)


def about(name: str, cid: str | None, count: int) -> tuple[str, ...]:
    """Comment lines: the dataset, its record, and a note if not all of its ``count`` shards are listed."""
    lines = [one_line(name)]
    lines += [f"record {one_line(cid)}"] if cid is not None else []
    lines += [f"the first {MAX_URLS} of {count} shards"] if count > MAX_URLS else []
    return tuple(lines)


def plain_url(url: str) -> str:
    """The URL with all special characters escaped: older WebDataset releases put it into a shell command."""
    return quote(url, safe=_URL_CHARACTERS, errors="replace")


def listed(lines: Sequence[str], urls: Sequence[str], *, mark: str, opening: str, indent: str, closing: str) -> str:
    """Comments, then a list of plain URLs, one per line."""
    comments = "".join(f"{mark} {line}\n" for line in lines)
    return comments + opening + "".join(f'{indent}"{url}",\n' for url in urls) + closing
