"""Source with brackets, on one line when it fits, else one part a line: as each language's formatter does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["PRETTIER", "RUFF", "RUSTFMT", "WIDTH", "Group", "Source", "Style", "flat", "laid_out"]

WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class Style:
    """Columns of a line, and what a level is indented by."""

    width: int
    step: str


RUFF: Final = Style(WIDTH, "    ")
PRETTIER: Final = Style(80, "  ")
RUSTFMT: Final = Style(100, "    ")


@dataclass(frozen=True, slots=True)
class Group:
    """Source with brackets that may be laid out on several lines: ``open``, parts, ``close``.

    ``fill``: its parts share lines, as Prettier lays out lists of numbers.
    """

    open: str
    parts: tuple[Source, ...]
    close: str
    fill: bool = False

    @property
    def is_subscript(self) -> bool:
        """Of one part: a trailing comma would make it a tuple."""
        return self.open.endswith("[") and len(self.parts) == 1 and not self.fill


Source: TypeAlias = str | Group


def laid_out(source: Source, *, prefix: str = "", suffix: str = "", indent: str = "", style: Style = RUFF) -> str:
    """Source between ``prefix`` and ``suffix``: on one line when it fits, else one part a line."""
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
    """Source on one line."""
    if isinstance(source, str):
        return source
    single = "," if source.open.endswith("=(") and len(source.parts) == 1 else ""
    return f"{source.open}{', '.join(map(flat, source.parts))}{single}{source.close}"
