"""Starter manifest for authors, and the JSON Schema of manifests for their editors."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from catalog.config import resources

_SCHEMA: Final = Path(__file__).with_name("manifest.schema.json")


def first_manifest() -> str:
    """Return a commented, valid manifest; its first line names ``manifest.schema.json`` beside it.

    Raises :class:`~catalog.errors.BuildError` if the installation lacks it.
    """
    return (resources.templates() / "init" / "manifest.yaml").read_text(encoding="utf-8")


def manifest_schema() -> str:
    """Return the JSON Schema (draft-07) of manifests, as text.

    Every manifest that :func:`catalog.manifest.load` accepts is valid in it. It checks keys, kinds of values and
    limits; only ``load`` finds undeclared names, duplicates and the like.
    """
    return _SCHEMA.read_text(encoding="utf-8")
