"""What an author begins with: a first manifest, and the JSON Schema by which an editor helps to write the others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from catalog.config import resources

__all__ = ["first_manifest", "manifest_schema"]

_SCHEMA: Final = Path(__file__).with_name("manifest.schema.json")


def first_manifest() -> str:
    """A commented manifest that is valid as it stands; its first line names ``manifest.schema.json`` beside it.

    Raises :class:`~catalog.errors.BuildError` when the installation lacks it.
    """
    return (resources.templates() / "init" / "manifest.yaml").read_text(encoding="utf-8")


def manifest_schema() -> str:
    """The JSON Schema (draft-07) of manifests, as text.

    Whatever :func:`catalog.manifest.load` takes is valid in it. It knows keys, kinds of values and limits; names that
    lead nowhere, things that stand twice and the like only ``load`` finds.
    """
    return _SCHEMA.read_text(encoding="utf-8")
