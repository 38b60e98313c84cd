"""The measured seconds of test files and of slow test functions. They order the files and mark tests as slow.

``python -m tests.durations REPORT.xml`` rewrites the table from the report of ``pytest --junitxml=REPORT.xml``; do that
after a change of speed. A file that is missing from the table runs first.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.paths import ROOT, TESTS

TABLE: Final = TESTS / "data" / "durations.json"
SLOW_SECONDS: Final = 0.5
"""A function is in the table if it takes as long with all its parameters together."""


def load() -> dict[str, float]:
    """Return the seconds of each measured file, and of each slow function by ``file::function``."""
    table: dict[str, float] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def measure(report: str) -> dict[str, float]:
    """Return the table that a JUnit report makes."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - a report of our own
        file = f"{case.attrib['classname'].replace('.', '/')}.py"
        for key in (file, f"{file}::{case.attrib['name'].partition('[')[0]}"):
            seconds[key] += float(case.attrib["time"])
    return {key: round(spent, 1) for key, spent in sorted(seconds.items()) if "::" not in key or spent >= SLOW_SECONDS}


def main() -> None:
    """Rewrite the table; a partial report replaces only the files that are in it."""
    found = measure(Path(sys.argv[1]).read_text(encoding="utf-8"))
    kept = {key: spent for key, spent in load().items() if _file(key) not in found}
    table = {key: spent for key, spent in sorted({**kept, **found}.items()) if (ROOT / _file(key)).exists()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _file(key: str) -> str:
    return key.partition("::")[0]


if __name__ == "__main__":
    main()
