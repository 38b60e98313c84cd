"""Run the benchmarks, store their results in ``results/``, and rewrite docs/benchmarks.md. ``make bench`` calls it.

    python benchmarks/rerun.py [--only car,import] [--options "--records 1000"] [--page]

Each script runs in its own process, one after the other. A script that misses a target still yields a result; one that
fails leaves its previous results, marked as outdated. Exit code 2 if a script failed, else 1 if one missed a target.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import page
from benchmarks.rows import read_result


def main() -> int:
    """Run those that are asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="names with commas between them; the others keep their numbers")
    parser.add_argument("--options", default="", help="handed on to each script that runs")
    parser.add_argument("--page", action="store_true", help="run nothing, only write the page")
    asked = parser.parse_args()
    names = page.benches()
    only = [name for name in asked.only.split(",") if name] or names
    if unknown := set(only).difference(names):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    codes = {} if asked.page else {name: run(name, shlex.split(asked.options)) for name in names if name in only}
    texts = {name: (page.TEXTS / f"{name}.md").read_text(encoding="utf-8") for name in names}
    page.PAGE.write_text(page.page(page.results(), texts, names), encoding="utf-8")
    for code, what in (2, "broke off"), (1, "missed what is wanted"):
        if told := [name for name in codes if codes[name] == code]:
            print(f"{what}: {', '.join(told)}")
    return max(codes.values(), default=0)


def run(name: str, options: list[str]) -> int:
    """Run one and keep its result. 0 when all is well, 1 when it missed something, 2 when it broke off."""
    kept = page.RESULTS / f"{name}.json"
    print(f"== {name}", flush=True)
    with TemporaryDirectory() as folder:
        made = Path(folder) / kept.name
        command = [sys.executable, str(page.HERE / f"bench_{name}.py"), *options, "--results", str(made)]
        code = subprocess.run(command, check=False).returncode
        if made.is_file() and code in {0, 1}:
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(made.read_bytes())
            return code
    if kept.is_file():
        old = replace(read_result(kept), failed=datetime.now(UTC).strftime("%Y-%m-%d"))
        kept.write_text(old.text(), encoding="utf-8")
    return 2


if __name__ == "__main__":
    sys.exit(main())
