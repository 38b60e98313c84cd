"""Where the files lie that ship with the package: page templates and lexicons.

In the wheel they are ``catalog/_templates`` and ``catalog/_lexicons``; in a checkout (and so in an editable
install) ``site_templates/`` and ``lexicons/`` beside the package. The wheel's place is asked first, so a
stray folder beside an installed package can't take over.
"""

from __future__ import annotations

from pathlib import Path

from catalog.errors import BuildError

__all__ = ["lexicons", "templates"]

_PACKAGE = Path(__file__).resolve().parents[1]


def templates() -> Path:
    """The folder of Jinja templates and page assets.

    Raises:
        BuildError: the installation lacks them.

    """
    return _folder("_templates", "site_templates")


def lexicons() -> Path:
    """The folder of lexicon documents, one JSON file an NSID.

    Raises:
        BuildError: the installation lacks them.

    """
    return _folder("_lexicons", "lexicons")


def _folder(in_wheel: str, in_checkout: str) -> Path:
    """The first of the two places that exists."""
    for place in (_PACKAGE / in_wheel, _PACKAGE.parent / in_checkout):
        if place.is_dir():
            return place
    raise BuildError(
        f"{in_checkout} is missing from this installation",
        where=str(_PACKAGE),
        hint="install atdata-catalog again",
    )
