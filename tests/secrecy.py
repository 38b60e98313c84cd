"""Search for secrets that code left behind: passwords and tokens in files, logs and output.

Passwords are those that the test network made. Tokens are recognised by their form (JSON Web Tokens), so that those are
found, too, which another process was given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PASSWORDS", "found_in", "found_under", "watched_run"]

PASSWORDS: Final[set[str]] = set()
"""Of every account that the test network has made in this process."""
_TOKEN: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")


def found_in(raw: bytes | str) -> str | None:
    """Return a description of the secret in some bytes, without the secret, or None."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogateescape")
    if _TOKEN.search(raw):
        return "a token"
    return "a password" if any(password.encode() in raw for password in PASSWORDS) else None


def found_under(folder: Path) -> Iterator[str]:
    """Each file with a secret in it, and what it is."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            secret = found_in(path.read_bytes())
            if secret is not None:
                yield f"{secret} in {path.relative_to(folder)}"


def watched_run(
    run: Callable[..., subprocess.CompletedProcess[Any]],
) -> Callable[..., subprocess.CompletedProcess[Any]]:
    """``subprocess.run``, whose output is looked at, and its arguments: every process of a machine can read those."""

    def watched(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[Any]:  # noqa: ANN401
        ran = run(*arguments, **options)
        said = " ".join(map(str, ran.args)) if isinstance(ran.args, list) else str(ran.args)
        for name, text in (("arguments", said), ("output", ran.stdout), ("errors", ran.stderr)):
            secret = None if text is None else found_in(text)
            assert secret is None, f"{secret} in the {name} of {ran.args!r:.100}"
        return ran

    return watched
