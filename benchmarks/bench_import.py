"""Compare the import time of ``import catalog`` and of its lazily loaded classes with ``import webdataset``.

    python benchmarks/bench_import.py [--times 15] [--tree]

Each import is timed inside fresh processes, in turn, excluding the start of Python. The output is the fastest time and
the median. ``atdata`` is included if it is installed. ``--tree`` prints the modules that ``import catalog`` loads,
from ``python -X importtime``. Exit code 1 if ``import catalog`` takes 150 ms or more.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.rows import Results, named

WANTED = 150.0
"""Milliseconds."""

CASES = {
    "import catalog": ("catalog", "import catalog"),
    "from catalog import Dataset": ("catalog", "from catalog import Dataset"),
    "from catalog import PackableSample": ("catalog", "from catalog import PackableSample"),
    "import numpy": ("numpy", "import numpy"),
    "import webdataset": ("webdataset", "import webdataset"),
    "import atdata": ("atdata", "import atdata"),
}


def milliseconds(statement: str) -> float:
    """One import in a process of its own."""
    code = f"from time import perf_counter as now; start = now(); {statement}; print((now() - start) * 1000)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Time all, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    results = Results(__file__, parser)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--tree", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name, (module, _) in CASES.items() if find_spec(module) is not None}
    for _ in range(arguments.times):
        for name, times in found.items():
            times.append(milliseconds(CASES[name][1]))
    print(f"best of {arguments.times}, each in a process of its own (median)")
    for name, times in found.items():
        print(f"  {name:36} {min(times):7.1f} ms  ({statistics.median(times):.1f})")
    ours = min(found["import catalog"])
    for name in list(CASES)[:3]:
        wanted = WANTED if name == "import catalog" else None
        results.add(
            name, "ms", min(found[name]), peer=f"import {named('webdataset')}", theirs=min(found["import webdataset"]),
            wanted=wanted,
        )  # fmt: skip
    if "import atdata" in found:
        results.add("import catalog", "ms", ours, peer=f"import {named('atdata')}", theirs=min(found["import atdata"]))
    results.add("NumPy alone, part of the two above", "ms", min(found["import numpy"]))
    results.write(arguments)
    print(f"  wanted of import catalog: less than {WANTED:g} ms")
    if arguments.tree:
        tree = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import catalog"], capture_output=True, text=True, check=True
        )
        print(tree.stderr)
    return 0 if ours < WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
