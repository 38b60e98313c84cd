"""Related datasets: those that share what few others have stand first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.records import DATASET
from catalog.store import Store
from catalog.store.graph import Graph
from tests import sitecatalog
from tests.sitecatalog import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOWHERE = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/science.alt.dataset.schema/Gone:1.0.0"
"""A schema that isn't there: only tags are left to tell."""


def related(path: Path, tags: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """By name the names of the related ones, of datasets of these tags and no schema, all of one day."""
    extra = [
        (DATASET, f"3kbbbbbbbbb{chr(97 + number)}a",
         dataset(1, name=name, tags=list(own), schemaRef=NOWHERE))
        for number, (name, own) in enumerate(tags.items())
    ]  # fmt: skip
    sitecatalog.fill(path, datasets=1, extra=extra)
    with Store.open(path) as store:
        graph = Graph.from_store(store)
    return {
        node.record.name: [other.record.name for other in node.related]
        for node in graph.datasets
        if node.record.name in tags
    }


def test_a_rare_tag_counts_for_more_than_ones_that_many_have(tmp_path: Path) -> None:
    """Two that alone have "cochlea" are nearer than any that share "images" and "open"; ties go by address."""
    many = {f"many {number}": ["images", "open"] for number in range(5)}
    found = related(tmp_path / "one.sqlite", {
        "a": ["images", "open", "cochlea"], **many, "b": ["cochlea"], "c": ["else"],
    })  # fmt: skip
    assert found["a"] == ["b", *many]
    assert found["b"] == ["a"]
    assert found["c"] == []


def test_a_tag_that_all_have_is_still_one_that_is_shared(tmp_path: Path) -> None:
    """Nothing else being known of them; and the order is the same each time."""
    tags = {f"n{number}": ["audio"] for number in range(4)}
    found = related(tmp_path / "one.sqlite", tags)
    assert set(tags) - {"n0"} <= set(found["n0"])
    assert related(tmp_path / "two.sqlite", tags) == found
