"""Finished shards of an import, in a file of JSON lines beside them: what a later run keeps.

::

    {"import": 1, "plan": "<hash of source and options>"}
    {"shard": "photos-000000.tar", "samples": 1000, "bytes": 99993600, "sha256": "…"}

A line is appended after its shard has its name. A line that was cut off is ignored, and its shard written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from catalog.samples.write_shards import ShardInfo

STATE_FILE: Final = ".import.jsonl"
_VERSION: Final = 1


def read_state(folder: Path) -> tuple[str, dict[str, ShardInfo]] | None:
    """Return the plan's hash and the finished shards by name; ``None`` without a readable state."""
    try:
        lines = (folder / STATE_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    head = _object(lines[0]) if lines else {}
    plan = head.get("plan")
    if head.get("import") != _VERSION or not isinstance(plan, str):
        return None
    infos = (_shard(folder, _object(line)) for line in lines[1:])
    return plan, {info.path.name: info for info in infos if info is not None}


def start_state(folder: Path, plan: str, shards: Iterable[ShardInfo]) -> None:
    """Write the state anew, atomically, with these shards."""
    part = folder / f"{STATE_FILE}.{os.getpid()}.part"
    head = json.dumps({"import": _VERSION, "plan": plan})
    part.write_text("".join(f"{line}\n" for line in (head, *map(_line, shards))), encoding="utf-8")
    part.replace(folder / STATE_FILE)


def append(folder: Path, info: ShardInfo) -> None:
    """Add a finished shard."""
    with (folder / STATE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{_line(info)}\n")


def finished_shards(known: dict[str, ShardInfo]) -> dict[str, ShardInfo]:
    """Return those whose files still have the size and the SHA-256 of the state."""
    from catalog.shards.hash_local import LocalHasher

    there = {info.path: info for info in known.values() if _has_size(info)}
    found = LocalHasher().hash_files(there)
    return {info.path.name: info for path, info in there.items() if getattr(found[path], "sha256", None) == info.sha256}


def _has_size(info: ShardInfo) -> bool:
    try:
        return not info.path.is_symlink() and info.path.stat().st_size == info.bytes
    except OSError:
        return False


def _line(info: ShardInfo) -> str:
    return json.dumps({"shard": info.path.name, "samples": info.samples, "bytes": info.bytes, "sha256": info.sha256})


def _object(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shard(folder: Path, line: dict[str, object]) -> ShardInfo | None:
    name, samples, size, sha256 = (line.get(key) for key in ("shard", "samples", "bytes", "sha256"))
    if not isinstance(name, str) or not isinstance(samples, int) or not isinstance(size, int):
        return None
    if not isinstance(sha256, str) or Path(name).name != name:
        return None
    return ShardInfo(path=folder / name, samples=samples, bytes=size, sha256=sha256)
