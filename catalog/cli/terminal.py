"""Output of the command: everything is printed by :func:`echo`, :func:`say` or :func:`show`.

Records, shards, servers and file names contain text that could control a terminal or forge log lines. Unprintable
characters are therefore escaped here, except line feeds, tabs and the styles of :func:`styled`, which contain a random
mark that foreign text can't guess.
"""

from __future__ import annotations

import io
import json
import math
import secrets
import shutil
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from catalog.errors import SkippedWarning, TruncatedWarning, UnverifiedWarning
from catalog.sanitize import escaped, escaped_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_MARK: Final = f"\x1b[{secrets.token_hex(8)};"
_CLEAR: Final = "\r\x1b[K"


def echo(text: object, *, nl: bool = True) -> None:
    """Print a result on standard output."""
    click.echo(_safe(str(text)), nl=nl)


def echo_json(value: object) -> None:
    """Print a result as one line of valid JSON, in ASCII; numbers that JSON lacks become text."""
    try:
        text = json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), default=str)
    click.echo(escaped_json(text))


def say(text: object) -> None:
    """Print a message on standard error; standard output is for results."""
    click.echo(_safe(str(text)), err=True)


def show(error: click.ClickException) -> None:
    """Print an error of the command line in click's format."""
    shown = io.StringIO()
    error.show(shown)
    say(shown.getvalue().removesuffix("\n"))


def styled(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """Return text in a colour, for :func:`echo` and :func:`say`."""
    codes = click.style("", fg=fg, bold=bold or None, reset=False)  # False would be a code, too
    return codes.replace("\x1b[", _MARK) + text + f"{_MARK}0m"


def write_line(out: TextIO, text: str, *, passing: bool = False) -> None:
    """Write a line of progress; a ``passing`` line is cut to the terminal width and overwritten by the next."""
    if passing:
        width = max(20, shutil.get_terminal_size().columns - 1)
        out.write(f"{_CLEAR}{escaped(text)[:width]}")
    else:
        out.write(f"{escaped(text, lines=True)}\n")
    out.flush()


def clear_line(out: TextIO) -> None:
    """Clear the passing line."""
    out.write(_CLEAR)
    out.flush()


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Print Python warnings as messages; each of the package's own once, regardless of filters."""

    def shown(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:  # noqa: ANN401
        ours = issubclass(category, SkippedWarning | TruncatedWarning | UnverifiedWarning)
        say(escaped(str(message) if ours else f"{category.__name__}: {message}"))

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UnverifiedWarning)
        warnings.showwarning = shown
        yield


def _safe(text: str) -> str:
    """Return the text with everything escaped but line feeds, tabs and our own styles."""
    first, *rest = text.split(_MARK)
    parts = [escaped(first, lines=True)]
    for part in rest:
        code, _, following = part.partition("m")
        parts.append(f"\x1b[{code}m{escaped(following, lines=True)}")
    return "".join(parts)


def _finite(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value
