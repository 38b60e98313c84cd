"""The data files of the package: page templates and lexicons.

In the wheel they are in ``catalog/_templates`` and ``catalog/_lexicons``, which have priority; in a checkout in
``site_templates/`` and ``lexicons/`` next to the package.
"""

from __future__ import annotations

from pathlib import Path

from catalog.errors import BuildError

_PACKAGE = Path(__file__).resolve().parents[1]


def templates() -> Path:
    """Return the folder of Jinja templates and page assets. Raises :class:`~catalog.errors.BuildError`."""
    return _folder("_templates", "site_templates")


def lexicons() -> Path:
    """Return the folder of lexicon documents, one JSON file an NSID. Raises :class:`~catalog.errors.BuildError`."""
    return _folder("_lexicons", "lexicons")


def _folder(in_wheel: str, in_checkout: str) -> Path:
    for place in (_PACKAGE / in_wheel, _PACKAGE.parent / in_checkout):
        if place.is_dir():
            return place
    raise BuildError(
        f"{in_checkout} is missing from this installation",
        where=str(_PACKAGE),
        hint="install atdata-catalog again",
    )
