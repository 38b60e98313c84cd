"""Parse YAML to values that know their lines.

PyYAML only parses the syntax. Its composer recurses (a deep document ends the process with libyaml), keeps the last of
two equal keys, and expands aliases without a limit.

- A key is its text as written: ``true:`` and ``1:`` are the keys ``true`` and ``1``. An entry of a map has the line of
  its key.
- Merge keys (``<<``) are refused; anchors and aliases are allowed. Their expansion is limited by the size of the file,
  so that reading takes time in proportion to it.
- libyaml compares each %TAG directive with all others, so their number is limited first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from catalog.manifest.diagnostics import Report, shown
from catalog.manifest.scalars import Scalar, plain_value, tagged_value

MAX_BYTES: Final = 5_000_000
MAX_NODES: Final = 500_000
"""Limit of values in one document, aliases expanded. For a small file it is lower: two for each byte."""
MAX_DEPTH: Final = 64
_FEW_NODES: Final = 50_000
"""Values that any document may have."""
_MAX_TEXT: Final = 4
"""Limit of characters of all scalars, aliases expanded, for each byte of the file."""
_SOME_TEXT: Final = 1_000_000
"""Characters that any document may have."""
_MAX_DIRECTIVES: Final = 16
_LONGEST_PATH: Final = 300
"""Maximum characters of a path with a line of its own; longer ones have the line of their parent."""

_PREFIX: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = {_PREFIX + kind: kind for kind in ("null", "bool", "int", "float", "binary")}
_TEXT_TAGS: Final = ("!", f"{_PREFIX}str")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value and its line (from 1).

    ``text`` is a scalar as written, ``plain`` if it has neither quotes nor a tag. ``weight`` is the number of values,
    ``size`` the characters of all scalars.
    """

    line: int
    value: Scalar | dict[str, Node] | list[Node]
    text: str = ""
    weight: int = 1
    size: int = 0
    height: int = 1
    plain: bool = False


