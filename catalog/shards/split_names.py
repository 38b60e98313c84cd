"""Names of splits in file names: ``train``, ``validation`` and ``test``, and the words for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

SPLITS: Final = ("train", "validation", "test")
_WORDS: Final = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "development": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[A-Za-z])(?=[0-9])")


def split_of_word(word: str) -> str | None:
    """Return the split that a word names: ``validation`` for ``val``; ``None`` if it names none."""
    return _WORDS.get(word.lower())


def _split_in_name(name: str) -> str | None:
    """Return the split named by a part of a file name: ``train`` for ``digits-train-000000.tar``.

    ``None`` without one, and for a name with parts of several splits.
    """
    found = {split for part in _SEPARATOR.split(name) if (split := split_of_word(part)) is not None}
    return found.pop() if len(found) == 1 else None


def in_split_order(names: Iterable[str]) -> list[str]:
    """Return names of splits, each once: train, validation, test, then the others as they come."""
    return sorted(dict.fromkeys(names), key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))


def split_in_path(path: str) -> str | None:
    """Return the split that a folder of a path names, else a part of its file name; ``None`` without one."""
    *folders, name = path.split("/")
    found = next((split for folder in folders if (split := split_of_word(folder)) is not None), None)
    return _split_in_name(name.rpartition(".")[0] or name) if found is None else found
