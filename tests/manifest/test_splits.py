"""Splits: from the patterns of a manifest, or the names of shards, to the indices in a record."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from catalog.errors import InvalidManifest
from catalog.manifest import load
from catalog.manifest.splits import infer_splits
from catalog.records import DATASET, Split, read_record, write_record
from catalog.syntax import Datetime, Did, Tid

if TYPE_CHECKING:
    from pathlib import Path

    from catalog.atproto.datamodel import Json
    from catalog.records import Dataset

MANIFEST = """\
schemas:
  - {name: A, version: 1.0.0, fields: {x: int}}
datasets:
  - name: digits
    schema: A@1.0.0
    shards:
      - url: https://data.example.org/digits-train-{0..2}.tar
      - url: https://data.example.org/test/digits.tar?download=1
"""
DID = Did.parse("did:plc:" + "b" * 24)


def record_of(folder: Path, splits: str) -> tuple[Dataset, dict[str, Json]]:
    """The dataset of the manifest with these splits: the typed record, and its JSON."""
    (folder / "m.yaml").write_text(MANIFEST + splits, encoding="utf-8")
    ticks = count()
    moment = Datetime.parse("2026-01-02T03:04:05.000Z")
    drafts = load([folder / "m.yaml"]).records(DID, created_at=moment, new_tid=lambda: Tid.at(next(ticks), 0))
    (draft,) = [one for one in drafts if one.collection == DATASET]
    return draft.record, draft.value  # type: ignore[return-value]


def test_patterns_become_indices(tmp_path: Path) -> None:
    splits = """\
    splits:
      train: "digits-train-*"
      test: {shards: "*/test/*", samples: 10}
      small: [digits-train-0.tar, digits.tar]
"""
    record, value = record_of(tmp_path, splits)
    assert record.splits == (
        Split(name="train", shards=(0, 1, 2)),
        Split(name="test", shards=(3,), samples=10),
        Split(name="small", shards=(0, 3)),
    )
    assert value["splits"] == [
        {"name": "train", "shards": [0, 1, 2]},
        {"name": "test", "shards": [3], "samples": 10},
        {"name": "small", "shards": [0, 3]},
    ]
    assert read_record(DATASET, value) == record
    assert write_record(record) == value


def test_a_record_without_splits_is_as_before(tmp_path: Path) -> None:
    assert "splits" not in record_of(tmp_path, "")[1]


@pytest.mark.parametrize(
    ("splits", "line", "word"),
    [
        ("    splits: {train: nothing-*}\n", 9, "no shard matches"),
        ("    splits: [train]\n", 9, "must be a map"),
        ("    splits:\n      train: 5\n", 10, "must be text"),
        ("    splits:\n      train: []\n", 10, "needs a pattern"),
        ("    splits:\n      train: {samples: 5}\n", 10, "'shards'"),
        ("    splits:\n      train: {shards: '*', sample: 5}\n", 10, "sample"),
        ('    splits:\n      " train": "*"\n', 10, "no name"),
    ],
)
def test_mistakes_have_their_line(tmp_path: Path, splits: str, line: int, word: str) -> None:
    with pytest.raises(InvalidManifest, match=word) as caught:
        record_of(tmp_path, splits)
    assert [fault.where.rpartition(":")[2] for fault in caught.value.faults] == [str(line)]


@pytest.mark.parametrize(
    "splits", ["train", ["train"], [{"name": "train"}], {"train": [0]}, [{"name": 1, "shards": []}]]
)
def test_splits_of_another_form_are_somebody_elses(tmp_path: Path, splits: Json) -> None:
    record, value = record_of(tmp_path, "")
    assert read_record(DATASET, {**value, "splits": splits}) == record


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["d-train-0.tar", "d-train-1.tar", "d-test-0.tar"], {"train": ["*-train-*"], "test": ["*-test-*"]}),
        (["val/0.tar", "train/0.tar"], {"train": ["*/train/*"], "validation": ["*/val/*"]}),
        (["training-0.tar", "eval-0.tar"], {"train": ["*/training-*"], "test": ["*/eval-*"]}),
        (["train0.tar", "dev0.tar"], {"train": ["*/train0*"], "validation": ["*/dev0*"]}),
        (["d-train-0.tar", "d-0.tar"], {}),
        (["trainee-0.tar", "testament-0.tar"], {}),
        (["train-test-0.tar"], {}),
        (["train-0.tar", "a-training-[1].tar"], {"train": ["https://x.example/train-0.tar", "https://x.example/a-training-[[]1].tar"]}),
    ],
)  # fmt: skip
def test_splits_by_the_names_of_shards(names: list[str], expected: dict[str, list[str]]) -> None:
    assert infer_splits([f"https://x.example/{name}" for name in names]) == expected
