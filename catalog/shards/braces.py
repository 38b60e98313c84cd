r"""Brace expansion of shard names: ``a-{000..009}.tar``, ``{train,test}.tar``, nested and with steps, as in bash.

The library ``braceexpand`` expands. It has no limit, so the names are counted before they are made. A backslash is
an ordinary character (paths of Windows), and braces that are no pattern or have no partner stay as they are.

A URL has braces of its own, so a pattern is expanded only where one is expected: a single string passed to
``Dataset``, the deprecated ``storageExternal``, the arguments of ``catalog draft``, and manifests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from braceexpand import alphabet, braceexpand

from catalog.errors import RefusedUrl

MAX_NAMES: Final = 100_000
"""Names that one pattern expands to."""
_MAX_DEPTH: Final = 50
_MAX_DIGITS: Final = 18
_GROUP: Final = re.compile(r"\{([^{}]*)\}")
_NUMBERS: Final = re.compile(r"-?(\d+)\.\.-?(\d+)(?:\.\.-?(\d+))?$")
_LETTERS: Final = re.compile(r"([A-Za-z])\.\.([A-Za-z])(?:\.\.-?(\d+))?$")
_COUNTED: Final = re.compile(r"\0(\d+)\0")
_NUMBERED: Final = re.compile(r"(?P<head>.*?)(?P<number>[0-9]+)(?P<tail>[^0-9]*)", re.DOTALL)
_RANGE: Final = re.compile(r"(\{[0-9]{1,9}\.\.[0-9]{1,9}\})")


def expand(pattern: str) -> tuple[str, ...]:
    """Return the names that a pattern expands to; of several groups the last one counts fastest.

    Raises :class:`RefusedUrl` for more than ``MAX_NAMES``.
    """
    count = _count(pattern)
    if count is None:
        return (pattern,)
    if count > MAX_NAMES:
        shown = ascii(pattern if len(pattern) <= 200 else pattern[:199] + "…")[1:-1]
        raise RefusedUrl(f"the pattern expands to more than {MAX_NAMES} shards", where=shown)
    return tuple(braceexpand(pattern, escape=False))


def contract(names: Sequence[str]) -> str | None:
    """Return the pattern that expands to names numbered without gaps, ``None`` for other names and for a single one."""
    parts = [] if len(names) < 2 else [_NUMBERED.fullmatch(names[0]), _NUMBERED.fullmatch(names[-1])]
    if not all(parts) or any(re.search(r"[{},]", name) for name in names) or not parts:
        return None
    first, last = parts[0]["number"], parts[1]["number"]  # type: ignore[index] # none is None here
    head, tail = parts[0]["head"], parts[0]["tail"]  # type: ignore[index] # nor here
    numbers = (f"{number:0{len(first)}d}" for number in range(int(first), int(first) + len(names)))
    fits = len(last) == len(first) and list(names) == [f"{head}{number}{tail}" for number in numbers]
    return f"{head}{{{first}..{last}}}{tail}" if fits else None


def _count(pattern: str) -> float | None:
    """Return the number of names of a pattern without making them, ``None`` if its braces are unbalanced.

    From the inside out, each group is replaced by a token that refers to its count.
    """
    counts: list[float] = []

    def product(text: str) -> float:
        return math.prod(counts[int(token)] for token in _COUNTED.findall(text))

    def token(group: re.Match[str]) -> str:
        inner = group[1]
        if _NUMBERS.match(inner) or _LETTERS.match(inner):
            counts.append(_range_length(inner))
        else:
            counts.append(sum(map(product, inner.split(","))))
        return f"\0{len(counts) - 1}\0"

    rest, found = pattern.replace("\0", " "), 1
    for _ in range(_MAX_DEPTH):
        rest, found = _GROUP.subn(token, rest)
        if not found:
            return None if "{" in rest or "}" in rest else product(rest)
    return math.inf


def _range_length(text: str) -> float:
    letters = _LETTERS.match(text)
    if letters is not None:
        first, last, step = alphabet.index(letters[1]), alphabet.index(letters[2]), letters[3]
    else:
        numbers = text.split("..")
        if max(map(len, numbers)) > _MAX_DIGITS:
            return math.inf
        first, last, step = int(numbers[0]), int(numbers[1]), numbers[2] if len(numbers) > 2 else None
    return abs(last - first) // (abs(int(step or 1)) or 1) + 1


def count_ranges(text: str) -> int:
    """Return the number of names of a pattern in a manifest, where only ``{first..last}`` is one; 0 if it descends."""
    ends = (group[1:-1].split("..") for group in _RANGE.findall(text))
    return math.prod(max(0, int(last) - int(first) + 1) for first, last in ends)


def expand_ranges(text: str) -> list[str]:
    """Return the names of a pattern in a manifest: ranges are expanded, all other braces stay as they are."""
    parts = (part if at % 2 else re.sub(r"[\\{},]", r"\\\g<0>", part) for at, part in enumerate(_RANGE.split(text)))
    return list(braceexpand("".join(parts)))


def without_ranges(text: str) -> str:
    """Return a pattern of a manifest with ``0`` in place of each range: one name for all."""
    return _RANGE.sub("0", text)
