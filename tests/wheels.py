"""Build the wheel of this tree, and let pip find it without a registry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "TOKEN", "build_wheel", "pip_environment", "with_secrets"]

ROOT = Path(__file__).resolve().parent.parent


def build_wheel(place: Path) -> Path:
    """Build the wheel into a folder and return its file. ``made_once(factory, "wheel", build_wheel)`` shares it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place],
        cwd=ROOT, capture_output=True, check=True, timeout=300,
    )  # fmt: skip
    return next(place.glob("*.whl"))


def pip_environment(place: Path) -> dict[str, str]:
    """The environment without this checkout in reach, and with ``place`` among the places where pip looks.

    Nothing of the account that runs the tests is in it but what leads pip to its registry and cache.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_")) or name.lower().endswith("_proxy")
    }
    cache = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")
    links = " ".join([str(place), *os.environ.get("PIP_FIND_LINKS", "").split()])
    return {
        **kept,
        "PIP_FIND_LINKS": links,
        "PIP_CACHE_DIR": cache,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "0",  # pip wants a false value to set it; modules are compiled when first imported
        "LANG": "C.UTF-8",
    }


TOKEN = b"eyJ0eXAiOiJ"
"""The prefix of session tokens: ``{"typ":"`` in Base64."""


def with_secrets(password: str, *folders: Path) -> list[Path]:
    """Return the files below some folders that contain a password or a session's token."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if any(secret in file.read_bytes() for secret in (password.encode(), TOKEN))]
