"""Task, modality, language and format of a dataset, by hand-written examples."""

from __future__ import annotations

import pytest

from catalog.records import DATASET, SCHEMA, Dataset, Schema, read_record
from catalog.store.facet_values import derived_facets
from tests.sitecatalog import dataset

NONE = {"task": (), "modality": (), "language": (), "format": ("msgpack",)}


def _record(**extra: object) -> Dataset:
    record = read_record(DATASET, dataset(1, **{"tags": [], **extra}))  # type: ignore[arg-type]
    assert isinstance(record, Dataset)
    return record


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("image-classification", {"task": ("image classification",)}),
        ("Image Classification", {"task": ("image classification",)}),
        ("ml.task.text-summarization", {"task": ("text summarization",)}),
        ("task_categories:summarization", {"task": ("text summarization",)}),
        ("task_ids:named-entity-recognition", {"task": ("token classification",)}),
        ("task:protein folding", {"task": ("protein folding",)}),
        ("protein folding", {}),
        ("content.data-type.image", {"modality": ("image",)}),
        ("modality:timeseries", {"modality": ("time series",)}),
        ("point-cloud", {"modality": ("3d",)}),
        ("content.language.pt", {"language": ("Portuguese",)}),
        ("language:pt-BR", {"language": ("Portuguese",)}),
        ("lang:deu", {}),
        ("swahili", {"language": ("Swahili",)}),
        ("sw", {}),
        ("en", {}),
        ("deep.sea", {}),
        ("language:", {}),
    ],
)
def test_a_tag_gives_the_values_that_the_table_has(tag: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert derived_facets(_record(tags=[tag]), None) == {**NONE, **expected}


def test_values_come_from_metadata_and_fields_and_each_is_listed_once() -> None:
    record = _record(tags=["image", "language:en", "language:de"], sampleFormat="parquet")
    schema = read_record(
        SCHEMA,
        {
            "$type": SCHEMA, "name": "Page", "version": "1.0.0", "schemaType": "jsonSchema",
            "createdAt": "2026-11-02T12:00:00.000Z",
            "schema": {
                "$type": f"{SCHEMA}#jsonSchemaFormat", "draft": "draft-07",
                "content": {"type": "object", "properties": {
                    "scan": {"type": "string", "format": "byte", "contentMediaType": "image/jpeg"},
                    "waveform": {"type": "array", "items": {"type": "number"}},
                }},
            },
        },
    )  # fmt: skip
    assert isinstance(schema, Schema)
    found = derived_facets(record, schema.sample_type)
    assert found["language"] == ("English", "German")
    assert sorted(found["modality"]) == ["audio", "image"]
    assert found["format"] == ("parquet",)
