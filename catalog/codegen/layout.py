"""Layout of bracketed source: on one line if it fits, else one part per line, as the language's formatter does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class Style:
    """The line width and the indentation of a formatter."""

    width: int
    step: str


RUFF: Final = Style(WIDTH, "    ")
PRETTIER: Final = Style(80, "  ")
RUSTFMT: Final = Style(100, "    ")


@dataclass(frozen=True, slots=True)
class Group:
    """Bracketed source that may span several lines: ``open``, parts, ``close``.

    With ``fill``, parts share lines, as Prettier lays out lists of numbers.
    """

    open: str
    parts: tuple[Source, ...]
    close: str
    fill: bool = False

    @property
    def is_subscript(self) -> bool:
        """True for a subscript with one part, where a trailing comma would make a tuple."""
        return self.open.endswith("[") and len(self.parts) == 1 and not self.fill


Source: TypeAlias = str | Group


def laid_out(source: Source, *, prefix: str = "", suffix: str = "", indent: str = "", style: Style = RUFF) -> str:
    """Return source between ``prefix`` and ``suffix``: on one line if it fits, else one part per line."""
    line = f"{indent}{prefix}{flat(source)}{suffix}"
    if isinstance(source, str) or len(line) <= style.width:
        return line
    deeper = indent + style.step
    if source.fill:
        inner = _filled([flat(part) + "," for part in source.parts], deeper, style)
    else:
        comma = "" if source.is_subscript else ","
        inner = [laid_out(part, suffix=comma, indent=deeper, style=style) for part in source.parts]
    return "\n".join((f"{indent}{prefix}{source.open}", *inner, f"{indent}{source.close}{suffix}"))


def _filled(words: list[str], indent: str, style: Style) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= style.width:
            lines[-1] += f" {word}"
        else:
            lines.append(indent + word)
    return lines


def flat(source: Source) -> str:
    """Return source on one line."""
    if isinstance(source, str):
        return source
    single = "," if source.open.endswith("=(") and len(source.parts) == 1 else ""
    return f"{source.open}{', '.join(map(flat, source.parts))}{single}{source.close}"
