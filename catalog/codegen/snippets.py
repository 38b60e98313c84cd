"""Snippets: whole programs that load a dataset and show its first samples, for the page of the dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from catalog.codegen.python import Group, laid_out, literal, one_line, python_class
from catalog.identifiers import class_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.sampletype import SampleType

__all__ = ["INSTALL", "Snippet", "load_snippets"]

INSTALL: Final = "pip install atdata-catalog"
MAX_URLS: Final = 20
"""URLs listed in a snippet; a dataset may have ten thousand."""

_NUMBERED: Final = re.compile(r"(?P<head>.*?)(?P<number>[0-9]+)(?P<tail>[^0-9]*)")
_URL_CHARACTERS: Final = "~:/?#@&()*+,;=%-._"

_SHOW: Final = """
for sample in dataset.head(3):
    print(sample)
"""

_IMPORTS: Final = """\
import io
import itertools

import msgpack
import numpy as np
import webdataset as wds

"""

_UNPACK: Final = '''

def decoded(value):
    """Arrays are stored as .npy bytes."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, bytes) and value.startswith(b"\\x93NUMPY"):
        return np.load(io.BytesIO(value), allow_pickle=False)
    return value


def unpacked(sample):
    fields = msgpack.unpackb(sample["msgpack"])
    return {name: decoded(value) for name, value in fields.items()}


dataset = wds.WebDataset(urls, shardshuffle=False).map(unpacked)

for sample in itertools.islice(dataset, 3):
    print(sample)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One way to load a dataset. ``language`` is a lexer's name, ``install`` the command to run before.

    ``parts`` make up the code. Each is whole statements, and most are the same from dataset to dataset.
    """

    label: str
    language: str
    parts: tuple[str, ...]
    install: str

    @property
    def code(self) -> str:
        """The whole program."""
        return "".join(self.parts)


def load_snippets(
    name: str, uri: str | None, sample_type: SampleType | None, urls: Sequence[str], *, cid: str | None = None
) -> tuple[Snippet, ...]:
    """How to load the dataset ``name``, most convenient first.

    ``uri`` is that of its record, None for a draft: then it is loaded from ``urls``, paths of local copies seen from
    where the program runs. Without a ``sample_type`` samples are dicts. The plain snippet, which needs nothing of this
    project, is for ``urls`` at https addresses. Every code parses, whatever the texts are.
    """
    ours = Snippet(label="Python", language="python", parts=_ours(name, uri, sample_type, urls, cid), install=INSTALL)
    remote = [url for url in urls if re.match(r"https?://", url)]
    if not remote:
        return (ours,)
    listed = laid_out(Group("[", tuple(literal(_plain_url(url)) for url in remote[:MAX_URLS]), "]"), prefix="urls = ")
    comment = _comment(name, cid, len(remote))
    parts = (comment, _IMPORTS, f"{listed}\n", _UNPACK)
    install = "pip install webdataset msgpack numpy"
    return ours, Snippet(label="WebDataset", language="python", parts=parts, install=install)


def _ours(
    name: str, uri: str | None, sample_type: SampleType | None, urls: Sequence[str], cid: str | None
) -> tuple[str, ...]:
    if sample_type is None:
        head, arguments = "from catalog import Dataset\n\n", []
    else:
        head, arguments = python_class(sample_type, also=("Dataset",)) + "\n\n", [class_name(sample_type.name)]
    if uri is not None:
        call = Group("Dataset.from_atproto(", (literal(uri), *arguments), ")")
    else:
        call = Group("Dataset.from_urls(", (_urls(urls), *arguments), ")")
    shown = _comment(name, cid, 0 if uri is not None else len(urls))
    return head, f"{shown}{laid_out(call, prefix='dataset = ')}\n", _SHOW


def _comment(name: str, cid: str | None, count: int) -> str:
    lines = [one_line(name)]
    lines += [f"record {one_line(cid)}"] if cid is not None else []
    lines += [f"the first {MAX_URLS} of {count} shards"] if count > MAX_URLS else []
    return "".join(f"# {line}\n" for line in lines)


def _urls(urls: Sequence[str]) -> str | Group:
    """As a pattern where the names are numbered without a gap, else as a list (braces in it are just characters)."""
    pattern = _pattern(urls)
    if pattern is not None:
        return literal(pattern)
    return Group("[", tuple(literal(url) for url in urls[:MAX_URLS]), "]")


def _pattern(urls: Sequence[str]) -> str | None:
    parts = [_NUMBERED.fullmatch(url) for url in urls]
    if len(urls) < 2 or any(part is None or re.search(r"[{},]", part[0]) for part in parts):
        return None
    first, last = parts[0]["number"], parts[-1]["number"]  # type: ignore[index]
    numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(first) + len(urls))]
    head, tail = parts[0]["head"], parts[0]["tail"]  # type: ignore[index]
    fits = len(last) == len(first) and list(urls) == [f"{head}{number}{tail}" for number in numbers]
    return f"{head}{{{first}..{last}}}{tail}" if fits else None


def _plain_url(url: str) -> str:
    """The URL with everything escaped that isn't plain: older WebDatasets put it into a shell command."""
    return quote(url, safe=_URL_CHARACTERS, errors="replace")