class _Frame:
    """An open map or list."""

    def __init__(self, *, line: int, anchor: str | None, is_map: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.map: dict[str, Node] | None = {} if is_map else None
        self.list: list[Node] = []
        self.key: Node | None = None
        self.weight = 1
        self.size = 0
        self.height = 1

    def take(self, node: Node, report: Report) -> None:
        self.weight += node.weight
        self.size += node.size
        self.height = max(self.height, node.height + 1)
        if self.map is None:
            self.list.append(node)
        elif self.key is None:
            if isinstance(node.value, dict | list):
                raise report.stop(node.line, "a key must be plain text", "is a colon or a quote missing?")
            self.key = node
        else:
            self._put(self.map, self.key, node, report)
            self.key = None

    @staticmethod
    def _put(entries: dict[str, Node], key: Node, node: Node, report: Report) -> None:
        if key.plain and key.text == "<<":
            report.add(key.line, "merge keys (<<) are not supported", "write the keys out")
        elif key.text in entries:
            first = entries[key.text].line
            report.add(key.line, f"duplicate key {shown(key.text)!r}", f"first on line {first}")
        else:
            entries[key.text] = replace(node, line=key.line)

    def close(self) -> Node:
        value = self.list if self.map is None else self.map
        return Node(line=self.line, value=value, weight=self.weight, size=self.size, height=self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """Limits of a document, aliases expanded."""

    nodes: int
    text: int

    @classmethod
    def of(cls, length: int) -> _Limits:
        """Return the limits for a file of so many bytes; no file without aliases reaches them."""
        nodes = min(MAX_NODES, max(_FEW_NODES, 2 * length))
        return cls(nodes=nodes, text=max(_SOME_TEXT, _MAX_TEXT * length))

    def check(self, frame: _Frame, line: int, report: Report) -> None:
        if frame.weight > self.nodes:
            raise report.stop(line, f"more than {self.nodes:,} values", "use a brace pattern, and few aliases")
        if frame.size > self.text:
            raise report.stop(line, f"more than {self.text:,} characters of text", "use few aliases of long texts")


def compose(raw: bytes, report: Report) -> Node:
    """Return the one document of a file.

    Duplicate keys go to ``report`` (the first one counts). Raises :class:`InvalidManifest` for an unreadable file: not
    UTF-8, not YAML, empty, several documents, too large, too deep, or with tags beyond YAML's core schema.
    """
    if len(raw) > MAX_BYTES:
        raise report.stop(1, f"the file has {len(raw):,} bytes; the most is {MAX_BYTES:,}", "use a brace pattern")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise report.stop(line, "not UTF-8 text", "save the file as UTF-8") from None
    if text.startswith("%TAG") + text.count("\n%TAG") > _MAX_DIRECTIVES:
        line = text.count("\n", 0, text.index("%TAG")) + 1
        raise report.stop(line, f"more than {_MAX_DIRECTIVES} %TAG directives", "manifests need none")
    try:
        root = _compose(_events(text), report, _Limits.of(len(raw)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = "not YAML: a character that may not stand in YAML"
        raise report.stop(line, what, "remove control characters") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        parts = (getattr(error, "context", None), getattr(error, "problem", None))
        problem = shown(", ".join(part for part in parts if part) or "can't be parsed", 200)
        hint = "indent with spaces, not tabs" if "\\t" in problem or "tab" in problem else None
        raise report.stop(mark.line + 1 if mark else 1, f"not YAML: {problem}", hint) from None
    except (ValueError, OverflowError):  # \U escapes beyond Unicode, in PyYAML's scanner
        raise report.stop(1, "not YAML: an escape that means no character") from None
    if root is None:
        raise report.stop(1, "the file is empty", "start with schemas:, datasets: or lenses:")
    return root


def _events(text: str) -> Iterator[Any]:
    return iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _compose(events: Iterator[Any], report: Report, limits: _Limits) -> Node | None:
    anchors: dict[str, Node] = {}
    stack: list[_Frame] = []
    root: Node | None = None
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise report.stop(line, "several documents in one file", "remove the --- line or use two files")
        node = _finished(event, line, report, stack, anchors)
        if node is None:
            continue
        if len(stack) + node.height > MAX_DEPTH:
            raise _too_deep(line, report)
        if not stack:
            root = node
            continue
        stack[-1].take(node, report)
        limits.check(stack[-1], line, report)
    return None if root is None or root.value is None else root


def _finished(
    event: yaml.Event, line: int, report: Report, stack: list[_Frame], anchors: dict[str, Node]
) -> Node | None:
    """Return the value that this event completes, if any; push an opened map or list on the stack."""
    match event:
        case yaml.CollectionStartEvent():
            stack.append(_open(event, line, report, depth=len(stack)))
            return None
        case yaml.ScalarEvent():
            node, anchor = _scalar(event, line, report), event.anchor
        case yaml.AliasEvent():
            return _alias(event, line, report, anchors)
        case yaml.CollectionEndEvent():
            frame = stack.pop()
            node, anchor = frame.close(), frame.anchor
        case _:
            return None
    if anchor is not None:
        anchors[anchor] = node
    return node


def _open(event: yaml.CollectionStartEvent, line: int, report: Report, *, depth: int) -> _Frame:
    is_map = isinstance(event, yaml.MappingStartEvent)
    if event.tag not in (None, "!", _PREFIX + ("map" if is_map else "seq")):
        raise _unknown_tag(event.tag, line, report)
    if depth >= MAX_DEPTH:
        raise _too_deep(line, report)
    return _Frame(line=line, anchor=event.anchor, is_map=is_map)


def _too_deep(line: int, report: Report) -> Exception:
    return report.stop(line, f"nested deeper than {MAX_DEPTH} levels")


def _unknown_tag(tag: str, line: int, report: Report) -> Exception:
    short = tag.replace(_PREFIX, "!!")
    return report.stop(line, f"the tag {shown(short)} is not allowed", "use plain text, numbers, lists and maps")


def _alias(event: yaml.AliasEvent, line: int, report: Report, anchors: dict[str, Node]) -> Node:
    anchor = event.anchor or ""
    node = anchors.get(anchor)
    if node is None:  # also an alias inside its own anchor, which is complete only at its end
        raise report.stop(line, f"no finished value has the anchor &{shown(anchor)}")
    return replace(node, line=line)


def _scalar(event: yaml.ScalarEvent, line: int, report: Report) -> Node:
    text: str = event.value
    try:
        text.encode()
    except UnicodeEncodeError:
        raise report.stop(line, "a lone surrogate (\\ud800 to \\udfff) is not text") from None
    if event.tag is None and event.implicit[0]:
        return Node(line=line, value=plain_value(text), text=text, size=len(text), plain=True)
    if event.tag is None or event.tag in _TEXT_TAGS:
        return Node(line=line, value=text, text=text, size=len(text))
    kind = _SCALAR_TAGS.get(event.tag)
    if kind is None:
        raise _unknown_tag(event.tag, line, report)
    try:
        value = tagged_value(text, kind)
    except ValueError:
        raise report.stop(line, f"{shown(text)!r} is not of the kind {kind}", "put text in quotes") from None
    return Node(line=line, value=value, text=text, size=len(text))


def lines_of(node: Node) -> dict[str, int]:
    """Return the line of every value under a node, by path: ``tags[2]``, ``getter.commit``; long paths are omitted."""
    lines: dict[str, int] = {}
    todo: list[tuple[str, Node]] = [("", node)]
    while todo:
        path, at = todo.pop()
        lines[path] = at.line
        if isinstance(at.value, dict):
            todo.extend(
                (f"{path}.{key}" if path else key, item)
                for key, item in at.value.items()
                if len(path) + len(key) <= _LONGEST_PATH
            )
        elif isinstance(at.value, list):
            todo.extend((f"{path}[{index}]", item) for index, item in enumerate(at.value))
    return lines
