"""Snippets: whole programs that load a dataset and show its first samples, for the page of the dataset.

==================  =======================================================================  ====================
Python              this library                                                             every kind of storage
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
from catalog.codegen.snippets.snippet import MAX_URLS, Snippet, comment, plain_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalog.sampletype import SampleType

__all__ = ["INSTALL", "MAX_URLS", "Snippet", "load_snippets"]

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
    opened = tuple(local) or tuple(urls)
    mine = ours.Source(name=name, uri=uri, urls=opened, cid=cid)
    web = [plain_url(url) for url in urls if re.match(r"https?://", url)]
    first, torch = ours.python(mine, sample_type), ours.pytorch(mine, sample_type)
    if not web:
        return (first, torch)
    listed = tuple(web[:MAX_URLS])
    about = comment(name, cid, len(web))
    return (
        first,
        plain.webdataset(about, listed, sample_type),
        torch,
        plain.ray_data(about, listed, sample_type),
        plain.hugging_face(about, listed, sample_type),
        typescript.typescript(comment(name, cid, len(web), mark="//"), listed, sample_type),
    )
