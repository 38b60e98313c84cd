"""The site's assets as published: scripts without comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from catalog.config import resources
from catalog.site.languages import LANGUAGES, RECORD_WORDS, keys_of, script

_TOKENS: Final = re.compile(
    r"""
    (?P<comment>^[ \t]*(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/)[ \t]*(?:\n|\Z))
    | //[^\n]* | /\*(?:(?!\*/).)*\*/
    | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | `(?:[^`\\]|\\.)*`
    | (?:(?<=[(,=:\[!&|?{};+\n>])|(?<=\breturn))[ ]*/(?![*/])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
"""Comments on separate lines, and all other tokens that may contain ``//``: comments, strings, templates, regexes."""
_LICENCE: Final = re.compile(r"@licen[cs]e|copyright|SPDX-", re.IGNORECASE)


def assets() -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of all assets of a site."""
    files = sorted((resources.templates() / "assets").iterdir())
    scripts = [file for file in files if file.suffix == ".js"]
    for file in files:
        if file.suffix == ".js":
            yield file.name, without_comments(file.read_text(encoding="utf-8")).encode()
        else:
            yield file.name, file.read_bytes()
    shared = RECORD_WORDS | keys_of("".join(file.read_text(encoding="utf-8") for file in scripts))
    for code in LANGUAGES[1:]:
        yield f"language-{code}.js", script(code, shared).encode()


def without_comments(script: str) -> str:
    """Return a script without its ``//`` and ``/** … */`` comments on separate lines, except licences."""
    return _TOKENS.sub(
        lambda token: "" if token["comment"] is not None and not _LICENCE.search(token[0]) else token[0], script
    )
