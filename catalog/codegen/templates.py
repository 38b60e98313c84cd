"""The templates of generated code: ours in ``site_templates/codegen/``, and a user's own folder in front of them.

Templates get source fragments that are safe as they stand (names, literals, lines of comments), so nothing is escaped
there. A user's templates are code of the user's, as trusted as that.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

from catalog.config import resources
from catalog.errors import InvalidConfig

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance
    from jinja2 import Environment, Template

__all__ = ["rendered"]

SUFFIX = ".jinja"


def rendered(name: str, view: DataclassInstance | None = None, *, templates: Path | None = None) -> str:
    """What the template ``name`` makes of the fields of ``view``, a slotted dataclass.

    Raises:
        InvalidConfig: ``templates`` is no folder, or a template in it is wrong.

    """
    fields = {} if view is None else {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}
    if templates is None:
        return _ours(name).render(fields)
    from jinja2 import TemplateError

    try:
        return _environment(templates).get_template(name + SUFFIX).render(fields)
    except (TemplateError, UnicodeDecodeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        place = getattr(error, "filename", None) or str(templates / (name + SUFFIX))
        line = getattr(error, "lineno", None)
        what = f"the template can't be used: {error}"
        raise InvalidConfig(what, where=f"{place}:{line}" if line else place) from error


@lru_cache(maxsize=32)
def _ours(name: str) -> Template:
    return _environment(None).get_template(name + SUFFIX)


@lru_cache(maxsize=8)
def _environment(folder: Path | None) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if folder is not None and not folder.is_dir():
        raise InvalidConfig("no such folder of templates", where=str(folder))
    places = [*([folder] if folder is not None else []), resources.templates() / "codegen"]
    return Environment(  # noqa: S701 - source text, not HTML
        loader=FileSystemLoader(places), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
