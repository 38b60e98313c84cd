"""Render a plan: coloured lines for a terminal, Markdown for a pull request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from catalog.manifest.diagnostics import shown
from catalog.publish.plan import Action

if TYPE_CHECKING:
    from catalog.publish.diff import Difference
    from catalog.publish.plan import Change, Plan

_SIGNS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.LEAVE: " "}
_COLOURS: Final = {Action.CREATE: "green", Action.UPDATE: "yellow", Action.DELETE: "red", Action.LEAVE: "bright_black"}
_DONE: Final = {Action.CREATE: "created", Action.UPDATE: "updated", Action.DELETE: "deleted", Action.LEAVE: "unchanged"}
_TO_DO: Final = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.DELETE: "to delete",
    Action.LEAVE: "unchanged",
}
_VALUE: Final = 100
"""Characters of a value in a line."""
_MAX_FIELDS: Final = 40
"""Differences that are listed for one record; the others are counted."""
_WARNINGS: Final = 15
_COMMENT: Final = 60_000
"""Characters of a comment: GitHub takes 65,536."""


def summary(plan: Plan, *, done: bool = False) -> str:
    """Return the counts on one line: ``2 to create, 1 to update, 14 unchanged``, or what was done."""
    words = _DONE if done else _TO_DO
    counts = [(action, len(plan.of(action))) for action in Action]
    parts = [f"{count} {words[action]}" for action, count in counts if count]
    return ", ".join(parts) or "no records"


def as_lines(plan: Plan, style: Callable[[str, str], str] = lambda text, _colour: text) -> list[str]:
    """Return lines for a terminal: one per record, one per field, and a closing one. ``style`` colours a text."""
    lines = []
    for change in plan.writes:
        lines.append(style(_head(change), _COLOURS[change.action]))
        lines += [style(f"    {line}", colour) for line, colour in _fields(change)]
    lines += [style(f"! {shown(str(warning), 500)}", "yellow") for warning in plan.warnings]
    return [*lines, f"{plan.handle}: {summary(plan)}"]


def as_markdown(plan: Plan) -> str:
    """Return Markdown for a comment under a pull request, within GitHub's limit."""
    title = f"### Plan for {_code(plan.handle)}"
    if not plan.writes:
        return "\n".join([title, "", f"Nothing to do: {summary(plan)}.", *_markdown_warnings(plan)]) + "\n"
    lines: list[str] = []
    length = 0
    for number, change in enumerate(plan.writes):
        block = [_head(change), *(f"{line[0]}     {line[2:]}" for line, _ in _fields(change))]
        length += sum(len(line) + 1 for line in block)
        if length > _COMMENT:
            lines.append(f"  … and {len(plan.writes) - number} more records")
            break
        lines += block
    fence = _fence(lines)
    diff = [f"{fence}diff", *(_diff_line(line) for line in lines), fence]
    return "\n".join([title, "", f"**{summary(plan)}**", "", *diff, *_markdown_warnings(plan)]) + "\n"


def _head(change: Change) -> str:
    place = "" if change.draft is None else f"  {shown(str(change.draft.file), 200)}:{change.draft.line}"
    return f"{_SIGNS[change.action]} {change.name}{place}"


def _fields(change: Change) -> Iterator[tuple[str, str]]:
    """Yield a line and its colour for each difference; the name and version are in the heading."""
    in_heading = ("name", "version") if change.action is Action.CREATE else ()
    shown_fields = [one for one in change.differences if one.path not in in_heading]
    for one in shown_fields[:_MAX_FIELDS]:
        yield from _field(one)
    if len(shown_fields) > _MAX_FIELDS:
        yield f"  … and {len(shown_fields) - _MAX_FIELDS} more fields", "bright_black"


def _field(one: Difference) -> Iterator[tuple[str, str]]:
    path = shown(one.path, 200)
    before, after = one.before, one.after
    if isinstance(before, list) and isinstance(after, list) and all(isinstance(x, str) for x in (*before, *after)):
        for word in (word for word in before if word not in after):
            yield f"- {path}: {_value(word)}", "red"
        for word in (word for word in after if word not in before):
            yield f"+ {path}: {_value(word)}", "green"
        if set(before) == set(after):
            yield f"~ {path}: in another order", "yellow"
        return
    if before is None:
        yield f"+ {path}: {_value(after)}", "green"
    elif after is None:
        yield f"- {path}: {_value(before)}", "red"
    else:
        old, new = _cut(before, after)
        yield f"~ {path}: {old} → {new}", "yellow"


def _cut(before: object, after: object) -> tuple[str, str]:
    """Return two values; long ones from their first difference on."""
    old, new = _text(before), _text(after)
    if max(len(old), len(new)) <= _VALUE:
        return shown(old, _VALUE), shown(new, _VALUE)
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - 20)
    lead = "…" if start else ""
    return shown(lead + old[start:], _VALUE), shown(lead + new[start:], _VALUE)


def _value(value: object) -> str:
    return shown(_text(value), _VALUE)


def _text(value: object) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return " ".join(", ".join(value).split())
    return json.dumps(value, ensure_ascii=False, default=lambda item: f"{len(item)} bytes")


def _markdown_warnings(plan: Plan) -> list[str]:
    lines = [f"- ⚠️ {_code(shown(str(warning), 200))}" for warning in plan.warnings[:_WARNINGS]]
    more = [f"- and {len(plan.warnings) - _WARNINGS} more"] if len(plan.warnings) > _WARNINGS else []
    return ["", *lines, *more] if lines else []


def _diff_line(line: str) -> str:
    """Put the sign first, for GitHub's colours of a diff; updates have ``!``."""
    return "!" + line[1:] if line.startswith("~") else line


def _fence(lines: Sequence[str]) -> str:
    """Return a fence longer than any run of backticks inside the block."""
    return "`" * max(3, _longest(lines) + 1)


def _longest(lines: Sequence[str]) -> int:
    return max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)


def _code(text: str) -> str:
    fence = "`" * (_longest([text]) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
