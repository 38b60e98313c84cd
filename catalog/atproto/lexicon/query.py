"""Queries of the lexicon language: parameters and responses. https://atproto.com/specs/xrpc#lexicon-http-endpoints

Parameters are text; the lexicon defines their types and limits. Unknown names are ignored; a repeated name is a fault
unless its type is a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catalog.atproto.lexicon.definitions import Array, Boolean, Integer
from catalog.atproto.lexicon.report import Report

if TYPE_CHECKING:
    from catalog.atproto.lexicon.report import Definition
    from catalog.errors import Fault

Value: TypeAlias = "str | int | bool | list[str | int | bool]"
"""The value of a parameter."""
_WHOLE: Final = re.compile(r"-?[0-9]{1,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. ``default`` is its value if it isn't given; None for an absent one."""

    kind: Definition
    required: bool = False
    default: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query of a service. As a definition it checks answers."""

    nsid: str
    description: str
    parameters: Mapping[str, Parameter]
    output: Definition
    errors: tuple[str, ...] = ()
    """The names of the errors it may answer with, in addition to those of every query."""

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
    """Return the value of the texts; None, with a fault noted, if they are invalid."""
    if isinstance(kind, Array):
        # One item more than allowed is enough for the fault.
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
