"""Measure the install size of the base and of each extra, in packages and megabytes, and compare with Hugging Face.

    python benchmarks/bench_installed.py [--peer datasets]

uv installs each into its own environment with the latest versions. The result is the number of packages besides the
requested one, and the size of all files without bytecode.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results

ROOT = Path(__file__).resolve().parents[1]


def installed(uv: str, what: str, folder: Path) -> tuple[dict[str, str], float]:
    """The packages of an environment that has nothing else than this, with their versions; and its megabytes."""
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), what], check=True)
    told = subprocess.run(
        [uv, "pip", "list", "--quiet", "--python", str(python), "--format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    packages = {one["name"]: one["version"] for one in json.loads(told.stdout)}
    size = sum(file.stat().st_size for file in (folder / "lib").rglob("*") if file.is_file() and not file.is_symlink())
    return packages, size / 1e6


def main() -> int:
    """Install, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--peer", default="datasets", help="the package that the base is compared with")
    arguments = parser.parse_args()
    uv = str(Path(sys.executable).with_name("uv"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        base, size = installed(uv, str(ROOT), folder / "base")
        theirs, their_size = installed(uv, arguments.peer, folder / "peer")
        peer = f"{arguments.peer} {theirs[arguments.peer]}"
        direct = {re.split(r"[<>=!~\[ ]", line)[0] for line in project["dependencies"]}
        for what, unit, mine, other in (
            ("the base install: packages", "packages", len(base) - 1, len(theirs) - 1),
            ("the base install: size", "MB", size, their_size),
        ):
            results.add(what, unit, mine, peer=peer, theirs=other)
            print(f"{what:44} {mine:8.1f} {unit:9} {peer}: {other:.1f}")
        results.add("of these packages, asked for by us", "packages", len(direct))
        print(f"{'of these packages, asked for by us':44} {len(direct):8.1f} packages")
        for extra in project["optional-dependencies"]:
            more, whole = installed(uv, f"{ROOT}[{extra}]", folder / extra)
            results.add(f"more with [{extra}]: packages", "packages", len(more) - len(base))
            results.add(f"more with [{extra}]: size", "MB", whole - size)
            print(f"{f'more with [{extra}]':44} {whole - size:8.1f} MB, {len(more) - len(base)} packages")
    results.write(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
