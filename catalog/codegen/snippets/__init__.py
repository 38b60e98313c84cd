"""Snippets: whole programs that load a dataset and show its first samples, for the page of the dataset.

==================  =======================================================================  ====================
Python              this library, in a few lines                                             every kind of storage
Typed Python        this library, with the class of the samples                              every kind of storage
WebDataset          plain WebDataset, msgpack and numpy: nothing of this project             web addresses
PyTorch             a ``DataLoader`` over this library's dataset                             every kind of storage
Ray Data            for more than one machine; nothing of this project                       web addresses
Hugging Face        ``datasets`` in streaming mode; nothing of this project                  web addresses
TypeScript          Node, ``@msgpack/msgpack`` and ``tar-stream``                            web addresses
==================  =======================================================================  ====================

Tricky bits
-----------
- Names, addresses and descriptions are somebody else's. They stand in literals and one-line comments only.
- ``ray.data.read_webdataset`` and ``load_dataset("webdataset")`` exist, and are not used: both read http addresses only
  where ``aiohttp`` is installed too, which neither requires, and decode members by their names' endings.
- A program is made of parts that are mostly the same from dataset to dataset: a page colours each of them once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catalog.codegen.snippets import ours, plain, typescript
from catalog.codegen.snippets.snippet import MAX_URLS, Snippet, about, plain_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.schema import SampleType

__all__ = ["INSTALL", "MAX_URLS", "Snippet", "labels", "load_snippets", "plain_urls", "shortest_snippet"]

INSTALL = ours.INSTALL

MAX_FIELDS: Final = 300
"""Fields of a type that is written out. Six programs with 10,000 each: a page of 12 MB, five seconds of a build."""


def load_snippets(
    name: str,
    uri: str | None,
    sample_type: SampleType | None,
    urls: Sequence[str],
    *,
    local: Sequence[str] = (),
    cid: str | None = None,
) -> tuple[Snippet, ...]:
    """How to load the dataset ``name``, most convenient first.

    ``uri`` is that of its record, None for a draft: then this library opens ``local``, paths of copies as seen from
    where the program runs, or else ``urls``. Without a ``sample_type``, and with one of more than ``MAX_FIELDS``
    fields, none is written out: samples are dicts, or what the record's own schema makes. The snippets that need
    nothing of this project are for those ``urls`` that are web addresses. Every code parses, whatever the texts are.
    """
    if sample_type is not None and len(sample_type.fields) > MAX_FIELDS:
        sample_type = None
    first = shortest_snippet(name, uri, sample_type, urls, local=local, cid=cid)
    mine = ours.Source(name=name, uri=uri, urls=tuple(local) or tuple(urls), cid=cid)
    typed = () if sample_type is None else (ours.typed_python(mine, sample_type),)
    torch = ours.pytorch(mine, sample_type)
    web = plain_urls(urls)
    if not web:
        return (first, *typed, torch)
    lines, listed = about(name, cid, len(web)), web[:MAX_URLS]
    return (
        first,
        *typed,
        plain.webdataset(lines, listed, sample_type),
        torch,
        plain.ray_data(lines, listed, sample_type),
        plain.hugging_face(lines, listed, sample_type),
        typescript.typescript(lines, listed, sample_type),
    )


def labels(*, typed: bool, on_web: bool) -> tuple[str, ...]:
    """What :func:`load_snippets` calls them: with a sample type or without, for shards on the web or elsewhere."""
    more = ("Typed Python",) if typed else ()
    if not on_web:
        return ("Python", *more, "PyTorch")
    return ("Python", *more, "WebDataset", "PyTorch", "Ray Data", "Hugging Face", "TypeScript")


def shortest_snippet(
    name: str,
    uri: str | None,
    sample_type: SampleType | None,
    urls: Sequence[str],
    *,
    local: Sequence[str] = (),
    cid: str | None = None,
) -> Snippet:
    """The first of :func:`load_snippets` alone."""
    mine = ours.Source(name=name, uri=uri, urls=tuple(local) or tuple(urls), cid=cid)
    return ours.python(mine, sample_type)


def plain_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """Those of the addresses that are on the web, fit to stand between quotes in any language."""
    return tuple(plain_url(url) for url in urls if re.match(r"https?://", url))
