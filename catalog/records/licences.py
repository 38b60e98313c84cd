"""Licences by their SPDX identifiers (https://spdx.org/licenses/).

``packaging`` has the list of identifiers; ``NAMES`` has the full names of common ones.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

NAMES: Final = {
    "0BSD": "BSD Zero Clause License",
    "AGPL-3.0-only": "GNU Affero General Public License v3.0 only",
    "AGPL-3.0-or-later": "GNU Affero General Public License v3.0 or later",
    "Apache-2.0": "Apache License 2.0",
    "BSD-2-Clause": 'BSD 2-Clause "Simplified" License',
    "BSD-3-Clause": 'BSD 3-Clause "New" or "Revised" License',
    "CC-BY-3.0": "Creative Commons Attribution 3.0 Unported",
    "CC-BY-4.0": "Creative Commons Attribution 4.0 International",
    "CC-BY-NC-4.0": "Creative Commons Attribution Non Commercial 4.0 International",
    "CC-BY-NC-ND-4.0": "Creative Commons Attribution Non Commercial No Derivatives 4.0 International",
    "CC-BY-NC-SA-4.0": "Creative Commons Attribution Non Commercial Share Alike 4.0 International",
    "CC-BY-ND-4.0": "Creative Commons Attribution No Derivatives 4.0 International",
    "CC-BY-SA-3.0": "Creative Commons Attribution Share Alike 3.0 Unported",
    "CC-BY-SA-4.0": "Creative Commons Attribution Share Alike 4.0 International",
    "CC0-1.0": "Creative Commons Zero v1.0 Universal",
    "CDLA-Permissive-1.0": "Community Data License Agreement Permissive 1.0",
    "CDLA-Permissive-2.0": "Community Data License Agreement Permissive 2.0",
    "CDLA-Sharing-1.0": "Community Data License Agreement Sharing 1.0",
    "GPL-2.0-only": "GNU General Public License v2.0 only",
    "GPL-3.0-only": "GNU General Public License v3.0 only",
    "GPL-3.0-or-later": "GNU General Public License v3.0 or later",
    "ISC": "ISC License",
    "LGPL-3.0-only": "GNU Lesser General Public License v3.0 only",
    "MIT": "MIT License",
    "MIT-0": "MIT No Attribution",
    "MPL-2.0": "Mozilla Public License 2.0",
    "ODC-By-1.0": "Open Data Commons Attribution License v1.0",
    "ODbL-1.0": "Open Data Commons Open Database License v1.0",
    "PDDL-1.0": "Open Data Commons Public Domain Dedication & License 1.0",
    "Unlicense": "The Unlicense",
}

TEXTS: Final = "https://spdx.org/licenses/"
"""The base URL of the licence texts, each at its identifier with ``.html``."""

_IDENTIFIER: Final = re.compile(r"(?!LicenseRef-)[A-Za-z0-9.-]{1,100}")
_BLANKS: Final = re.compile(r"[\s_/-]+")


@lru_cache(maxsize=1024)
def spdx_id(text: str) -> str | None:
    """Return the SPDX identifier for ``text`` in any case; ``None`` for an expression or an unknown identifier."""
    return _canonical(text) if _IDENTIFIER.fullmatch(text.strip()) else None


def is_spdx(text: str) -> bool:
    """Return True for an SPDX expression: an identifier, ``MIT OR Apache-2.0``, ``LicenseRef-ours``."""
    return _canonical(text) is not None


def spdx_like(text: str) -> str | None:
    """Return a similar identifier: ``CC-BY-4.0`` for ``CC BY 4``, ``MIT`` for ``MIT Licence``."""
    words = _BLANKS.sub("-", text.strip())
    found = spdx_id(words) or spdx_id(f"{words}.0")
    if found is not None:
        return found
    letters = re.sub(r"[-0-9.]+$", "", words).casefold()  # for a version that doesn't exist, the newest existing one
    newest = max((name for name in NAMES if re.sub(r"[-0-9.]+$", "", name).casefold() == letters), default=None)
    if newest is not None:
        return newest
    known = {**{name.casefold(): name for name in NAMES}, **{full.casefold(): name for name, full in NAMES.items()}}
    near = get_close_matches(text[:100].casefold(), known, n=1, cutoff=0.7)
    return known[near[0]] if near else None


def title(name: str) -> str | None:
    """Return the title of the link to a licence text: its full name if known; ``None`` without a text."""
    return NAMES.get(name) or ("text at spdx.org" if spdx_id(name) == name else None)


def _canonical(text: str) -> str | None:
    try:
        return canonicalize_license_expression(text.strip())
    except InvalidLicenseExpression:
        return None
