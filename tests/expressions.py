"""The expressions of GitHub's workflows, as far as ours use them; anything else is an error, not a guess."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["evaluated", "filled", "has_status"]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>&&|\|\||==|!=|!|\(|\)|,)|(?P<name>[A-Za-z_][\w.-]*)|(?P<number>\d+))"
)
_PART: Final = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_STATUS: Final = ("success", "failure", "cancelled", "always")
_WORDS: Final = {"true": True, "false": False, "null": None}


def filled(text: object, contexts: Mapping[str, Any], calls: Mapping[str, Callable[..., object]]) -> Any:  # noqa: ANN401
    """A value of a workflow with its expressions replaced; one that is nothing but an expression keeps its type."""
    if not isinstance(text, str):
        return text
    whole = _PART.fullmatch(text.strip())
    if whole is not None and text.count("${{") == 1:
        return evaluated(whole[1], contexts, calls)
    return _PART.sub(lambda part: _as_text(evaluated(part[1], contexts, calls)), text)


def has_status(text: str) -> bool:
    """Return whether a condition reads the job's status; others hold only after success."""
    return any(re.search(rf"\b{name}\(", text) for name in _STATUS)


def evaluated(text: str, contexts: Mapping[str, Any], calls: Mapping[str, Callable[..., object]]) -> Any:  # noqa: ANN401
    """Evaluate an expression."""
    parser = _Parser(text, contexts, calls)
    value = parser.either()
    assert not parser.tokens, f"left over in {text!r}: {parser.tokens}"
    return value


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Parser:
    def __init__(self, text: str, contexts: Mapping[str, Any], calls: Mapping[str, Callable[..., object]]) -> None:
        self.contexts, self.calls = contexts, calls
        self.tokens: list[tuple[str, str]] = []
        place, text = 0, text.strip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            assert match is not None, f"not understood: {text[place:]!r}"
            assert match.lastgroup is not None
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()

    def either(self) -> Any:  # noqa: ANN401
        value = self.both()
        while self.took("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:  # noqa: ANN401
        value = self.compared()
        while self.took("&&"):
            other = self.compared()
            value = value and other
        return value

    def compared(self) -> Any:  # noqa: ANN401
        value = self.one()
        for sign, equal in (("==", True), ("!=", False)):
            if self.took(sign):
                return (_as_text(value).lower() == _as_text(self.one()).lower()) is equal
        return value

    def one(self) -> Any:  # noqa: ANN401
        if self.took("!"):
            return not self.one()
        if self.took("("):
            value = self.either()
            assert self.took(")")
            return value
        kind, text = self.tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        assert kind == "name", text
        return self.called(text) if self.took("(") else self.looked_up(text)

    def called(self, name: str) -> object:
        arguments = []
        while not self.took(")"):
            arguments.append(self.either())
            self.took(",")
        return self.calls[name](*arguments)

    def looked_up(self, path: str) -> Any:  # noqa: ANN401
        if path in _WORDS:
            return _WORDS[path]
        first, *rest = path.split(".")
        value: Any = self.contexts[first]
        for name in rest:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def took(self, sign: str) -> bool:
        if self.tokens and self.tokens[0] == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False
