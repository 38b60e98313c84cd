"""The page that people see: how much there is, how fresh it is, and what can be asked. No script, no other host."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from catalog.appview.xrpc import METHODS, PREFIX, lexicon_of
from catalog.config import resources

if TYPE_CHECKING:
    from jinja2 import Template

    from catalog.appview.serializers import Answer

_COUNTS: Final = ("datasets", "schemas", "lenses", "labels", "verifications", "publishers")


def _style() -> str:
    return (resources.templates() / "appview" / "status.css").read_text(encoding="utf-8")


POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_style().encode()).digest()).decode()}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: the page's own style, and nothing else."""


@cache
def _template() -> Template:
    folder = resources.templates() / "appview"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("status.html")


def status_page(about: Answer | None, version: str, url: str | None, following: Answer | None = None) -> str:
    """Return the HTML; ``about`` is getStatistics's answer, ``following`` the follower's state, None if unknown."""
    queries = []
    for name in METHODS:
        query = lexicon_of(PREFIX + name)
        assert query is not None  # noqa: S101 - a test says so
        parameters = [(what, parameter.required) for what, parameter in query.parameters.items()]
        queries.append((PREFIX + name, query.description, parameters))
    counts = [] if about is None else [(name, f"{about[name]:,}") for name in _COUNTS]
    return _template().render(
        about=about, counts=counts, queries=queries, style=_style(), url=url, version=version,
        following=following,
    )  # fmt: skip
