"""Run the property-based tests (hypothesis) with new examples each time; `make test` always uses the same ones.

    python benchmarks/soak_properties.py [ROUNDS]        ROUNDS also from SOAK_ROUNDS; default 3

A failure is printed with the code that reproduces it. Exit code 1 if any round fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """All rounds, and one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rounds", type=int, nargs="?", default=int(os.environ.get("SOAK_ROUNDS", "3")))
    rounds = parser.parse_args().rounds
    files = sorted(
        str(file.relative_to(ROOT))
        for file in (ROOT / "tests").glob("*/test_*.py")
        if "from hypothesis import" in file.read_text(encoding="utf-8")
    )
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses", "2", "--dist", "loadfile", *files]
    begun, failed = monotonic(), 0
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        ran = subprocess.run(command, cwd=ROOT, env={**os.environ, "TEST_EXAMPLES": "new"}, check=False)
        failed += ran.returncode != 0
    print(f"{len(files)} files, {rounds} rounds in {monotonic() - begun:.0f} s: {failed or 'none'} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
