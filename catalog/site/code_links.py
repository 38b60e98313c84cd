"""Links to the code of a lens at its pinned commit, for the hosts whose URL scheme is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from catalog.site.markup import is_web

if TYPE_CHECKING:
    from catalog.records import CodeReference

_BLOBS: Final = {
    "github.com": "/blob/{commit}/{path}",
    "gitlab.com": "/-/blob/{commit}/{path}",
    "codeberg.org": "/src/commit/{commit}/{path}",
    "tangled.org": "/blob/{commit}/{path}",
    "bitbucket.org": "/src/{commit}/{path}",
}
_TREES: Final = {
    "github.com": "/tree/{commit}",
    "gitlab.com": "/-/tree/{commit}",
    "codeberg.org": "/src/commit/{commit}",
    "tangled.org": "/tree/{commit}",
    "bitbucket.org": "/src/{commit}",
}


def code_url(code: CodeReference) -> str | None:
    """Return the URL of the file at its commit; of the repository if the host is unknown; else ``None``.

    A ``module:function`` path names no file, so the link is to the tree at that commit.
    """
    if not is_web(code.repository):
        return None
    base = code.repository.rstrip("/").removesuffix(".git")
    host = (urlsplit(base).hostname or "").removeprefix("www.")
    kind = "gitlab.com" if host.startswith("gitlab.") else host
    if kind not in _BLOBS or not re.fullmatch(r"[0-9a-f]{7,64}", code.commit):
        return code.repository
    path = code.path.split(":", 1)[0].lstrip("/")
    is_file = "/" in path or bool(re.search(r"\.(py|js|ts|rs|jl|r|c|cpp|go)$", path, re.IGNORECASE))
    form = (_BLOBS if is_file and ".." not in path.split("/") else _TREES)[kind]
    return base + form.format(commit=code.commit, path=quote(path, safe="/"))
