"""The table of splits on a dataset's page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from catalog.records import DATASET, SCHEMA
from catalog.site.pages.dataset import dataset_page
from catalog.site.settings import SiteSettings
from catalog.site.templates import Templates
from tests.exportgraphs import graph_of, shards
from tests.sitecatalog import dataset, schema

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json


def body(folder: Path, **extra: Json) -> str:
    urls: list[Json] = [{"url": f"https://d.example/{number}.tar"} for number in range(3)]
    storage = shards(*urls)
    records = [(SCHEMA, "Wave:1.1.0", schema()), (DATASET, "3kone", dataset(1, storage=storage, **extra))]
    graph = graph_of(folder, records)
    templates = Templates(graph, SiteSettings(name="Tides", url="https://tides.example/", base=folder))
    return dataset_page(templates, graph.datasets[0]).body


def test_a_page_lists_the_splits(tmp_path: Path) -> None:
    splits: Json = [{"name": "train", "shards": [0, 1, 7], "samples": 1200}, {"name": "<b>test", "shards": [2]}]
    (table,) = re.findall(
        r"<table class=\"cat-table cat-splits\">.*?</table>", body(tmp_path, splits=splits), re.DOTALL
    )
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]]
    plain = [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in rows]
    assert [row[1:] for row in plain] == [["2", "1,200"], ["1", "unknown"]]
    assert "train" in plain[0][0]
    assert "&lt;b&gt;test" in plain[1][0]


def test_a_page_without_splits_has_no_table_of_them(tmp_path: Path) -> None:
    assert "cat-splits" not in body(tmp_path)
