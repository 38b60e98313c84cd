"""The templates of generated code: ``site_templates/codegen/``, overridden by a user's folder.

Template variables are safe source fragments (names, literals, comment lines), so the templates escape nothing. A user's
templates are trusted like the user's own code.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.config import resources
from catalog.errors import InvalidConfig

if TYPE_CHECKING:
    from jinja2 import Environment, Template

SUFFIX = ".jinja"


def rendered(template: str, /, *, templates: Path | None = None, **variables: object) -> str:
    """Render a template of ours, or the user's one of that name in ``templates``.

    Raises:
        InvalidConfig: ``templates`` is not a folder, or a template in it is invalid.

    """
    if templates is None:
        return _ours(template).render(variables)
    from jinja2 import TemplateError

    try:
        return _environment(templates).get_template(template + SUFFIX).render(variables)
    except (TemplateError, UnicodeDecodeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        place = getattr(error, "filename", None) or str(templates / (template + SUFFIX))
        line = getattr(error, "lineno", None)
        what = f"invalid template: {error}"
        raise InvalidConfig(what, where=f"{place}:{line}" if line else place) from error


@lru_cache(maxsize=32)
def _ours(name: str) -> Template:
    return _environment(None).get_template(name + SUFFIX)


@lru_cache(maxsize=8)
def _environment(folder: Path | None) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if folder is not None and not folder.is_dir():
        raise InvalidConfig("the template folder doesn't exist", where=str(folder))
    places = [*([folder] if folder is not None else []), resources.templates() / "codegen"]
    return Environment(  # noqa: S701 - source text, not HTML
        loader=FileSystemLoader(places), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
