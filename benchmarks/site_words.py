"""Generate words, sentences, fields and citations for synthetic datasets from real descriptions.

``tests/data/real-datasets.jsonl`` has over a hundred real datasets. Their sentences are recombined and some words
replaced, so that a hundred thousand descriptions are not a hundred repeated ones.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

__all__ = ["REAL", "Weighted", "Words", "coined", "words", "zipf"]

REAL: Final = Path(__file__).resolve().parents[1] / "tests" / "data" / "real-datasets.jsonl"

_SYLLABLES: Final = tuple(a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "or", "is"))
_DTYPES: Final = {"bool_": "bool", "str_": None}
_SHAPES: Final = ((28, 28, 1), (None, None, 3), (None,), (224, 224, 3), (16_000,), (12, 64), (None, 128))
_WORD: Final = re.compile(r"\b[a-z]{5,}\b")
_REPLACED: Final = 0.4
"""The share of the longer words that give way to others."""
T = TypeVar("T")


class Weighted(Generic[T]):
    """Things to draw from, some more often than others."""

    def __init__(self, things: Sequence[T], weights: Sequence[float]) -> None:
        self.things = list(things)
        self._sums = list(accumulate(weights))

    def draw(self, chance: Random) -> T:
        """One of them."""
        return chance.choices(self.things, cum_weights=self._sums)[0]


def zipf(things: Sequence[T], power: float = 1.0) -> Weighted[T]:
    """The first is drawn most, the n-th 1/n as often: so are words, tags and authors spread."""
    return Weighted(things, [1 / (place + 1) ** power for place in range(len(things))])


def coined(chance: Random, syllables: int = 3) -> str:
    """A word that no one has said before; few of them are alike."""
    return "".join(chance.choices(_SYLLABLES, k=syllables)).capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All there is to draw from. ``fields`` are whole lists of fields, ``files`` sizes of shards in bytes."""

    names: tuple[str, ...]
    sentences: tuple[str, ...]
    tags: Weighted[str]
    fields: tuple[tuple[tuple[str, dict[str, Any]], ...], ...]
    """Name and JSON Schema of each."""
    citations: tuple[str, ...]
    homepages: tuple[str, ...]
    sizes: tuple[int, ...]
    vocabulary: Weighted[str]
    """Words to put in the place of others: as many as so much text has."""

    def sentence(self, chance: Random) -> str:
        """A sentence, with other words in the place of some: seven hundred sentences alone have too few words."""
        return _WORD.sub(
            lambda match: self.vocabulary.draw(chance) if chance.random() < _REPLACED else match[0],
            chance.choice(self.sentences),
        )


def words(datasets: int, chance: Random) -> Words:
    """Return the records of a catalog of so many datasets: real ones if available, with a tail of rare tags."""
    found = _real(REAL.read_text(encoding="utf-8"))
    common = [tag for tag, _ in Counter(found.pop("tags")).most_common()]
    rare = sorted({coined(chance, 2).lower() for _ in range(min(3000, datasets // 50))} - set(common))
    spoken = Counter(word for sentence in found["sentences"] for word in _WORD.findall(sentence))
    # Heaps' law: the words of a text are about as many as twenty times the root of its length; here 80 words a dataset.
    new = sorted({coined(chance, 3).lower() for _ in range(round(20 * (80 * datasets) ** 0.5))} - set(spoken))
    chance.shuffle(new)
    return Words(
        tags=zipf([*common, *rare]),
        vocabulary=zipf([*(word for word, _ in spoken.most_common()), *new], 0.9),
        **{key: tuple(value) for key, value in found.items()},
    )


def _real(text: str) -> dict[str, list[Any]]:
    rows = [json.loads(line) for line in text.splitlines()]
    parts = {part for row in rows for part in re.split(r"[_\W]+", row["name"]) if len(part) > 2}
    return {
        "names": sorted(parts),
        "sentences": sorted({sentence for row in rows for sentence in _sentences(row["description"] or "")}),
        "tags": [tag.rpartition(".")[2] for row in rows for tag in row["tags"]],
        "fields": [tuple(map(_field, row["fields"])) for row in rows if row["fields"]],
        "citations": [row["citation"] for row in rows if row["citation"]],
        "homepages": [row["homepage"] for row in rows if row["homepage"]],
        "sizes": [file["bytes"] for row in rows for file in row["files"]],
    }


def _sentences(text: str) -> list[str]:
    parts = (" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n\s*\n", text))
    return [part for part in parts if 20 <= len(part) <= 400]


def _field(field: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A field's name and JSON Schema."""
    match field["kind"]:
        case "array":
            body: dict[str, Any] = {"$ref": "https://alt.science/schemas/atdata-ndarray-bytes/1.0.0#/$defs/ndarray"}
            dtype = _DTYPES.get(field.get("dtype", ""), field.get("dtype"))
            if dtype is not None:
                body["dtype"] = dtype
            if field.get("shape") is not None:
                body["shape"] = [None if length is None or length < 0 else length for length in field["shape"]]
        case "bytes":
            body = {"type": "string", "format": "byte", "contentEncoding": "base64"}
        case kind:
            body = {"type": {"text": "string", "int": "integer", "float": "number", "bool": "boolean"}[kind]}
    return field["name"], {"type": "array", "items": body} if field.get("list") else body
