"""Queries of the lexicon language: what may be asked, with which parameters, and what an answer is like.

::

    ?q=tide&tags=a&tags=b&limit=10 ──read──▶ {"q": "tide", "tags": ["a", "b"], "limit": 10}     or faults

Parameters come as text. Which of it is a number, a list, or too long, the lexicon says. Names that it doesn't know are
passed over, as everywhere in the protocol; a name that may stand once and stands twice is a fault.

Specification: https://atproto.com/specs/xrpc#lexicon-http-endpoints
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catalog.atproto.lexicon.definitions import Array, Boolean, Integer
from catalog.atproto.lexicon.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.atproto.lexicon.report import Definition
    from catalog.errors import Fault

__all__ = ["Parameter", "Query", "Value"]

Value: TypeAlias = "str | int | bool | list[str | int | bool]"
"""What a parameter may be."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. ``default`` is what it is when it isn't given; None where it then just isn't there."""

    kind: Definition
    required: bool = False
    default: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question that a service answers. As a definition it checks answers."""

    nsid: str
    description: str
    parameters: Mapping[str, Parameter]
    output: Definition
    errors: tuple[str, ...] = ()
    """The names of the errors that it may answer with, beside those that any query may."""

    def check(self, value: object, where: str, report: Report, depth: int) -> None:
        """Note what is wrong with an answer."""
        self.output.check(value, where, report, depth)

    def read(self, given: Iterable[tuple[str, str]]) -> tuple[dict[str, Any], tuple[Fault, ...]]:
        """The parameters by name, each a :data:`Value`, with defaults; and all that is wrong with them."""
        texts: dict[str, list[str]] = {}
        for name, text in given:
            texts.setdefault(name, []).append(text)
        found: dict[str, Any] = {}
        report = Report(definitions={})
        for name, parameter in self.parameters.items():
            if name in texts:
                value = _value(parameter.kind, texts[name], name, report)
                if value is not None:
                    parameter.kind.check(value, name, report, 1)
                    found[name] = value
            elif parameter.required:
                report.add(name, "required, but missing")
            elif parameter.default is not None:
                found[name] = parameter.default
        return found, tuple(report.faults)


def _value(kind: Definition, texts: list[str], where: str, report: Report) -> Value | None:
    """The value that the texts stand for; None, with a fault noted, where they stand for none."""
    if isinstance(kind, Array):
        # One more than there may be is enough to be told so.
        most = len(texts) if kind.max_length is None else kind.max_length + 1
        items = [_single(kind.items, text, f"{where}[{at}]", report) for at, text in enumerate(texts[:most])]
        return [item for item in items if item is not None]
    if len(texts) > 1:
        report.add(where, "given more than once")
        return None
    return _single(kind, texts[0], where, report)


def _single(kind: Definition, text: str, where: str, report: Report) -> str | int | bool | None:
    if isinstance(kind, Integer):
        if _WHOLE.fullmatch(text) is None:
            report.expected(where, "an integer", text)
            return None
        return int(text)
    if isinstance(kind, Boolean):
        if text not in ("true", "false"):
            report.expected(where, "true or false", text)
            return None
        return text == "true"
    return text
