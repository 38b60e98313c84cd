"""Snippets: complete programs that load a dataset and print its first samples, for the page of the dataset.

==================  =======================================================================  ====================
Python              this library, in a few lines                                             every kind of storage
Typed Python        this library, with the class of the samples                              every kind of storage
WebDataset          plain WebDataset, without this library; of shards of the format          web URLs
                    ``webdataset`` the fields that it decodes as the schema says
PyTorch             a ``DataLoader`` over this library's dataset                             every kind of storage
Ray Data            for a cluster, without this library                                      web URLs
Hugging Face        ``datasets`` in streaming mode, without this library                     web URLs
TypeScript          Node, ``@msgpack/msgpack`` and ``tar-stream``                            web URLs
pandas, Polars,     tables (Parquet, CSV, JSON Lines), without this library                  web URLs
DuckDB
Hugging Face, Ray   Parquet, without this library                                            web URLs
==================  =======================================================================  ====================

- Names, URLs and descriptions are untrusted. They appear only in literals and one-line comments.
- ``ray.data.read_webdataset`` and ``load_dataset("webdataset")`` are not used: both read HTTP URLs only if
  ``aiohttp`` is installed, which neither requires, and decode members by their file suffix.
- Programs without this library depend on the format of the shards: those for msgpack can't read a table.
- A program consists of parts that are mostly shared between datasets, so that a part is highlighted only once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from catalog.codegen.snippets import library, plain, typescript
from catalog.codegen.snippets.snippet import MAX_URLS, Snippet, about, plain_url
from catalog.codegen.snippets.tables import TABLES, table_snippets

if TYPE_CHECKING:
    from catalog.schema import SampleType

__all__ = ["INSTALL", "MAX_URLS", "Snippet", "labels", "load_snippets", "plain_urls", "shortest_snippet"]

INSTALL = library.INSTALL

MAX_FIELDS: Final = 300
"""Maximum fields of a type in a snippet. Six programs with 10,000 fields: a 12 MB page, five seconds of a build."""


def load_snippets(
    name: str,
    uri: str | None,
    sample_type: SampleType | None,
    urls: Sequence[str],
    *,
    local: Sequence[str] = (),
    cid: str | None = None,
    sample_format: str = "msgpack",
) -> tuple[Snippet, ...]:
    """Return the snippets that load the dataset ``name``, most convenient first.

    ``uri`` is the URI of its record, None for a draft: then this library opens ``local``, paths of copies relative to
    the program, or else ``urls``. Without a ``sample_type``, or with unknown or more than ``MAX_FIELDS`` fields, the
    programs define no type: samples are dicts, or instances of the class from the record's schema. The snippets without
    this library use only the web URLs among ``urls``, and are chosen by the ``sample_format``. The code always parses.
    """
    if sample_type is not None and (sample_type.foreign is not None or len(sample_type.fields) > MAX_FIELDS):
        sample_type = None
    first = shortest_snippet(name, uri, sample_type, urls, local=local, cid=cid)
    mine = library.Source(name=name, uri=uri, urls=tuple(local) or tuple(urls), cid=cid)
    typed = () if sample_type is None else (library.typed_python(mine, sample_type),)
    torch = library.pytorch(mine, sample_type)
    web = plain_urls(urls)
    lines, listed = about(name, cid, len(web)), web[:MAX_URLS]
    if web and sample_format in TABLES:
        return (first, *typed, torch, *table_snippets(lines, listed, sample_type, sample_format))
    if web and sample_format == "webdataset":
        return (first, *typed, plain.webdataset_fields(lines, listed, sample_type), torch)
    if not web or sample_format != "msgpack":
        return (first, *typed, torch)
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
    """Return the labels of :func:`load_snippets`, with or without a sample type and web URLs."""
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
    """Return only the first of :func:`load_snippets`."""
    mine = library.Source(name=name, uri=uri, urls=tuple(local) or tuple(urls), cid=cid)
    return library.python(mine, sample_type)


def plain_urls(urls: Sequence[str]) -> tuple[str, ...]:
    """Return the web URLs among ``urls``, escaped for a string literal of any language."""
    return tuple(plain_url(url) for url in urls if re.match(r"https?://", url))
