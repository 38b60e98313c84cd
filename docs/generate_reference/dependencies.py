"""Generate ``dependencies.md`` from pyproject.toml and its comments."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from docs.generate_reference.markdown import code, escape, front

__all__ = ["page", "purposes"]

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_LINE = re.compile(r'"([^"]+)"[\],]*\s+# (.+)')
_INTRO = """\
What the package needs, and what for. The base install loads, publishes, crawls and builds sites; what only some users
need is an extra: `pip install "atdata-catalog[appview,previews]"`. How much each takes is measured on
[the benchmarks' page](../benchmarks.md#installed). Exact versions with their hashes are in `requirements.lock`."""


def purposes() -> dict[str, str]:
    """Return the comment of each requirement in pyproject.toml."""
    text = _PROJECT.read_text(encoding="utf-8").partition("[dependency-groups]")[0]
    return dict(_LINE.findall(text))


def page() -> str:
    """Return the page as Markdown. Raises ``KeyError`` for a requirement without a comment."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    parts = front("Dependencies", _INTRO, "`pyproject.toml`")
    parts += ["", "## Base", "", *_table(project["dependencies"])]
    for extra, requirements in sorted(project["optional-dependencies"].items()):
        parts += ["", f"## `{extra}`", "", *_table(requirements)]
    return "\n".join(parts) + "\n"


def _table(requirements: list[str]) -> list[str]:
    comments = purposes()
    rows = [f"| {code(one)} | {escape(_sentence(comments[one]))} |" for one in requirements]
    return ["| package | purpose |", "|---|---|", *rows]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
