"""Media types of bytes fields, such as ``image/jpeg``; ``image/*`` is any image."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}"
_MEDIA_TYPE: Final = re.compile(rf"{_NAME}/(?:{_NAME}|\*)")


def media_type(text: str) -> str | None:
    """Return a media type in lower case and without parameters; ``None`` if the text isn't one."""
    bare = text.partition(";")[0].strip().lower()
    return bare if _MEDIA_TYPE.fullmatch(bare) else None


def media_fits(found: str | None, wanted: str | None) -> bool:
    """Return whether everything of the media type found is also of the one wanted; ``None`` is any."""
    if wanted is None or found == wanted:
        return True
    return found is not None and wanted.endswith("/*") and found.startswith(wanted[:-1])
