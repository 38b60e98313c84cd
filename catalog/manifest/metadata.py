"""Metadata of a dataset: ``metadata`` (msgpack in the record) and ``content_metadata`` (atproto's JSON)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from catalog.atproto import datamodel
from catalog.manifest.diagnostics import Report, shown
from catalog.manifest.mapping import MAX_INT, kind_of
from catalog.manifest.scalars import doubt, is_exact

if TYPE_CHECKING:
    from catalog.atproto.datamodel import Json
    from catalog.manifest.yaml_parser import Node

MAX_METADATA = 100_000
"""Maximum bytes of msgpack, by the lexicon."""


def metadata_of(node: Node | None, report: Report) -> dict[str, object]:
    """Return the plain values of ``metadata``, including bytes and any float."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        report.add(node.line, f"'metadata' must be a map, not {kind_of(node)}")
        return {}
    before = len(report)
    found = {key: _plain(item, report) for key, item in node.value.items()}
    if len(report) > before:
        return {}
    size = len(msgpack.packb(found))
    if size > MAX_METADATA:
        hint = "keep what is long behind a URL"
        report.add(node.line, f"'metadata' has {size:,} bytes as msgpack; the most is {MAX_METADATA:,}", hint)
    return found


def _plain(node: Node, report: Report) -> object:
    value = node.value
    if isinstance(value, dict):
        return {key: _plain(item, report) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, report) for item in value]
    fits = is_exact(value, node.text) if isinstance(value, float) else True
    if not fits or (isinstance(value, int) and not -(2**63) <= value < 2**64):
        report.add(node.line, f"the number {shown(node.text)} doesn't fit in 64 bits", "put it in quotes")
    _doubtful(node, report)
    return value


def _doubtful(node: Node, report: Report) -> None:
    """Warn about an ambiguous scalar: metadata allows any kind of value, so no type check finds it."""
    if node.plain and not isinstance(node.value, dict | list):
        found = doubt(node.text, node.value)
        if found is not None:
            report.doubt(node.line, f"{shown(node.text)!r} {found[0]}", found[1])


def content_of(node: Node | None, report: Report) -> Json:
    """Return ``content_metadata`` in the data model, which has no floats."""
    if node is None:
        return None
    if not isinstance(node.value, dict):
        report.add(node.line, f"'content_metadata' must be a map, not {kind_of(node)}")
        return None
    return _json(node, report)


def _json(node: Node, report: Report) -> Json:  # noqa: PLR0911 - one a kind of value
    _doubtful(node, report)
    match node.value:
        case dict(entries):
            return {key: _json(item, report) for key, item in entries.items()}
        case list(items):
            return [_json(item, report) for item in items]
        case float():
            hint = "put it under 'metadata', or in quotes"
            report.add(node.line, f"records have no floats: {shown(node.text)}", hint)
            return None
        case bytes(raw):
            return datamodel.bytes_json(raw)
        case bool() | None as value:
            return value
        case int(number):
            if not -MAX_INT <= number <= MAX_INT:
                report.add(node.line, f"the number {shown(node.text)} is beyond ±(2⁵³ − 1)", "put it in quotes")
            return number
        case str(text):
            return text
